"""Rules that look at no externality: `ProportionalShare` of the cost, and `Free` service in random order."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from allocation import UNSERVED, Allocation, Allocator, Market, MinCostFlow
from allocation.checks import integer_of
from allocation.market import as_market
from allocation.ties import serial_allocations
from mechanisms.outcome import Payments, asked, serving_costs
from mechanisms.promises import Domain, Promises


@dataclass(frozen=True, slots=True)
class ProportionalShare:
    """The round's whole cost is shared among the served in proportion to their reported values, rounded up.

    Balanced to within one micro-unit per request, and not truthful: a lower report is charged less (Moulin 2002 surveys
    such rules). Where total cost or a served value is not positive, each pays the cost of their own requests.
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
        receipts = serving_costs(market, allocation)
        values, costs = market.take(market.values, allocation).tolist(), market.take(market.costs, allocation)
        served = allocation.served.tolist()
        cost, total = int(receipts.sum()), sum(values)
        if cost <= 0 or min((value for value, here in zip(values, served, strict=True) if here), default=0) <= 0:
            return Payments(costs, receipts)
        return Payments(np.array([-(-value * cost // total) for value in values], np.int64), receipts)


@dataclass(frozen=True, slots=True)
class RandomPriority:
    """Random serial dictatorship: in a drawn order each bidder takes the free agents of most value, whatever the cost.

    Truthful without money (Abdulkadiroglu and Sonmez 1998), since the order depends on the seed and on how many bidders
    there are, and each bidder in turn gets what they ask for.
    """

    seed: int = 0
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        integer_of(self.seed, "seed", 0)

    def allocate(self, market: Market) -> Allocation:
        """A feasible allocation without prices."""
        agents = np.full(as_market(market).shape[0], UNSERVED)
        free = market.capacities.copy()
        for bidder in self._order(market):
            mine = market.requests_of(bidder)
            agents[mine] = MinCostFlow().allocate(_offer(market, mine, free)).agents
            free = free - np.bincount(agents[mine][agents[mine] >= 0], minlength=free.size)
        return Allocation(agents)

    def ties(self, market: Market) -> tuple[Allocation, ...]:
        """What follows from every choice among equally good bundles, in the drawn order; the one of `allocate` first.

        Raises:
            TieError: there are too many to list.
        """
        as_market(market)
        return serial_allocations(market, self._order(market), partial(_offer, market))

    def _order(self, market: Market) -> list[int]:
        players = np.array(market.players, np.int64)
        order: list[int] = np.random.default_rng([self.seed, players.size]).permutation(players).tolist()
        return order


@dataclass(frozen=True, slots=True)
class Free:
    """No charges and no receipts; agents bear their own cost. Truthful over `RandomPriority`, over little else."""

    promises: ClassVar[Promises] = dict.fromkeys(("truthful", "individually-rational", "balanced"), Domain.EVERYWHERE)

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Zeros, (N,) and (M,)."""
        asked(market, allocation)
        n, m = market.shape
        return Payments(np.zeros(n, np.int64), np.zeros(m, np.int64))


def _offer(market: Market, mine: NDArray[np.intp], free: NDArray[np.int64]) -> Market:
    """What a bidder chooses from in their turn: their own requests, the free capacity, at no cost."""
    return market.requests(mine).replace(costs=np.zeros_like(market.costs[mine]), capacities=free)
