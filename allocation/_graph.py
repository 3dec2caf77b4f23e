"""The compressed residual graph: M agents and node 0, "unserved"; who is where, and what moving anybody costs.

Node k + 1 is agent k. `lengths[j, k]` is the least welfare lost by moving one request from node j to node k, and
`lengths[0, k] <= 0`, for a price may fall to 0 without anybody moving. With prices q (q_0 = 0) an allocation is optimal
exactly when lengths[j, k] - q_j + q_k >= 0 everywhere, no agent is overfull, and every agent with a price is full
(Ahuja, Magnanti and Orlin 1993, chapter 9).

Rows of `lengths` are recomputed only when a search reaches a node that lost a request.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Longer than any path, short enough to be shifted by 16 bits.
FAR = 2**46


class State(NamedTuple):
    """A solve in progress: `members[start[j] : start[j] + loads[j]]` are the requests at node j, `place` their index.

    `stale` rows of `lengths` wait to be recomputed; `touched` nodes lost or won a request.
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
    touched: NDArray[np.bool_]


class Search(NamedTuple):
    """Scratch of one Dijkstra run, an entry per node.

    In order: packed distances of open nodes; prices, with a wall around settled nodes; distances; settled nodes in
    order; distances from the source alone; the path found; the goals.
    """

    open: NDArray[np.int64]
    walls: NDArray[np.int64]
    dist: NDArray[np.int64]
    order: NDArray[np.int64]
    first: NDArray[np.int64]
    path: NDArray[np.int64]
    goal: NDArray[np.bool_]


@njit
def bits(nodes):
    shift = 1
    while (1 << shift) <= nodes:
        shift += 1
    return shift


@njit
def copy(source, target):
    """`target[:] = source`, without the shape check that takes seconds to compile."""
    for k in range(target.size):
        target[k] = source[k]


@njit
def _lower_row(row, base, lengths):
    for k in range(row.size):
        lengths[k] = min(lengths[k], base - row[k])


@njit
def refresh(state, j):
    """Recompute the arcs out of node j; returns the work done."""
    arcs = state.lengths[j]
    if j == 0:
        arcs[:] = 0
    else:
        arcs[:] = FAR
    first = state.start[j]
    for t in range(first, first + state.loads[j]):
        row = state.weights[state.members[t]]
        base = 0
        if j > 0:
            base = row[j - 1]
            arcs[0] = min(arcs[0], base)
        _lower_row(row, base, arcs[1:])
    state.stale[j] = False
    return (state.loads[j] + 2) * arcs.size


@njit
def insert(state, j, i):
    t = state.start[j] + state.loads[j]
    state.members[t] = i
    state.place[i] = t
    state.loads[j] += 1
    state.at[i] = j
    state.touched[j] = True
    if not state.stale[j]:
        row, base = state.weights[i], 0
        if j > 0:
            base = row[j - 1]
            state.lengths[j, 0] = min(state.lengths[j, 0], base)
        _lower_row(row, base, state.lengths[j, 1:])


@njit
def remove(state, j, i):
    last = state.members[state.start[j] + state.loads[j] - 1]
    state.members[state.place[i]] = last
    state.place[last] = state.place[i]
    state.loads[j] -= 1
    state.stale[j] = True
    state.touched[j] = True


@njit
def mover(state, j, k):
    """The request at node j that loses least by moving to node k; -1 where a price falls instead."""
    length = state.lengths[j, k]
    if j == 0 and length == 0:
        return -1
    first = state.start[j]
    for t in range(first, first + state.loads[j]):
        i = state.members[t]
        here = 0 if j == 0 else state.weights[i, j - 1]
        there = 0 if k == 0 else state.weights[i, k - 1]
        if here - there == length:
            return i
    return -1


@njit
def begin(weights, capacities, prices, at):
    """A state in which nobody is placed yet, and the scratch for its searches."""
    n, m = weights.shape
    start = np.zeros(m + 2, np.int64)
    start[1] = n + 1
    for k in range(m):
        start[k + 2] = start[k + 1] + min(capacities[k], n) + 1
    state = State(
        weights,
        capacities,
        prices,
        at,
        np.zeros(m + 1, np.int64),
        start,
        np.empty(start[m + 1], np.int64),
        np.empty(n, np.int64),
        np.empty((m + 1, m + 1), np.int64),
        np.ones(m + 1, np.bool_),
        np.zeros(m + 1, np.bool_),
    )
    scratch = np.empty((6, m + 1), np.int64)
    return state, Search(
        scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5], np.empty(m + 1, np.bool_)
    )
