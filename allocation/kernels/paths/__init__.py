"""Exact by shortest paths: residual graph, augmenting, removals, tiny markets. Imports the kernels before it."""
