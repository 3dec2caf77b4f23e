"""Which requests are sampled, and what agents offer them at given prices. Imports `compile`."""
