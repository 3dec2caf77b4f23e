"""How a client's bytes become a request, and outcomes become answers over HTTP. Imports every other room of `runtime`.

| module or room | question |
|---|---|
| `problems` | what is a client told when it is not served? |
| `requests/` | what does a request ask, and what is it worth to whom? |
| `fleet/` | which fleet does `fleet.toml` describe, and what may change of it? |
| `door/` | who comes in, and with what? |
| `serving/` | who serves what was let in, and what does it come to? |
| `openapi/` | what is served, as OpenAPI has it? |
| `operators/` | what may an operator see and do? |
| `app` | the ASGI application |
| `server` | the application on a socket: signals, reloading |

Each imports those before it alone, but that `door` and `serving` know nothing of each other.
"""
