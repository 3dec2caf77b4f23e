"""The published router with one of its faults repaired each, to tell which fault a counterexample exhibits."""

import numpy as np

from allocation import Allocation, Market, MinCostFlow
from allocation.money import Money
from mechanisms import Outcome, Payments, serving_costs
from mechanisms.rules.paper import PaperRouter


class WelfareFirst(PaperRouter):
    """Maximises welfare, however many requests that serves."""

    __slots__ = ()

    def _match(self, market: Market) -> Allocation:
        slots = np.minimum(market.capacities, self.slots)
        grains = self._grains(market)
        seen = Market(grains, np.zeros_like(grains), slots, market.weights > 0)
        return Allocation(MinCostFlow().allocate(seen).agents)


class NoFreeService(PaperRouter):
    """Whoever is not matched is not served."""

    __slots__ = ()

    def run(self, market: Market) -> Outcome:
        matched = self._match(market)
        return Outcome(market, matched, Payments(self._fees(market, matched), serving_costs(market, matched)))


class PerOwner(PaperRouter):
    """Removes all requests of an owner at once; the first that is matched bears the fee."""

    __slots__ = ()

    def _fees(self, market: Market, matched: Allocation) -> Money:
        total, fees = self._worth(market, matched), market.take(market.costs, matched)
        weights = market.take(market.weights, matched)
        for bidder in market.players:
            mine = market.requests_of(bidder)
            rest = market.without(bidder)
            bearers = mine[matched.served[mine]][:1]
            fees[bearers] += max(0, self._worth(rest, self._match(rest)) - (total - int(weights[mine].sum())))
        return fees
