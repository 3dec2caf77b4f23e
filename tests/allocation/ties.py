"""Allocations by definition: all that are feasible, and those of a greedy for every order among equals."""

import itertools

import numpy as np

from allocation import UNSERVED, Allocation, CertificateError, Market
from allocation.money import Money


def every_allocation(market: Market) -> list[tuple[int, ...]]:
    """All feasible allocations."""
    n, m = market.shape
    found = []
    for agents in itertools.product(range(UNSERVED, m), repeat=n):
        try:
            market.check(Allocation(np.array(agents, np.int64)))
        except CertificateError:
            continue
        found.append(agents)
    return found


def agents_of(allocations: tuple[Allocation, ...]) -> list[tuple[int, ...]]:
    return [tuple(allocation.agents.tolist()) for allocation in allocations]


def by_orders(market: Market, ranks: Money) -> set[tuple[int, ...]]:
    """What a greedy does for every order of all pairs that puts higher ranks first."""
    n, m = market.shape
    pairs = [pair for pair in itertools.product(range(n), range(m)) if market.weights[pair] > 0]
    found = set()
    for order in itertools.permutations(pairs):
        if all(ranks[a] >= ranks[b] for a, b in itertools.pairwise(order)):
            agents, room = [UNSERVED] * n, market.capacities.tolist()
            for i, j in order:
                if agents[i] == UNSERVED and room[j] > 0:
                    agents[i], room[j] = j, room[j] - 1
            found.add(tuple(agents))
    return found
