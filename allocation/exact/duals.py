"""Dual prices of an optimal allocation, and the way from any feasible allocation to an optimal one.

Both read the compressed residual graph of M + 1 nodes. Its shortest paths from "unserved" give the *minimal*
supporting prices, which are what the others would gain by each served request's removal (Leonard 1983; Demange, Gale
and Sotomayor 1986); a negative cycle is a reassignment that gains welfare (Klein 1967).
"""

from dataclasses import dataclass
from reprlib import repr as shown
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from allocation.allocation import UNSERVED, Allocation
from allocation.checks import rows_of
from allocation.errors import CertificateError, MarketError
from allocation.kernels.compile.loading import kernels
from allocation.market import Market, as_market
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
    as_market(market).check(allocation)
    prices, _, cycle = lowest(market.weights, allocation.agents + 1, market.capacities)
    if cycle >= 0:
        raise CertificateError("the allocation is not welfare-optimal: moving requests in a cycle gains welfare")
    return prices


def lowest(weights: Money, nodes: NDArray[np.int64], capacities: Money) -> tuple[Money, NDArray[np.int64], int]:
    """The lowest supporting prices (M,) of the allocation `nodes` (N,), 0 for unserved and k + 1 for agent k.

    And the node before each on its shortest path from "unserved", and a node on a negative cycle, -1 if there is none.
    """
    prices, before = np.empty((2, capacities.size + 1), np.int64)
    cycle = kernels("paths.lowest").lowest_prices(weights, nodes, capacities, prices, before)
    return prices[1:], before, cycle


def externalities(
    market: Market, allocation: Allocation, requests: NDArray[np.int64], first: NDArray[np.int64]
) -> Money:
    """(G,) welfare that the others would gain if all requests of bidder g left at once; 0 where none of them is served.

    Each removal repairs the optimum along one shortest path for each request that it served; nothing is solved again.

    Args:
        market: N requests, M agents.
        allocation: must be welfare-optimal.
        requests: as from `Market.shared`.
        first: bidder g owns `requests[first[g] : first[g + 1]]`.

    Raises:
        CertificateError: the allocation is not optimal, or not feasible.
        MarketError: `requests` and `first` are no groups of this market's requests.
    """
    as_market(market).check(allocation)
    owned, begin = rows_of(requests, market.shape[0], "requests"), np.asarray(first)
    if begin.ndim != 1 or not begin.size or begin.dtype.kind not in "iu":
        raise MarketError(
            f"first = {shown(first)}; expected where each bidder's requests begin, and where the last end"
        )
    if begin[0] != 0 or begin[-1] != owned.size or (np.diff(begin) < 0).any():
        raise MarketError(f"first = {begin.tolist()}; expected 0, ..., {owned.size}, rising, for {owned.size} requests")
    return gains_without(market, allocation, owned.astype(np.int64), begin.astype(np.int64))


def gains_without(
    market: Market, allocation: Allocation, requests: NDArray[np.int64], first: NDArray[np.int64]
) -> Money:
    """`externalities` of groups that are known to be of this market, as `Market.shared` has them.

    Raises:
        CertificateError: the allocation is not optimal, or not feasible.
    """
    if first.size == 1:
        return np.zeros(0, np.int64)
    prices = np.concatenate(([0], minimal_prices(market, allocation)))
    capacities = np.minimum(market.capacities, market.shape[0])
    nodes = allocation.agents + 1
    gains: Money = kernels("paths.removal").removals(market.weights, capacities, prices, nodes, requests, first)
    return gains


def improve(market: Market, allocation: Allocation) -> tuple[Allocation, int]:
    """Reassign along negative cycles until none is left.

    Solvers that work in floating point end here: where their vertex was optimal in exact integers, no cycle is found
    and this only adds the certificate.

    Returns:
        an optimal allocation with minimal prices, and how many cycles it took.
    """
    as_market(market).check(allocation)
    cycles = 0
    while True:
        prices, before, node = lowest(market.weights, allocation.agents + 1, market.capacities)
        if node < 0:
            return Lowest.of(market, allocation.agents, prices), cycles
        allocation = _rotate(market, allocation, before, node)
        cycles += 1


def _rotate(market: Market, allocation: Allocation, before: NDArray[np.int64], node: int) -> Allocation:
    """Along each arc of the cycle the request that loses least moves; or a price falls, if that loses less."""
    agents = allocation.agents.copy()
    free = np.concatenate(([True], market.loads(allocation) < market.capacities))
    k = node
    while True:
        j = int(before[k])
        there = np.flatnonzero(allocation.agents == j - 1)
        losses = _welfare(market, there, j) - _welfare(market, there, k)
        falls = free[j] and 0 in (j, k)
        if there.size and (not falls or losses.min() < 0):
            agents[there[losses.argmin()]] = k - 1 if k else UNSERVED
        k = j
        if k == node:
            return Allocation(agents)


def _welfare(market: Market, requests: NDArray[np.intp], node: int) -> Money:
    found: Money = market.weights[requests, node - 1] if node else np.zeros(requests.size, np.int64)
    return found
