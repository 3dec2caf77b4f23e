"""Payment rules without externalities: `PayAsBid` and `PostedPrice`."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from allocation import MAX_AMOUNT, Allocation, Allocator, Market, MinCostFlow
from allocation.market import as_market
from allocation.ties import serial_allocations
from mechanisms.errors import MechanismError
from mechanisms.outcome import Payments, asked, serving_costs
from mechanisms.promises import Domain, Promises


@dataclass(frozen=True, slots=True)
class PayAsBid:
    """Every served request pays its reported value: the first-price rule, under which understating gains.

    Example:
        >>> from mechanisms import Mechanism
        >>> market = Market(values=[[9], [7], [4]], costs=[[1], [1], [1]], capacities=[2])
        >>> Mechanism(MinCostFlow(), PayAsBid()).run(market).payments.charges.tolist()
        [9, 7, 0]
    """

    promises: ClassVar[Promises] = {
        "individually-rational": Domain.EVERYWHERE,
        "agents-rational": Domain.EVERYWHERE,
        "no-deficit": Domain.EVERYWHERE,
        "efficient": Domain.EVERYWHERE,
    }

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges (N,) and receipts (M,)."""
        asked(market, allocation)
        return Payments(market.take(market.values, allocation), serving_costs(market, allocation))


@dataclass(frozen=True, slots=True)
class PostedPrice:
    """Every served request pays the pair's cost plus a markup that nobody's report can move.

    Truthful only over an allocator that lets each bidder pick their favourite at these very prices: `FirstCome`.

    Args:
        markup: micro-units per request served, >= 0.

    Example:
        >>> from mechanisms import Mechanism
        >>> market = Market(values=[[9], [7], [4]], costs=[[1], [1], [1]], capacities=[2])
        >>> Mechanism(FirstCome(markup=2), PostedPrice(markup=2)).run(market).payments.charges.tolist()
        [3, 3, 0]
    """

    markup: int = 0

    def __post_init__(self) -> None:
        _check_markup(self.markup)

    @property
    def promises(self) -> Promises:
        """Without a markup the auctioneer keeps nothing as well."""
        names = ("truthful", "individually-rational", "agents-rational", "no-deficit" if self.markup else "balanced")
        return dict.fromkeys(names, Domain.EVERYWHERE)

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges (N,) and receipts (M,)."""
        asked(market, allocation)
        charges = market.take(market.costs, allocation) + np.where(allocation.served, self.markup, 0)
        return Payments(charges, serving_costs(market, allocation))


@dataclass(frozen=True, slots=True)
class FirstCome:
    """Bidders choose in order of first request, each the best bundle that is left at cost plus `markup`.

    The order depends on arrival alone, and a bidder with several requests chooses for all of them at once.
    """

    markup: int = 0
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_markup(self.markup)

    def allocate(self, market: Market) -> Allocation:
        """A feasible allocation without prices."""
        agents = np.full(as_market(market).shape[0], -1)
        free = market.capacities.copy()
        for bidder in market.players:
            mine = market.requests_of(bidder)
            agents[mine] = MinCostFlow().allocate(self._offer(market, mine, free)).agents
            free = free - np.bincount(agents[mine][agents[mine] >= 0], minlength=free.size)
        return Allocation(agents)

    def ties(self, market: Market) -> tuple[Allocation, ...]:
        """What follows from every choice among equally good bundles; the one of `allocate` first.

        Raises:
            TieError: there are too many to list.
        """
        as_market(market)
        return serial_allocations(market, market.players, partial(self._offer, market))

    def _offer(self, market: Market, mine: NDArray[np.intp], free: NDArray[np.int64]) -> Market:
        # Nobody buys at the greatest amount of money, and beyond it there are no costs.
        asked = np.minimum(market.costs[mine] + self.markup, MAX_AMOUNT)
        return market.requests(mine).replace(costs=asked, capacities=free)


def _check_markup(markup: int) -> None:
    if isinstance(markup, bool) or not isinstance(markup, int) or markup < 0:
        raise MechanismError(f"markup = {markup!r}; expected micro-units, an integer >= 0")
