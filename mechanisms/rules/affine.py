"""Affine maximisers: VCG with bidders' weights, agents' boosts, and reserve prices.

Roberts (1979): over unrestricted valuations of at least three outcomes, the allocations that can be made truthful are
those that maximise a weighted sum of values plus a constant per outcome. Here bidder b's welfare counts `weights[b]`
times and each unit of capacity used at agent j adds `boosts[j]`; a boost of -r is a reserve price of r above cost.
Nothing of this may depend on a report.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from allocation import Allocation, Allocator, Market, MarketError, MinCostFlow, tied_allocations
from allocation.allocator import as_allocator
from allocation.market import as_market
from allocation.money import Money
from mechanisms.errors import MechanismError
from mechanisms.outcome import Outcome, Payments, serving_costs
from mechanisms.promises import Domain, Promises
from mechanisms.rules.vcg import VCG


@dataclass(frozen=True, slots=True)
class AffineMaximizer:
    """Maximises `sum of weight * (value - cost) + boost` and charges the externality in the bidder's own scale.

    A bidder pays their cost plus `(what the others and the boosts lose by them) / weight`, rounded up. Rounding up
    keeps truth-telling dominant: values are integers, so v - w >= x - y implies v - w >= ceil(x) - ceil(y).

    Args:
        allocator: must be exact; `mechanisms.pairs` has what is promised over another.
        weights: how often a bidder's welfare counts, integers >= 1, by bidder; 1 for bidders not named. A sequence
            weighs bidders 0, 1, and so on.
        boosts: (M,) micro-units per request served at each agent, or one for all; may be negative. A positive one is a
            subsidy that the auctioneer pays, and the promise of no deficit is void.

    Raises:
        MechanismError: a weight is no integer >= 1, or a boost no integer.
    """

    allocator: Allocator = field(default_factory=MinCostFlow)
    weights: tuple[int, ...] | Mapping[int, int] = (2,)
    boosts: tuple[int, ...] | int = 0
    promises: ClassVar[Promises] = {
        "truthful": Domain.EVERYWHERE,
        "individually-rational": Domain.EVERYWHERE,
        "agents-rational": Domain.EVERYWHERE,
        "no-deficit": Domain.EVERYWHERE,
    }

    def __post_init__(self) -> None:
        as_allocator(self.allocator)
        if not isinstance(self.weights, Mapping | tuple | list):
            raise MechanismError(f"weights = {self.weights!r}; expected one per bidder, or a mapping from bidders")
        named = self.weights.values() if isinstance(self.weights, Mapping) else self.weights
        for weight in named:
            if isinstance(weight, bool) or not isinstance(weight, int) or weight < 1:
                raise MechanismError(
                    f"weight {weight!r}; expected an integer >= 1, in place of fractions scale them all"
                )
        for boost in self.boosts if isinstance(self.boosts, tuple) else (self.boosts,):
            if isinstance(boost, bool) or not isinstance(boost, int):
                raise MechanismError(f"boost {boost!r}; expected micro-units, an integer")

    def run(self, market: Market) -> Outcome:
        """Allocate and charge.

        Raises:
            MechanismError: there is not one boost per agent.
            MarketError: weights times values leave the range of money.
        """
        seen = self._seen(market)
        return self._charged(market, seen, self.allocator.allocate(seen))

    def outcomes(self, market: Market) -> tuple[Outcome, ...]:
        """One outcome for every allocation that some tie-break would choose; that of `run` first.

        Raises:
            TieError: the allocator does not say what its ties are, or there are too many.
            MechanismError, MarketError: as `run`.
        """
        seen = self._seen(market)
        return tuple(self._charged(market, seen, allocation) for allocation in tied_allocations(self.allocator, seen))

    def _seen(self, market: Market) -> Market:
        """The market of weighted welfare, boosts included."""
        scales, boosts = self._scales(as_market(market)), self._boosts(market)
        return Market(
            market.values * scales[:, None],
            market.costs * scales[:, None] - boosts,
            market.capacities,
            market.feasible,
            market.bidders,
        )

    def _charged(self, market: Market, seen: Market, allocation: Allocation) -> Outcome:
        seen.check(allocation)
        scales = self._scales(market)
        there = VCG().charge(seen, allocation, self.allocator).charges
        # VCG there charges weight * cost - boost + externality; all but the bidder's own cost is in the common scale.
        beyond = there - seen.take(market.costs * scales[:, None], allocation)
        charges = market.take(market.costs, allocation) + _per_bidder_ceiling(market, beyond, scales)
        served = Allocation(allocation.agents)
        return Outcome(market, served, Payments(charges, serving_costs(market, served)))

    def _scales(self, market: Market) -> Money:
        weights = self.weights if isinstance(self.weights, Mapping) else dict(enumerate(self.weights))
        scales = np.array([weights.get(bidder, 1) for bidder in market.bidders.tolist()], np.int64)
        peak = int(np.abs(market.values).max(initial=0))
        if peak * int(scales.max(initial=1)) >= 2**62:
            raise MarketError(
                f"weight {scales.max()} times a value of {peak} micro-units overflows; use smaller weights"
            )
        return scales

    def _boosts(self, market: Market) -> Money:
        boosts = np.asarray(self.boosts, np.int64)
        if boosts.ndim == 1 and boosts.size != market.shape[1]:
            raise MechanismError(
                f"{boosts.size} boosts for {market.shape[1]} agents; give one per agent, or one integer"
            )
        return boosts

    def __str__(self) -> str:
        return f"AffineMaximizer over {type(self.allocator).__name__}"


@dataclass(frozen=True, slots=True)
class ReserveVCG:
    """VCG in which no request is served for less than its cost plus a reserve (Vickrey 1961; Myerson 1981 for why).

    The allocation maximises the welfare above reserves; a bidder pays the greater of cost plus reserve and their
    externality, as VCG would if the reserve were a cost. The auctioneer keeps the reserve.

    Args:
        allocator: must be exact.
        reserve: micro-units per request above cost, one for all agents or (M,), each >= 0.

    Raises:
        MechanismError: a reserve is no integer >= 0.

    Example:
        >>> market = Market(values=[[9], [7], [4]], costs=[[1], [1], [1]], capacities=[2])
        >>> ReserveVCG(reserve=5).run(market).payments.charges.tolist()
        [6, 6, 0]
    """

    allocator: Allocator = field(default_factory=MinCostFlow)
    reserve: tuple[int, ...] | int = 1
    promises: ClassVar[Promises] = AffineMaximizer.promises

    def __post_init__(self) -> None:
        as_allocator(self.allocator)
        for reserve in self.reserve if isinstance(self.reserve, tuple) else (self.reserve,):
            if isinstance(reserve, bool) or not isinstance(reserve, int) or reserve < 0:
                raise MechanismError(f"reserve {reserve!r}; expected micro-units, an integer >= 0")

    def run(self, market: Market) -> Outcome:
        """Allocate and charge.

        Raises:
            MechanismError: there is not one reserve per agent.
        """
        return self._boosted.run(market)

    def outcomes(self, market: Market) -> tuple[Outcome, ...]:
        """One outcome for every allocation that some tie-break would choose; that of `run` first.

        Raises:
            TieError: the allocator does not say what its ties are, or there are too many.
            MechanismError: as `run`.
        """
        return self._boosted.outcomes(market)

    @property
    def _boosted(self) -> AffineMaximizer:
        boosts = tuple(-each for each in self.reserve) if isinstance(self.reserve, tuple) else -self.reserve
        return AffineMaximizer(self.allocator, (), boosts)

    def __str__(self) -> str:
        return f"ReserveVCG over {type(self.allocator).__name__}"


def _per_bidder_ceiling(market: Market, amounts: Money, scales: Money) -> Money:
    """(N,) each bidder's sum of amounts, divided by their scale and rounded up once, spread as the amounts were."""
    charges = -(-amounts // scales)
    for bidder in market.players:
        mine = market.requests_of(bidder)
        scale = int(scales[mine[0]])
        excess = int(charges[mine].sum()) + int(-amounts[mine].sum()) // scale
        charges[mine[np.flatnonzero(amounts[mine])[:1]]] -= excess
    return charges
