"""What became of each request, a line each: for an operator to read, and to be replayed under other policies.

| module | question |
|---|---|
| `stories` | what happened to one request, from its arrival to its end? |
| `lines` | how is a line written while nobody waits for it? |
| `log` | what does an operator read of it? |
"""
