"""Rules that look at no externality: `ProportionalShare` of the cost, and `Free` service in random order."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocation import UNSERVED, Allocation, Allocator, Market, MinCostFlow
from mechanisms.outcome import Payments, serving_costs
from mechanisms.promises import Domain, Promises


@dataclass(frozen=True, slots=True)
class ProportionalShare:
    """The round's whole cost is shared among the served in proportion to their reported values, rounded up.

    Balanced to within one micro-unit per request, and paid in proportion to honesty: who says less pays less
    (Moulin 2002 surveys such rules). Where total cost or a served value is not positive, each pays his own cost.
    """

    promises: ClassVar[Promises] = {
        "individually-rational": Domain.EVERYWHERE,
        "no-deficit": Domain.EVERYWHERE,
        "efficient": Domain.EVERYWHERE,
    }

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges (N,) and receipts (M,)."""
        receipts = serving_costs(market, allocation)
        values, costs = market.take(market.values, allocation).tolist(), market.take(market.costs, allocation)
        served = allocation.served.tolist()
        cost, worth = int(receipts.sum()), sum(values)
        if cost <= 0 or min((value for value, here in zip(values, served, strict=True) if here), default=0) <= 0:
            return Payments(costs, receipts)
        return Payments(np.array([-(-value * cost // worth) for value in values], np.int64), receipts)


@dataclass(frozen=True, slots=True)
class RandomPriority:
    """Random serial dictatorship: in a drawn order each bidder takes the free slots worth most to him, cost or no cost.

    Truthful without money (Abdulkadiroglu and Sonmez 1998), since the order depends on the seed and on how many bidders
    there are, and a dictator gets what he asks for.
    """

    seed: int = 0
    exact: ClassVar[bool] = False

    def allocate(self, market: Market) -> Allocation:
        """A feasible allocation without prices."""
        agents = np.full(market.shape[0], UNSERVED)
        room = market.capacities.copy()
        players = np.array(market.players, np.int64)
        for bidder in np.random.default_rng([self.seed, players.size]).permutation(players).tolist():
            mine = market.requests_of(bidder)
            offer = market.requests(mine).replace(costs=np.zeros_like(market.costs[mine]), capacities=room)
            agents[mine] = MinCostFlow().allocate(offer).agents
            room = room - np.bincount(agents[mine][agents[mine] >= 0], minlength=room.size)
        return Allocation(agents)


@dataclass(frozen=True, slots=True)
class Free:
    """Nobody pays and nobody is paid; agents bear their own cost. Truthful over `RandomPriority`, over little else."""

    promises: ClassVar[Promises] = {
        "truthful": Domain.EVERYWHERE,
        "individually-rational": Domain.EVERYWHERE,
        "no-deficit": Domain.EVERYWHERE,
    }

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Zeros, (N,) and (M,)."""
        n, m = market.shape
        return Payments(np.zeros(n, np.int64), np.zeros(m, np.int64))
