"""Many small markets in one call, solved request by request; and one, for `MinCostFlow`.

Successive shortest paths (Ahuja, Magnanti and Orlin 1993, chapter 9) without the machinery of `paths.augment`: arc
lengths are read off the requests when they are needed. Prices start at zero and rise only where an agent is full, so
nothing is ever left to fill.
"""

import numpy as np

from allocation.kernels.compile.caching import compiled
from allocation.kernels.compile.signatures import CUBE, TABLE, VECTOR, inner
from allocation.kernels.pairs.offers import FAR
from allocation.kernels.paths.lowest import lowest_prices


@inner
def _reach(row, here, base, by, price, dist, came, settled):
    """Lower the distances to all agents by what it costs to move request `by` there from node `here`."""
    own = 0 if here == 0 else row[here - 1] - price[here]
    for k in range(1, dist.size):
        away = base + own - row[k - 1] + price[k]
        if away < dist[k] and not settled[k]:
            dist[k] = away
            came[k] = by
    if base + own < dist[0]:
        dist[0] = base + own
        came[0] = by


@inner
def _place(weights, at, price, free, dist, came, settled, i):
    """Serve request i, or leave it out, on the shortest path to free capacity or out of the market."""
    dist[:] = FAR
    settled[:] = False
    _reach(weights[i], 0, 0, i, price, dist, came, settled)
    end = 0
    while True:
        for k in range(1, dist.size):
            if not settled[k] and (dist[k] < dist[end] or (dist[k] == dist[end] and end > 0 and free[k] > free[end])):
                end = k
        if free[end] > 0:
            break
        settled[end] = True
        for r in range(i):
            if at[r] == end:
                _reach(weights[r], end, dist[end], r, price, dist, came, settled)
        end = 0
    free[end] -= 1
    for k in range(1, dist.size):
        if settled[k]:
            price[k] += dist[end] - dist[k]
    while True:
        mover = came[end]
        at[mover], end = end, at[mover]
        if mover == i:
            return


@compiled((CUBE, VECTOR, TABLE, TABLE))
def solve_many(weights, capacities, nodes, prices):
    """Optimal nodes (B, N) and lowest supporting prices (B, M + 1) of B markets, written in place.

    Args:
        weights: (B, N, M).
        capacities: (M,).
        nodes: (B, N), 0 for unserved, k + 1 for agent k.
        prices: (B, M + 1), node 0 first.
    """
    free = np.empty(capacities.size + 1, np.int64)
    dist = np.empty(capacities.size + 1, np.int64)
    came = np.empty(capacities.size + 1, np.int64)
    settled = np.empty(capacities.size + 1, np.bool_)
    for b in range(weights.shape[0]):
        at, price = nodes[b], prices[b]
        price[:] = 0
        at[:] = -1
        free[0] = FAR
        for k in range(capacities.size):
            free[k + 1] = capacities[k]
        for i in range(at.size):
            _place(weights[b], at, price, free, dist, came, settled, i)
        lowest_prices(weights[b], at, capacities, price, came)
