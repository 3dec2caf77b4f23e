"""What do large rounds cost, whole or divided among hubs, and what is richer service worth in them? Imports `exhibits`.

| module | question |
|---|---|
| `hub_markets` | which rounds: real texts, drawn agents |
| `hubs` | what do hubs cost, save and learn of bids? |
| `scale` | how large may a round be? |
| `richer_qos` | what if agents fail, and bidders may not be sent everywhere? |
"""
