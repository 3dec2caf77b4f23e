"""`MinCostFlow`: our exact allocator, successive shortest paths on the compressed residual graph."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocation.errors import MarketError
from allocation.market import MAX_PRICE, Allocation, Market
from allocation.money import Money


@dataclass(frozen=True, slots=True)
class MinCostFlow:
    """Welfare-maximising allocation as a minimum-cost flow on M + 1 nodes, with dual prices.

    Requests with equal best offers go to the first such agent; a request worth exactly nothing stays unserved.

    Source: Ahuja, Magnanti and Orlin, Network Flows (1993), chapter 9.
    """

    exact: ClassVar[bool] = True

    def allocate(self, market: Market) -> Allocation:
        """An optimal allocation with prices; O(paths * M * (M + N))."""
        return self.allocate_from(market, np.zeros(market.shape[1], np.int64))

    def allocate_from(self, market: Market, prices: Money) -> Allocation:
        """The same from the prices (M,) of an earlier, similar market: fewer paths where they still fit.

        A price above every weight sells nothing, whatever its size, so prices are capped there and sums of them stay
        in int64.

        Raises:
            MarketError: the prices have the wrong shape or lie outside [0, MAX_PRICE).
        """
        from allocation._kernels import matching

        start = np.asarray(prices)
        if start.shape != (market.shape[1],) or start.dtype.kind not in "iu":
            raise MarketError(
                f"prices of shape {start.shape} and type {start.dtype}; expected ({market.shape[1]},) integers"
            )
        if start.size and (start.min() < 0 or start.max() >= MAX_PRICE):
            raise MarketError(f"prices reach from {start.min()} to {start.max()}, outside [0, {MAX_PRICE})")
        ceiling = max(0, int(market.weights.max(initial=0)))
        at, final = matching(market.weights, market.capacities, np.minimum(start, ceiling).astype(np.int64))
        return Allocation(at - 1, final[1:])
