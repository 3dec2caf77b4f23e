"""Referees: is what the books keep of rounds what the rules say, and did nobody gain by another report?

`audit` re-derives kept rounds with the objects that serve; `referee` does it again with the standard library alone.
Imports `accounts`, `policies` (the formula of values) and `errors`, of ours.
"""
