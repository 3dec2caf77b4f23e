"""What became of each request, a line each: for an operator to read, and to be replayed under other policies.

| module | question |
|---|---|
| `stories` | what happened to one request, from its arrival to its end? |
| `lines` | how is a line written while nobody waits for it? |
| `log` | what does an operator read of it? |
| `records` | what does a trace hold? |
| `recorder` | how is one written? |
| `reading` | how is one read, and what is wrong with it? |
"""
