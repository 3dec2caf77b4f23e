"""The best welfare that any allocation of a market can have, computed without the allocators under audit."""

import math
from itertools import product

import numpy as np

from allocation import FORBIDDEN, Market, MinCostFlow
from allocation.money import Money

#: Largest table of free capacities that the dynamic program may build; and that of many markets at once.
_STATES, _SHARED_STATES = 4096, 64

#: Welfare of a state that cannot be reached.
_NOWHERE = -(2**61)


def optimum(market: Market) -> int:
    """Maximum of the welfare over all feasible allocations, in micro-units, exactly.

    Small markets: a dynamic program over requests, one state per vector of free capacities. Larger ones: an allocation
    whose dual prices prove it optimal (`Market.certify`), so that the solver which found it need not be believed.

    Raises:
        CertificateError: the proof of a large market's optimum fails, which is a bug of the solver.
    """
    n, _ = market.shape
    rooms = tuple(min(capacity, n) for capacity in market.capacities.tolist())
    if math.prod(room + 1 for room in rooms) > _STATES:
        return market.certify(MinCostFlow().allocate(market))
    best = {rooms: 0}
    for weights in market.weights.tolist():
        after = dict(best)
        for left, welfare in best.items():
            for agent, weight in enumerate(weights):
                if weight > 0 and left[agent] > 0:
                    taken = (*left[:agent], left[agent] - 1, *left[agent + 1 :])
                    after[taken] = max(after.get(taken, 0), welfare + weight)
        best = after
    return max(best.values())


def optima(weights: Money, template: Market) -> Money:
    """(B,) the `optimum` of many markets that differ in `weights` (B, N, M), value minus cost, alone.

    The same dynamic program, with a row of B numbers per state. Forbidden pairs, capacities and costs are the
    template's.
    """
    n, _ = template.shape
    rooms = tuple(min(capacity, n) for capacity in template.capacities.tolist())
    if math.prod(room + 1 for room in rooms) > _SHARED_STATES:
        return np.array([optimum(template.replace(values=one + template.costs)) for one in weights], np.int64)
    states = list(product(*(range(room + 1) for room in rooms)))
    best = dict.fromkeys(states, np.full(len(weights), _NOWHERE))
    best[rooms] = np.zeros(len(weights), np.int64)
    for request in range(n):
        after = dict(best)
        for agent in np.flatnonzero(template.weights[request] != FORBIDDEN).tolist():
            gain = weights[:, request, agent]
            for left in states:
                if left[agent] > 0:
                    state = (*left[:agent], left[agent] - 1, *left[agent + 1 :])
                    after[state] = np.maximum(after[state], best[left] + gain)
        best = after
    most: Money = np.array(list(best.values())).max(axis=0)
    return most
