"""Who decides a round: the protocol and its laws, forecasts, fees, the auctions. Imports `engines` and `events`."""
