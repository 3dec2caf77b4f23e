"""Good prices quickly, not yet exact: Newton steps and bids. Imports `compile` and `pairs`."""
