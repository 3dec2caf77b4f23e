"""Who is served, by which fleet, for how much? Imports `patience` of the commands.

| module | question |
|---|---|
| `fleet` | `iemas fleet check`: what does a `fleet.toml` mean, and what is wrong with it? |
| `servers` | `iemas fleet up`, `status`, `down`: which servers run without a gateway? |
| `serve` | `iemas serve`: a fleet behind an address |
| `top` | `iemas top`: what is a gateway doing? |
| `accounts` | `iemas account`, `key`, `ledger`: who may ask, for how much, and what became of it? |
| `rounds` | `iemas ledger rounds`, `show`, `audit`: are kept rounds what the rules say? |
"""
