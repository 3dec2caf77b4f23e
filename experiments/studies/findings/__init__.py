"""Questions that are answered by more than one run of a policy: who bids how, what hubs cost, what a rule loses.

| module or room | question |
|---|---|
| `exhibits/` | what is an answer: a table with intervals, a plot, a picture of it? |
| `rules/` | what is a payment rule worth when reports or predictions are not true? |
| `rounds/` | what do large rounds, hubs and richer service cost? |
| `serving/` | what is the auction worth in traffic that is served, and on which fleets? |
| `catalogue` | which questions are there, by the name that `iemas study` takes? |

`rules`, `rounds` and `serving` import `exhibits` alone of these; `catalogue` imports a question once it is asked.
"""
