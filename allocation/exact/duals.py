"""Dual prices of an optimal allocation, and the way from any feasible allocation to an optimal one.

Both read the compressed residual graph of M + 1 nodes. Its shortest paths from "unserved" give the *minimal*
supporting prices, which are what each served request's removal is worth to the others (Leonard 1983; Demange, Gale
and Sotomayor 1986); a negative cycle is a reassignment that gains welfare (Klein 1967).
"""

from dataclasses import dataclass
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from allocation.errors import CertificateError
from allocation.kernels.compile.loading import kernels
from allocation.market import UNSERVED, Allocation, Market
from allocation.money import Money


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Lowest(Allocation):
    """An optimal allocation that remembers for which market its prices are the lowest supporting ones.

    Made by solvers that end with these prices, so that payments need not look for them again.
    """

    market: ref[Market] | None = None

    @classmethod
    def of(cls, market: Market, agents: NDArray[np.int64], prices: Money) -> "Lowest":
        """The allocation, bound to its market."""
        return cls(agents, prices, ref(market))


def minimal_prices(market: Market, allocation: Allocation) -> Money:
    """(M,) the lowest dual prices that support an optimal allocation, from one shortest-path pass.

    Args:
        market: N requests, M agents.
        allocation: must be welfare-optimal; its own prices are not read.

    Raises:
        CertificateError: the allocation is not optimal, or not feasible.
    """
    if (
        isinstance(allocation, Lowest)
        and allocation.prices is not None
        and allocation.market is not None
        and allocation.market() is market
    ):
        return allocation.prices
    market.check(allocation)
    lengths, _ = _residual(market, allocation)
    dist, _, cycle = kernels("paths.bellman_ford").shortest_paths(lengths)
    if cycle >= 0:
        raise CertificateError("the allocation is not welfare-optimal: moving requests in a cycle gains welfare")
    prices: Money = -dist[1:]
    return prices


def externalities(
    market: Market, allocation: Allocation, requests: NDArray[np.int64], first: NDArray[np.int64]
) -> Money:
    """(G,) welfare that the others would gain if all requests of bidder g left at once; 0 for one who is not served.

    Each removal repairs the optimum along one shortest path for each slot set free; nothing is solved again.

    Args:
        market: N requests, M agents.
        allocation: must be welfare-optimal.
        requests: as from `Market.shared`.
        first: bidder g owns `requests[first[g] : first[g + 1]]`.

    Raises:
        CertificateError: the allocation is not optimal, or not feasible.
    """
    if first.size == 1:
        return np.zeros(0, np.int64)
    prices = np.concatenate(([0], minimal_prices(market, allocation)))
    capacities = np.minimum(market.capacities, market.shape[0])
    rows = kernels("pairs.rows").dense(market.weights)
    gains: Money = kernels("paths.removal").removals(rows, capacities, prices, allocation.agents + 1, requests, first)
    return gains


def improve(market: Market, allocation: Allocation) -> tuple[Allocation, int]:
    """Reassign along negative cycles until none is left.

    Solvers that work in floating point end here: where their vertex was optimal in exact integers, no cycle is found
    and this only adds the certificate.

    Returns:
        an optimal allocation with minimal prices, and how many cycles it took.
    """
    market.check(allocation)
    cycles = 0
    while True:
        lengths, movers = _residual(market, allocation)
        dist, before, node = kernels("paths.bellman_ford").shortest_paths(lengths)
        if node < 0:
            return Lowest.of(market, allocation.agents, -dist[1:]), cycles
        allocation = _rotate(allocation, movers, before, int(node))
        cycles += 1


def _residual(market: Market, allocation: Allocation) -> tuple[Money, Money]:
    loads = np.concatenate(([0], market.loads(allocation)))
    lengths, movers = kernels("paths.bellman_ford").residual_lengths(
        market.weights, allocation.agents + 1, loads, market.capacities
    )
    return lengths, movers


def _rotate(allocation: Allocation, movers: Money, before: Money, node: int) -> Allocation:
    agents = allocation.agents.copy()
    k = node
    while True:
        j = int(before[k])
        mover = movers[j, k]
        if mover >= 0:
            agents[mover] = k - 1 if k else UNSERVED
        k = j
        if k == node:
            return Allocation(agents)
