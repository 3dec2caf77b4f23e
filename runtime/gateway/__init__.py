"""How a client's bytes become a request, and outcomes become answers over HTTP. Imports every other room of `runtime`.

| module | question |
|---|---|
| `problems` | what is a client told when it is not served? |
| `splice` | what does a body ask, and which bytes of it go on? |
| `preferences` | what is a request worth to its bidder, and who said so? |
| `config` | what is a fleet: agents, pools, prices, limits, who may ask? |
| `contradictions` | what does a fleet as a whole not allow? |
| `fleet_file` | which fleet does `fleet.toml` describe, and what is wrong with it? |
| `reload` | what may change while it runs? |
| `models` | which agents does a model's name stand for? |
| `backend` | what does the HTTP side ask of whatever serves? |
| `door` | who comes in, and with what? |
| `admin` | what may an operator look at, and who is one? |
| `app` | the ASGI application |
| `watching` | who sees a gateway's events? |
"""
