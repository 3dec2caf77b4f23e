"""Who comes in, and with what? Imports `fleet` and `requests`.

| module | question |
|---|---|
| `connections` | how long may half of a request hold a connection? |
| `clients` | whose key is this, and how much of it may there be? |
| `door` | which bidder asks, and is their body within the limits? |
"""
