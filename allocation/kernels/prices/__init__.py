"""Good prices quickly, not yet exact: Newton steps, bids, ladders. Imports `compile` and `pairs`."""
