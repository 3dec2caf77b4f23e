"""What is played, and by whom? Imports `worlds`, `routers`, `answers`.

| module | question |
|---|---|
| `cell` | what is a policy put to: a workload, a fleet, bidders, and the axes along which they vary? |
| `learned` | which learned routers, fitted on what? |
| `policies` | who plays, by name or as yours, and what have they learnt beforehand? |
"""
