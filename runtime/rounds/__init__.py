"""From a request to its answer. Imports `policies` and `accounts`.

| module or room | question |
|---|---|
| `records` | which rules do rounds go by, and what do those of a run add up to? |
| `kept` | what is written down of a round? |
| `requests/` | what is a request, from its arrival to its answer? |
| `health/` | which engines are in the market? |
| `telling` | who is told what? |
| `dispatch/` | who is served when, by whom in the end, and what is entered? |
| `deciding/` | when is a round held, with whom, and what may be decided? |
| `router` | `Router`: where requests come in, and engines come and go |
"""
