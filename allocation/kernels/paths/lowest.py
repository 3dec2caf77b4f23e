"""The lowest prices that support an allocation, or a proof that it is not optimal.

They are shortest distances from node 0, "unserved", in the residual graph (see `paths.residual`), with the sign turned;
they exist exactly where no cycle is negative (Bellman 1958; Leonard 1983). Nothing is believed of the allocation: all
pairs are read. Only nodes with a request need a row of arcs, so that the table is no larger than the market.
"""

import numpy as np
from numba import njit

from allocation.kernels.compile.signatures import MATRIX, NUMBER, ROW, VECTOR, inner
from allocation.kernels.pairs.offers import FAR, weight
from allocation.kernels.paths.residual import shorten


@inner
def _table(weights, at, capacities):
    """Rows (L, M + 1) of arc lengths, and which of them each node has (M + 1,), -1 for one without requests."""
    size = weights.shape[1] + 1
    loads, row = np.zeros(size, np.int64), np.full(size, -1)
    count = 1
    row[0] = 0
    for i in range(at.size):
        loads[at[i]] += 1
        if row[at[i]] < 0:
            row[at[i]] = count
            count += 1
    lengths = np.full((count, size), FAR)
    lengths[0] = 0
    for i in range(at.size):
        shorten(weights[i], weight(weights, i, at[i]), lengths[row[at[i]]])
    for k in range(1, size):
        if row[k] >= 0 and loads[k] < capacities[k - 1]:
            lengths[row[k], 0] = min(lengths[row[k], 0], 0)
    return lengths, row


@inner
def _relax(j, arcs, dist, before, moved):
    """Lower distances through the arcs out of node j: first a look without branches, for most rows shorten nothing."""
    base, found = dist[j], False
    for k in range(dist.size):
        found |= base + arcs[k] < dist[k]
    if found:
        for k in range(dist.size):
            if arcs[k] < FAR and base + arcs[k] < dist[k]:
                dist[k], before[k], moved[k] = base + arcs[k], j, True


@inner
def _settle(lengths, row, capacities, dist, before):
    """Bellman and Ford's rounds; returns a node to which a negative cycle leads backwards, -1 where there is none."""
    dist[:] = lengths[0]
    before[:] = 0
    moved = np.ones(dist.size, np.bool_)
    last = 0
    for _ in range(dist.size):
        last = -1
        for j in range(dist.size):
            if moved[j]:
                last, moved[j] = j, False
                if row[j] >= 0:
                    _relax(j, lengths[row[j]], dist, before, moved)
                elif capacities[j - 1] > 0 and dist[j] < 0:
                    dist[0], before[0] = dist[j], j
            if dist[0] < 0:
                return np.int64(0)
        if last < 0:
            return np.int64(-1)
    return np.int64(last)


@njit(NUMBER(MATRIX, VECTOR, VECTOR, ROW, ROW), cache=True)
def lowest_prices(weights, at, capacities, prices, before):
    """Writes the lowest supporting prices (M + 1,), node 0 first, and the node before each on its shortest path.

    Args:
        weights: (N, M).
        at: (N,) nodes.
        capacities: (M,).

    Returns:
        -1, or where the allocation is not optimal a node on a cycle in `before` along which moving requests gains.
    """
    lengths, row = _table(weights, at, capacities)
    node = _settle(lengths, row, capacities, prices, before)
    if node >= 0:
        for _ in range(prices.size):
            node = before[node]
    for k in range(prices.size):
        prices[k] = -prices[k]
    return node
