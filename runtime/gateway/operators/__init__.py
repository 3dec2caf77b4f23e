"""What may an operator see and do? Imports `serving`, `openapi` and `door`.

| module | question |
|---|---|
| `admin` | what may they look at, and who is one? The page's files lie in `page/` |
| `office` | accounts, keys and balances, on a port of its own |
| `watching` | who sees a gateway's events? |
"""
