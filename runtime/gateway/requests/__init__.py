"""What does a request ask, and what is it worth to whom? Imports `problems` alone of the gateway.

| module | question |
|---|---|
| `splice` | what does a body ask, and which bytes of it go on? |
| `pieces` | which prompts begin alike? |
| `preferences` | what is a request worth to its bidder, and who said so? |
| `backend` | what does the HTTP side ask of whatever serves? |
"""
