"""VCG: each bidder pays what his presence costs the others.

With an optimal allocation a bidder with ONE request at agent j pays the pair's cost plus the minimal dual price of j
(Leonard 1983; Demange, Gale and Sotomayor 1986), so one shortest-path pass prices every such bidder. A bidder with
several requests is one player: all of them leave the market together, which per-request prices would get wrong.
"""

from dataclasses import dataclass

import numpy as np

from allocation import Allocation, Allocator, Market, WarmAllocator, minimal_prices
from allocation.money import Money
from mechanisms.outcome import Payments, serving_costs


@dataclass(frozen=True, slots=True)
class VCG:
    """Clarke pivot payments (Vickrey 1961; Clarke 1971; Groves 1973); agents are paid their cost.

    Over an allocation with dual prices the payments are exact. Over an allocator that claims no optimality the same
    externality is computed by running that very allocator without each bidder: the classic *wrong* rule for greedy.
    """

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges (N,) and receipts (M,).

        Raises:
            CertificateError: the allocation carries prices but is not optimal.
        """
        charges = market.take(market.costs, allocation)
        prices = None if allocation.prices is None else minimal_prices(market, allocation)
        owned = dict(zip(*(a.tolist() for a in np.unique(market.bidders, return_counts=True)), strict=True))
        for bidder in market.players:
            mine = market.requests_of(bidder)
            if prices is not None and owned[bidder] == 1:
                agent = allocation.agents[mine[0]]
                externality = 0 if agent < 0 else int(prices[agent])
            else:
                externality = _externality(market, allocation, allocator, bidder)
            charges[mine] += _spread(externality, allocation.served[mine])
        return Payments(charges, serving_costs(market, allocation))


def _externality(market: Market, allocation: Allocation, allocator: Allocator, bidder: int) -> int:
    """Welfare that the others would have had without the bidder, minus what they have."""
    rest = market.without(bidder)
    if allocation.prices is not None and isinstance(allocator, WarmAllocator):
        alternative = allocator.allocate_from(rest, allocation.prices)
    else:
        alternative = allocator.allocate(rest)
    others = market.bidders != bidder
    return rest.welfare(alternative) - int(market.take(market.weights, allocation)[others].sum())


def _spread(amount: int, served: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Money:
    """A bidder's externality over his served requests in equal parts, the remainder on the first of them."""
    shares = np.zeros(served.size, np.int64)
    bearers = np.flatnonzero(served) if served.any() else np.arange(1)
    shares[bearers] = amount // bearers.size
    shares[bearers[0]] += amount % bearers.size
    return shares
