"""Which engines are in the market? Imports nothing else of the rounds.

| module | question |
|---|---|
| `health` | whose fault was it, and who is left out for how long? |
| `probing` | is an engine that is left out well again? |
"""
