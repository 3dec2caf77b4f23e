"""How a client's bytes become a request, and outcomes become answers over HTTP. Imports every other room of `runtime`.

| module | question |
|---|---|
| `problems` | what is a client told when it is not served? |
| `splice` | what does a body ask, and which bytes of it go on? |
| `preferences` | what is a request worth to its bidder, and who said so? |
"""
