"""From decided to done: who is served when, by whom in the end, and what is entered? Imports `requests` and `health`.

| module | question |
|---|---|
| `exclusive` | how long is an agent kept for one request alone? |
| `paying` | what does a request that was served cost, and whom? |
| `dispatcher` | whose turn is it in an agent's line, and what became of it? |
"""
