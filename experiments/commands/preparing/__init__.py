"""What is there before anything is served or studied? Imports nothing of the other commands.

| module | question |
|---|---|
| `data` | `iemas data`: which data are there, and what does a file hold? |
| `model` | `iemas model`: which small models do packages carry? |
| `record` | `iemas record`: what do models answer? |
| `calibrate` | `iemas calibrate`: how fast is a real server? |
"""
