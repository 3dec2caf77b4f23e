"""How the market is doing, for whoever watches: sums over events, as Prometheus reads them and a live view shows them.

| module | question |
|---|---|
| `tally` | what do the events of a gateway add up to? |
| `exposition` | what does Prometheus read? |
| `snapshot` | how does it stand, and what happened within a second? |
| `feed` | who is told so, live? |

Sums only: no request is kept, no label has values that a client chooses.
"""
