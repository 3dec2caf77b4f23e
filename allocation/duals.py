"""Dual prices of an optimal allocation, and the way from any feasible allocation to an optimal one.

Both read the compressed residual graph of M + 1 nodes. Its shortest paths from "unserved" give the *minimal*
supporting prices, which are what each served request's removal is worth to the others (Leonard 1983; Demange, Gale
and Sotomayor 1986); a negative cycle is a reassignment that gains welfare (Klein 1967).
"""

import numpy as np

from allocation.errors import CertificateError
from allocation.market import UNSERVED, Allocation, Market
from allocation.money import Money


def minimal_prices(market: Market, allocation: Allocation) -> Money:
    """(M,) the lowest dual prices that support an optimal allocation, from one shortest-path pass.

    Args:
        market: N requests, M agents.
        allocation: must be welfare-optimal; its own prices are not read.

    Raises:
        CertificateError: the allocation is not optimal, or not feasible.
    """
    from allocation._kernels import shortest_paths

    market.check(allocation)
    lengths, _ = _residual(market, allocation)
    dist, _, cycle = shortest_paths(lengths)
    if cycle >= 0:
        raise CertificateError("the allocation is not welfare-optimal: moving requests in a cycle gains welfare")
    prices: Money = -dist[1:]
    return prices


def improve(market: Market, allocation: Allocation) -> tuple[Allocation, int]:
    """Reassign along negative cycles until none is left.

    Solvers that work in floating point end here: where their vertex was optimal in exact integers, no cycle is found
    and this only adds the certificate.

    Returns:
        an optimal allocation with minimal prices, and how many cycles it took.
    """
    from allocation._kernels import shortest_paths

    market.check(allocation)
    cycles = 0
    while True:
        lengths, movers = _residual(market, allocation)
        dist, before, node = shortest_paths(lengths)
        if node < 0:
            return Allocation(allocation.agents, -dist[1:]), cycles
        allocation = _rotate(allocation, movers, before, int(node))
        cycles += 1


def _residual(market: Market, allocation: Allocation) -> tuple[Money, Money]:
    from allocation._kernels import residual_lengths

    loads = np.concatenate(([0], market.loads(allocation)))
    lengths, movers = residual_lengths(market.weights, allocation.agents + 1, loads, market.capacities)
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
