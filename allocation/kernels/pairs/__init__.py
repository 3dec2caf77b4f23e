"""Which pairs there are, what agents offer at given prices, which pairs are promising. Imports `compile`."""
