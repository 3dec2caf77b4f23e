"""Prices from bids: where requests are few per agent, for Newton's method has no curvature there to go by.

All bid with an increment, which ends wars of prices, in rounds of falling increments: the epsilon scaling of Bertsekas
(1988).
"""

import numpy as np

from allocation.kernels.pairs.offers import best_offers
from allocation.kernels.pairs.samples import Integers, sample, spread
from allocation.kernels.prices.auction import compete

#: What bids exceed indifference by, round by round: a share of how far a request's best pair is above the mean.
_INCREMENTS = (0.2, 0.05, 0.01, 0.002)

#: The share of the requests that bid in each round, one per agent at least.
_SHARES = (0.25, 0.5, 1.0, 1.0)

#: Bids for each request in each round.
_BIDS = 30


def bid_up(weights: Integers, capacities: Integers, prices: Integers) -> None:
    """Let all requests bid anew from `prices` (M + 1,), in place, in rounds of falling increments."""
    n, m = weights.shape
    unit, overshot = spread(weights), 0
    for increment, share in zip(_INCREMENTS, _SHARES, strict=True):
        # Where prices are too high no request comes to lower them: down by twice what one bid may have overshot.
        prices[1:] = np.maximum(prices[1:] - 2 * overshot, 0)
        overshot = 1 + int(increment * unit)
        some, capacity = sample(weights, capacities, max(m, int(share * n)))
        count = len(some)
        at, margins = np.full(count, -1), np.zeros(count, np.int64)
        compete(some, capacity, prices, at, margins, np.arange(count), count, overshot, _BIDS * count)


def balance(weights: Integers, capacities: Integers, prices: Integers) -> None:
    """Raise or lower all `prices` (M + 1,) alike until as many requests want to be served as there is capacity for.

    Until one is 0 where that is more than requests.
    """
    excess = len(weights) - int(capacities.sum())
    rise = -int(prices[1:].min())
    if excess > 0:
        rise = max(rise, int(np.partition(best_offers(weights, prices), excess - 1)[excess - 1]))
    prices[1:] += rise
