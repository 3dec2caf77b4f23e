"""Allocators to compare against: exhaustive, greedy, random."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocation.allocation import UNSERVED, Allocation
from allocation.checks import integer_of
from allocation.errors import SolverError
from allocation.exact.duals import improve
from allocation.market import FORBIDDEN, Market, as_market
from allocation.ties import greedy_allocations


@dataclass(frozen=True, slots=True)
class BruteForce:
    """Tries every feasible allocation; the first of the best wins. The oracle of the other exact allocators."""

    limit: int = 2_000_000
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        integer_of(self.limit, "limit", 1)

    def allocate(self, market: Market) -> Allocation:
        """An optimal allocation with minimal prices.

        Raises:
            SolverError: more than `limit` assignments would have to be tried.
        """
        n, m = as_market(market).shape
        if (m + 1) ** n > self.limit:
            raise SolverError(f"{m + 1}^{n} assignments exceed the limit of {self.limit}; use MinCostFlow()")
        weights = [[int(w) for w in row] for row in market.weights]
        best, winner = -1, (UNSERVED,) * n
        for agents in _assignments(n, market.capacities.tolist()):
            worth = sum(weights[i][j] for i, j in enumerate(agents) if j != UNSERVED)
            if worth > best:
                best, winner = worth, agents
        return improve(market, Allocation(np.array(winner, dtype=np.int64)))[0]


def _assignments(n: int, room: list[int]) -> Iterator[tuple[int, ...]]:
    if n == 0:
        yield ()
        return
    for rest in _assignments(n - 1, room):
        yield (*rest, UNSERVED)
        for j, slots in enumerate(room):
            if rest.count(j) < slots:
                yield (*rest, j)


@dataclass(frozen=True, slots=True)
class Greedy:
    """Takes pairs by falling welfare while they fit and add welfare; ties to the lower request, then the lower agent.

    At least half of the optimum (Lehmann, Lehmann and Nisan 2006), and not what VCG payments need.
    """

    exact: ClassVar[bool] = False

    def allocate(self, market: Market) -> Allocation:
        """A maximal allocation without prices."""
        n, m = as_market(market).shape
        agents = np.full(n, UNSERVED)
        room = market.capacities.tolist()
        flat = market.weights.ravel()
        for pair in np.argsort(-flat, kind="stable").tolist():
            if flat[pair] <= 0:
                break
            i, j = divmod(pair, m)
            if agents[i] == UNSERVED and room[j] > 0:
                agents[i] = j
                room[j] -= 1
        return Allocation(agents)

    def ties(self, market: Market) -> tuple[Allocation, ...]:
        """What every order among pairs of equal welfare leads to; the order of `allocate` first.

        Raises:
            TieError: there are too many to list.
        """
        as_market(market)
        return greedy_allocations(market, market.weights, market.weights > 0)


@dataclass(frozen=True, slots=True)
class Random:
    """Requests in random order, each to a random agent that may serve it and has room; blind to values and costs.

    The draw depends on `seed` and on the market's shape, capacities and forbidden pairs alone: no report can move it.
    """

    seed: int = 0
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        integer_of(self.seed, "seed", 0)

    def allocate(self, market: Market) -> Allocation:
        """A feasible allocation without prices."""
        n, _ = as_market(market).shape
        rng = np.random.default_rng([self.seed, n])
        agents = np.full(n, UNSERVED)
        room = market.capacities.copy()
        for i in rng.permutation(n):
            open_to = np.flatnonzero((room > 0) & (market.weights[i] != FORBIDDEN))
            if open_to.size:
                agents[i] = rng.choice(open_to)
                room[agents[i]] -= 1
        return Allocation(agents)

    def ties(self, market: Market) -> tuple[Allocation, ...]:
        """What it draws, alone: a draw is the rule here, and no way to break ties."""
        return (self.allocate(market),)
