"""The published router with one of its faults repaired each, to show which fault a counterexample exhibits."""

import numpy as np

from allocation import Allocation, Market, MinCostFlow
from allocation.money import Money
from mechanisms import Outcome, Payments, serving_costs
from mechanisms.rules.paper import PaperRouter


class WelfareFirst(PaperRouter):
    """Maximises welfare, however many requests that serves."""

    __slots__ = ()

    def _match(self, market: Market) -> Allocation:
        capacities = np.minimum(market.capacities, self.slots)
        grains = self._grains(market)
        seen = Market(grains, np.zeros_like(grains), capacities, market.weights > 0)
        return Allocation(MinCostFlow().allocate(seen).agents)


class NoFreeService(PaperRouter):
    """Whoever is not matched is not served."""

    __slots__ = ()

    def run(self, market: Market) -> Outcome:
        matched = self._match(market)
        return Outcome(market, matched, Payments(self._charges(market, matched), serving_costs(market, matched)))


class PerBidder(PaperRouter):
    """Removes all requests of a bidder at once; the first that is matched bears the charge."""

    __slots__ = ()

    def _charges(self, market: Market, matched: Allocation) -> Money:
        total, charges = self._welfare(market, matched), market.take(market.costs, matched)
        weights = market.take(market.weights, matched)
        for bidder in market.players:
            mine = market.requests_of(bidder)
            rest = market.without(bidder)
            bearers = mine[matched.served[mine]][:1]
            charges[bearers] += max(0, self._welfare(rest, self._match(rest)) - (total - int(weights[mine].sum())))
        return charges
