"""Exact by shortest paths: augmenting, lowest prices, removals, tiny markets. Imports the kernels before it."""
