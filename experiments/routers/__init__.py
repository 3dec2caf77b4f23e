"""Routing policies to compare the auction with. Imports `runtime`."""
