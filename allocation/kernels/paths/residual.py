"""The residual graph of an allocation in progress: M agents and node 0, "unserved", and what moving a request costs.

Node k + 1 is agent k. `lengths[j, k]` is the least welfare lost by moving one request from node j to node k, and
`lengths[0, k] <= 0`, for a price may fall to 0 without any request moving. With prices q (q_0 = 0) an allocation is
optimal exactly when lengths[j, k] - q_j + q_k >= 0 everywhere, no agent is overfull, and every agent with a price is
full (Ahuja, Magnanti and Orlin 1993, chapter 9). Rows of `lengths` are computed when a search reaches their node.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from allocation.kernels.compile.signatures import inlined, inner
from allocation.kernels.pairs.offers import FAR, weight


class Residual(NamedTuple):
    """Requests at node j are `members[start[j] : start[j] + loads[j]]`, and `place` (N,) is their index there.

    `at` (N,) is the node of each request, -1 for one that waits. `stale` rows of `lengths` are to be computed anew.
    """

    weights: NDArray[np.int64]
    capacities: NDArray[np.int64]
    prices: NDArray[np.int64]
    at: NDArray[np.int64]
    loads: NDArray[np.int64]
    start: NDArray[np.int64]
    members: NDArray[np.int64]
    place: NDArray[np.int64]
    lengths: NDArray[np.int64]
    stale: NDArray[np.bool_]


@inner
def residual(weights, capacities, prices, at):
    """The graph of the allocation `at`; it changes `prices` and `at` in place."""
    n, m = weights.shape
    start = np.zeros(m + 2, np.int64)
    start[1] = n + 1
    for k in range(m):
        start[k + 2] = start[k + 1] + min(capacities[k], n) + 1
    loads, members, place = np.zeros(m + 1, np.int64), np.empty(start[m + 1], np.int64), np.empty(n, np.int64)
    graph = Residual(
        weights,
        capacities,
        prices,
        at,
        loads,
        start,
        members,
        place,
        np.empty((m + 1, m + 1), np.int64),
        np.ones(m + 1, np.bool_),
    )
    for i in range(n):
        if at[i] >= 0:
            insert(graph, at[i], i)
    return graph


@inlined
def shorten(row, here, arcs):
    """Lower the arcs (M + 1,) out of a node to what it costs to move a request there whose welfare is `here`."""
    arcs[0] = min(arcs[0], here)
    others = arcs[1:]
    for k in range(row.size):
        others[k] = min(others[k], here - row[k])


@inner
def refresh(graph, j):
    """Compute the arcs out of node j, if they are stale; returns the work done."""
    if not graph.stale[j]:
        return 0
    arcs = graph.lengths[j]
    arcs[:] = 0 if j == 0 else FAR
    graph.stale[j] = False
    for i in graph.members[graph.start[j] : graph.start[j] + graph.loads[j]]:
        shorten(graph.weights[i], weight(graph.weights, i, j), arcs)
    return arcs.size * graph.loads[j]


@inner
def insert(graph, j, i):
    """Request i, which waits, to node j."""
    graph.at[i], graph.place[i] = j, graph.start[j] + graph.loads[j]
    graph.members[graph.place[i]] = i
    graph.loads[j] += 1
    if not graph.stale[j]:
        shorten(graph.weights[i], weight(graph.weights, i, j), graph.lengths[j])


@inner
def remove(graph, i):
    """Request i from its node; then it waits."""
    j = graph.at[i]
    graph.loads[j] -= 1
    last = graph.members[graph.start[j] + graph.loads[j]]
    graph.members[graph.place[i]], graph.place[last] = last, graph.place[i]
    graph.at[i] = -1
    graph.stale[j] = True


@inner
def mover(graph, j, k):
    """The request at node j that loses least by moving to node k; -1 where a price falls instead."""
    length = graph.lengths[j, k]
    if j > 0 or length < 0:
        for i in graph.members[graph.start[j] : graph.start[j] + graph.loads[j]]:
            if weight(graph.weights, i, j) - weight(graph.weights, i, k) == length:
                return i
    return np.int64(-1)
