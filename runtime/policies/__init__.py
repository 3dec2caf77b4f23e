"""Who decides a round: the protocol, cache affinity, the auction. Imports `engines`."""
