"""The lowest prices that support an allocation, or a proof that it is not optimal.

They are shortest distances from node 0, "unserved", in the residual graph (see `paths.residual`), with the sign turned;
they exist exactly where no cycle is negative (Bellman 1958; Leonard 1983). Nothing is believed of the allocation: all
pairs are read. Only nodes with a request need a row of arcs, so that the table is no larger than the market.
"""

import numpy as np

from allocation.kernels.compile.caching import compiled
from allocation.kernels.compile.signatures import MATRIX, NUMBER, ROW, VECTOR, inner
from allocation.kernels.pairs.offers import FAR, weight
from allocation.kernels.paths.residual import shorten


@inner
def _table(weights, at, capacities):
    """Rows (L, M + 1) of arc lengths, the node of each, node 0 first, and the row of each node (M + 1,), -1 without."""
    size = weights.shape[1] + 1
    loads, row, nodes = np.zeros(size, np.int64), np.full(size, -1), np.zeros(size, np.int64)
    row[0], count = 0, 1
    for j in at:
        loads[j] += 1
        if row[j] < 0:
            row[j], nodes[count] = count, j
            count += 1
    lengths = np.full((count, size), FAR)
    lengths[0] = 0
    for i in range(at.size):
        shorten(weights[i], weight(weights, i, at[i]), lengths[row[at[i]]])
    for r in range(1, count):
        if loads[nodes[r]] < capacities[nodes[r] - 1]:
            lengths[r, 0] = min(lengths[r, 0], 0)
    return lengths, nodes[:count], row


@inner
def _relax(j, arcs, dist, before, row, moved):
    """Lower distances through the arcs out of node j: first a look without branches, for most rows shorten nothing."""
    base, found = dist[j], False
    for k in range(dist.size):
        found |= base + arcs[k] < dist[k]
    if found:
        for k in range(dist.size):
            if arcs[k] < FAR and base + arcs[k] < dist[k]:
                dist[k], before[k] = base + arcs[k], j
                if row[k] >= 0:
                    moved[row[k]] = True


@inner
def _next(nodes, dist, moved, due):
    """The row that is due of a node that moved, and lies nearest to node 0; -1 if there is none."""
    found = -1
    for r in range(nodes.size):
        if moved[r] and due[r] and (found < 0 or dist[nodes[r]] > dist[nodes[found]]):
            found = r
    return found


@inner
def _distances(lengths, nodes, row, capacities, dist, before):
    """Bellman and Ford's rounds, nearest nodes first; returns a node that a negative cycle leads to, else -1."""
    dist[:] = lengths[0]
    before[:] = 0
    moved, due = np.ones(nodes.size, np.bool_), np.ones(nodes.size, np.bool_)
    moved[0] = False
    r = _next(nodes, dist, moved, due)
    for _ in range(nodes.size + 1):
        if r < 0:
            break
        while r >= 0:
            moved[r] = due[r] = False
            _relax(nodes[r], lengths[r], dist, before, row, moved)
            if dist[0] < 0:
                return np.int64(0)
            r = _next(nodes, dist, moved, due)
        due[:] = True
        r = _next(nodes, dist, moved, due)
    if r >= 0:
        return nodes[r]
    for k in range(1, dist.size):
        # An agent without requests that has a price and free capacity: the price may fall.
        if row[k] < 0 and dist[k] < 0 and capacities[k - 1] > 0:
            before[0] = k
            return np.int64(0)
    return np.int64(-1)


@compiled(NUMBER(MATRIX, VECTOR, VECTOR, ROW, ROW))
def lowest_prices(weights, at, capacities, prices, before):
    """Writes the lowest supporting prices (M + 1,), node 0 first, and the node before each on its shortest path.

    Args:
        weights: (N, M).
        at: (N,) nodes.
        capacities: (M,).

    Returns:
        -1, or where the allocation is not optimal a node on a cycle in `before` along which moving requests gains.
    """
    lengths, nodes, row = _table(weights, at, capacities)
    node = _distances(lengths, nodes, row, capacities, prices, before)
    if node >= 0:
        for _ in range(prices.size):
            node = before[node]
    for k in range(prices.size):
        prices[k] = -prices[k]
    return node
