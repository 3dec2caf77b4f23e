"""The published router's rule, to be audited beside the exact one: `PaperRouter`, and its constants, `PAPER`.

Read out of the public code behind IEMAS (arXiv:2603.17302) and written anew from that description. What sets it apart
from VCG: pairs count only if their welfare is positive; the allocation maximises how many are matched, and welfare
second; weights are rounded to a thousandth of a credit; every request is priced as if it had a bidder of its own;
and whoever is not matched is served all the same, free of charge, by the agent that is best for them.

The free service ignores capacity. A market's capacity is what an agent accepts, so the capacity that is *auctioned* is
a number of its own here, `slots`, at most the market's, and free service comes out of the rest. On a market whose
agents could take every request this is the published behaviour exactly; where an agent would have to take more than it
accepts, the rule has no feasible answer and raises. Every outcome is feasible in the market that it is given.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocation import FORBIDDEN, UNSERVED, Allocation, Market, MinCostFlow
from allocation.market import as_market
from allocation.money import MICROS, Money
from mechanisms.errors import MechanismError
from mechanisms.outcome import Outcome, Payments, serving_costs
from mechanisms.preferences import Preferences
from mechanisms.promises import Domain, Promises


@dataclass(frozen=True, slots=True)
class Published:
    """Constants of the public code: credits, seconds and counts."""

    worth: float = 100.0
    delay_cost: float = 5.0
    cost_scale: float = 0.02
    weight: float = 0.5
    batch: int = 16
    window_s: float = 0.010
    slots: int = 128

    def preferences(self, weight: float | None = None) -> Preferences:
        """`weight * worth * quality - (1 - weight) * delay_cost * seconds`; the weight is the bidder's type."""
        chosen = self.weight if weight is None else weight
        return Preferences.paper(chosen, worth=self.worth, delay_cost=self.delay_cost)


PAPER = Published()


@dataclass(frozen=True, slots=True)
class PaperRouter:
    """Cardinality before welfare, a charge per matched request, and free service for the rest.

    A matched request pays `cost + max(0, W(others alone) - (W - w))`, with W the rounded welfare of the
    cardinality-first matching and w its own welfare, unrounded.

    Args:
        slots: capacity auctioned per agent, >= 0; the published default of 128 never binds.
        grain: micro-units that weights are rounded to, half to even; 1000 is a thousandth of a credit, 1 is exact.

    Raises:
        MechanismError: slots < 0 or grain < 1.
    """

    slots: int = PAPER.slots
    grain: int = MICROS // 1000
    promises: ClassVar[Promises] = {"agents-rational": Domain.EVERYWHERE}

    def __post_init__(self) -> None:
        for name, least in (("slots", 0), ("grain", 1)):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise MechanismError(f"{name} = {number!r}; expected an integer >= {least}")

    def run(self, market: Market) -> Outcome:
        """Allocate and charge.

        Raises:
            MechanismError: free service would take an agent beyond its capacity.
        """
        matched = self._match(as_market(market))
        agents = np.where(matched.served, matched.agents, _favourites(market))
        loads = np.bincount(agents[agents != UNSERVED], minlength=market.shape[1])
        if (loads > market.capacities).any():
            agent = int((loads - market.capacities).argmax())
            raise MechanismError(
                f"PaperRouter sends {loads[agent]} requests to agent {agent}, which takes {market.capacities[agent]}: "
                "its free service ignores capacity; give every agent capacity for all, and limit `slots` instead"
            )
        allocation = Allocation(agents)
        return Outcome(market, allocation, Payments(self._charges(market, matched), serving_costs(market, allocation)))

    def _charges(self, market: Market, matched: Allocation) -> Money:
        """(N,) charges of the matched in micro-units, 0 for the others."""
        total = self._welfare(market, matched)
        charges = market.take(market.costs, matched)
        weights = market.take(market.weights, matched)
        for request in np.flatnonzero(matched.served).tolist():
            rest = market.requests(np.delete(np.arange(market.shape[0]), request))
            alone = self._welfare(rest, self._match(rest))
            charges[request] += max(0, alone - (total - int(weights[request])))
        return charges

    def _match(self, market: Market) -> Allocation:
        """The heaviest of the largest matchings along pairs of positive welfare, on rounded weights."""
        grains = self._grains(market)
        if grains.size == 0:
            return Allocation(np.full(market.shape[0], UNSERVED))
        # One more match outweighs any exchange of weights: no path from k to k + 1 matches loses more than their sum.
        bonus = 2 * int(grains.max(axis=1).sum()) + 1
        edges = market.weights > 0
        capacities = np.minimum(market.capacities, self.slots)
        lifted = Market(np.where(edges, grains + bonus, 0), np.zeros_like(grains), capacities, edges)
        return Allocation(MinCostFlow().allocate(lifted).agents)

    def _welfare(self, market: Market, matched: Allocation) -> int:
        return int(market.take(self._grains(market), matched).sum()) * self.grain

    def _grains(self, market: Market) -> Money:
        """(N, M) positive weights in grains, rounded half to even; 0 elsewhere."""
        whole, over = np.divmod(np.maximum(market.weights, 0), self.grain)
        grains: Money = whole + ((2 * over > self.grain) | ((2 * over == self.grain) & (whole % 2 == 1)))
        return grains

    def __str__(self) -> str:
        return f"PaperRouter, {self.slots} slot{'s' * (self.slots != 1)} per agent"


def _favourites(market: Market) -> Money:
    """(N,) the agent of greatest welfare for each request, even a negative one; UNSERVED where all are forbidden."""
    best: Money = market.weights.argmax(axis=1)
    best[market.weights.max(axis=1) == FORBIDDEN] = UNSERVED
    return best
