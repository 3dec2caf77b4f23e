"""When is a round held, with whom, and what may be decided? Imports `requests`, `health` and `dispatch`.

| module | question |
|---|---|
| `queue` | who waits for a round, and until when? |
| `decisions` | what may no policy decide? |
| `rounds` | gather requests, let the policy decide, hand over to the dispatcher |
"""
