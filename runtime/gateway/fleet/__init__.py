"""Which fleet is served? What `fleet.toml` may say, what it says, what may change of it. Imports `requests`.

| module | question |
|---|---|
| `config` | what is a fleet: agents, pools, prices, limits, who may ask? |
| `contradictions` | what does a fleet as a whole not allow? |
| `file` | which fleet does `fleet.toml` describe, and what is wrong with it? |
| `reload` | what may change while it runs? |
| `models` | which agents does a model's name stand for? |
"""
