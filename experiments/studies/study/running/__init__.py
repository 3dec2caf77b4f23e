"""What does a run come to, and how are many of them run? Imports `cells`.

| module | question |
|---|---|
| `playing` | one run |
| `pool` | many, in processes that may die |
| `worker` | one of these processes |
"""
