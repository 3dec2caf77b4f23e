"""Which runs are finished already, so that a study goes on where it was stopped? Imports `cells` and `running`.

| module | question |
|---|---|
| `described` | what is a run known by? |
| `plain` | what is it as plain data, and back by its type? |
| `kept` | which runs does a file have? |
"""
