"""The residual graph of an allocation in progress: M agents and node 0, "unserved", and what moving a request costs.

Node k + 1 is agent k. `lengths[j, k]` is the least welfare lost by moving one request from node j to node k, and
`lengths[0, k] <= 0`, for a price may fall to 0 without any request moving. With prices q (q_0 = 0) an allocation is
optimal exactly when lengths[j, k] - q_j + q_k >= 0 everywhere, no agent is overfull, and every agent with a price is
full (Ahuja, Magnanti and Orlin 1993, chapter 9).

Arcs out of a node are computed when a search reaches it: all of them the first time; later those that a request which
left was the first to take, for these may have become longer.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from allocation.kernels.compile.signatures import inlined, inner
from allocation.kernels.pairs.offers import FAR, weight

#: To read one pair of each request at a node takes as long as so many where all pairs are read.
_COLUMN = 4


class Residual(NamedTuple):
    """Requests at node j are `members[start[j] : start[j] + loads[j]]`, and `place` (N,) is their index there.

    `at` (N,) is the node of each request, -1 for one that waits. Where `stale` (M + 1, M + 1) says so `lengths` are not
    known, but no less than what is there; where a node was not `reached` (M + 1,) its rows of both hold nothing yet.
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
    reached: NDArray[np.bool_]


@inner
def residual(weights, capacities, prices, at):
    """The graph of the allocation `at`; it changes `prices` and `at` in place."""
    n, m = weights.shape
    start = np.zeros(m + 2, np.int64)
    start[1] = n + 1
    for k in range(m):
        start[k + 2] = start[k + 1] + min(capacities[k], n) + 1
    loads, members, place = np.zeros(m + 1, np.int64), np.empty(start[m + 1], np.int64), np.empty(n, np.int64)
    lengths, stale = np.empty((m + 1, m + 1), np.int64), np.empty((m + 1, m + 1), np.bool_)
    reached = np.zeros(m + 1, np.bool_)
    graph = Residual(weights, capacities, prices, at, loads, start, members, place, lengths, stale, reached)
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


@inlined
def present(graph, j):
    """The requests at node j."""
    return graph.members[graph.start[j] : graph.start[j] + graph.loads[j]]


@inner
def refresh(graph, j):
    """Compute the stale arcs out of node j; returns the work done."""
    arcs, stale, here = graph.lengths[j], graph.stale[j], present(graph, j)
    count = 0
    for k in range(stale.size):
        count += stale[k]
    if not graph.reached[j] or _COLUMN * count > stale.size:
        graph.reached[j] = True
        arcs[:] = 0 if j == 0 else FAR
        for i in here:
            shorten(graph.weights[i], weight(graph.weights, i, j), arcs)
        stale[:] = False
        return stale.size * here.size
    for k in range(stale.size if count > 0 else 0):
        if stale[k]:
            least = 0 if j == 0 else FAR
            for i in here:
                least = min(least, weight(graph.weights, i, j) - weight(graph.weights, i, k))
                if least == arcs[k]:
                    break
            arcs[k], stale[k] = least, False
    return count * here.size * _COLUMN


@inner
def insert(graph, j, i):
    """Request i, which waits, to node j."""
    graph.at[i], graph.place[i] = j, graph.start[j] + graph.loads[j]
    graph.members[graph.place[i]] = i
    graph.loads[j] += 1
    if graph.reached[j]:
        shorten(graph.weights[i], weight(graph.weights, i, j), graph.lengths[j])


@inner
def remove(graph, i):
    """Request i from its node; then it waits."""
    j = graph.at[i]
    graph.loads[j] -= 1
    last = graph.members[graph.start[j] + graph.loads[j]]
    graph.members[graph.place[i]], graph.place[last] = last, graph.place[i]
    graph.at[i] = -1
    if graph.reached[j]:
        row, arcs, stale, here = graph.weights[i], graph.lengths[j], graph.stale[j], weight(graph.weights, i, j)
        stale[0] |= here == arcs[0]
        for k in range(row.size):
            stale[k + 1] |= here - row[k] == arcs[k + 1]


@inner
def mover(graph, j, k):
    """The request at node j that loses least by moving to node k; -1 where a price falls instead."""
    length = graph.lengths[j, k]
    if j > 0 or length < 0:
        for i in present(graph, j):
            if weight(graph.weights, i, j) - weight(graph.weights, i, k) == length:
                return i
    return np.int64(-1)
