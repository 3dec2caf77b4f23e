"""From good prices to an exact optimum: shortest augmenting paths on M agents and node 0, "unserved".

Node k + 1 is agent k. `lengths[j, k]` is the least welfare lost by moving one request from node j to node k, and
`lengths[0, k] <= 0`, for a price may fall to 0 without anybody moving. With prices q (q_0 = 0) an allocation is optimal
exactly when lengths[j, k] - q_j + q_k >= 0 everywhere, no agent is overfull, and every agent with a price is full
(Ahuja, Magnanti and Orlin 1993, chapter 9; Jonker and Volgenant 1987 for the row-wise form).

Rows of `lengths` are recomputed only when a search reaches a node that lost a request. Distances carry their node in
the low bits, so one minimum finds both; that keeps the two inner loops free of branches.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Longer than any path, short enough to be shifted by 16 bits.
FAR = 2**46

#: No search can serve more agents: nodes must fit in the bits above.
MAX_AGENTS = 2**13


class State(NamedTuple):
    """A solve in progress. `members[start[j] : start[j] + loads[j]]` are the requests at node j, `place` their index."""

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


class Search(NamedTuple):
    """Scratch of one Dijkstra run: packed distances of open nodes, prices plus a wall around settled ones."""

    open: NDArray[np.int64]
    walls: NDArray[np.int64]
    dist: NDArray[np.int64]
    order: NDArray[np.int64]
    goal: NDArray[np.bool_]


@njit(cache=True)
def _lower_row(row, base, lengths):
    for k in range(row.size):
        lengths[k] = min(lengths[k], base - row[k])


@njit(cache=True)
def _refresh(state, j):
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


@njit(cache=True)
def _insert(state, j, i):
    t = state.start[j] + state.loads[j]
    state.members[t] = i
    state.place[i] = t
    state.loads[j] += 1
    state.at[i] = j
    if not state.stale[j]:
        row, base = state.weights[i], 0
        if j > 0:
            base = row[j - 1]
            state.lengths[j, 0] = min(state.lengths[j, 0], base)
        _lower_row(row, base, state.lengths[j, 1:])


@njit(cache=True)
def _remove(state, j, i):
    last = state.members[state.start[j] + state.loads[j] - 1]
    state.members[state.place[i]] = last
    state.place[last] = state.place[i]
    state.loads[j] -= 1
    state.stale[j] = True


@njit(cache=True)
def _mover(state, j, k):
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


@njit(cache=True)
def _relax(arcs, walls, base, shift, open_):
    """Lower the open distances through a node just settled, and return the least of them, packed."""
    best = FAR << shift
    for k in range(arcs.size):
        reach = ((base + arcs[k] + walls[k]) << shift) | k
        least = min(open_[k], reach)
        open_[k] = least
        best = min(best, least)
    return best


@njit(cache=True)
def _settle(state, search, best, shift):
    """Dijkstra from what is open, to the first goal: (goal or -1, nodes settled, work)."""
    mask = (1 << shift) - 1
    count, work = 0, 0
    while best >> shift < FAR >> 1:
        node = best & mask
        search.dist[node] = best >> shift
        search.order[count] = node
        count += 1
        if search.goal[node]:
            return node, count, work
        if state.stale[node]:
            work += _refresh(state, node)
        search.open[node] = FAR << shift
        search.walls[node] += FAR
        best = _relax(state.lengths[node], search.walls, (best >> shift) - state.prices[node], shift, search.open)
        work += search.open.size
    return -1, count, work


@njit(cache=True)
def _before(state, search, count, k):
    """The node settled before k from which k was reached; -1 where k is a source."""
    for t in range(count):
        j = search.order[t]
        if j == k:
            return -1
        if search.dist[j] + state.lengths[j, k] - state.prices[j] + state.prices[k] == search.dist[k]:
            return j
    return -1


@njit(cache=True)
def _augment(state, search, count, end, first):
    """Move requests along the tree to `end`; returns the node where the path begins. `first` holds source distances."""
    path = np.empty(count, np.int64)
    size, k = 0, end
    while k >= 0:
        path[size] = k
        size += 1
        if first[k] == search.dist[k]:
            break
        k = _before(state, search, count, k)
    return path[:size]


@njit(cache=True)
def _shift_along(state, path):
    for t in range(path.size - 1):
        k, j = path[t], path[t + 1]
        i = _mover(state, j, k)
        if i >= 0:
            _remove(state, j, i)
            _insert(state, k, i)


@njit(cache=True)
def _place_pending(state, search, first, i, shift):
    """Serve request i, or leave it out, on the shortest path from its favourites to a free slot or out of the market."""
    m = state.capacities.size
    row, prices = state.weights[i], state.prices
    top = 0
    for k in range(m):
        top = max(top, row[k] - prices[k + 1])
    best = FAR << shift
    first[0] = top
    for k in range(m):
        first[k + 1] = min(FAR, top - row[k] + prices[k + 1])
    for k in range(m + 1):
        search.walls[k] = prices[k]
        search.open[k] = (first[k] << shift) | k
        best = min(best, search.open[k])
        search.goal[k] = k == 0 or state.loads[k] < state.capacities[k - 1]
    end, count, work = _settle(state, search, best, shift)
    path = _augment(state, search, count, end, first)
    _shift_along(state, path)
    _insert(state, path[-1], i)
    for t in range(count):
        k = search.order[t]
        prices[k] += search.dist[end] - search.dist[k]
    return work + 3 * m


@njit(cache=True)
def _from_outside(state, search, first, shift):
    search.walls[:] = state.prices
    search.open[:] = FAR << shift
    search.open[0] = 0
    first[:] = FAR
    first[0] = 0
    return _settle(state, search, np.int64(0), shift)


@njit(cache=True)
def _fill(state, search, first, shift):
    """Give the nearest agent that has a price and a free slot a request, or lower its price to 0."""
    end, count, work = _from_outside(state, search, first, shift)
    path = _augment(state, search, count, end, first)
    _shift_along(state, path)
    reach = search.dist[end]
    for t in range(count):
        search.open[search.order[t]] = 0
    for k in range(1, search.open.size):
        settled = search.walls[k] >= FAR >> 1
        state.prices[k] -= min(reach, search.dist[k]) if settled else reach
    return work


@njit(cache=True)
def _hungry(state, search):
    some = False
    search.goal[0] = False
    for k in range(state.capacities.size):
        search.goal[k + 1] = state.prices[k + 1] > 0 and state.loads[k + 1] < state.capacities[k]
        some |= search.goal[k + 1]
    return some


@njit(cache=True)
def _begin(weights, capacities, prices, at):
    n, m = weights.shape
    start = np.zeros(m + 2, np.int64)
    start[1] = n + 1
    for k in range(m):
        start[k + 2] = start[k + 1] + min(capacities[k], n) + 1
    return State(
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
    )


@njit(cache=True)
def _seat(state, margins):
    """Requests to their favourites while there is room, those with several last, to the emptiest; returns the rest."""
    n, m = state.weights.shape
    pending = np.empty(n, np.int64)
    waiting = 0
    for i in range(n):
        j = state.at[i]
        if margins[i] == 0 or (j > 0 and state.loads[j] >= state.capacities[j - 1]):
            pending[waiting] = i
            waiting += 1
        else:
            _insert(state, j, i)
    left = 0
    for t in range(waiting):
        i = pending[t]
        row, top, choice, room = state.weights[i], 0, 0, 0
        for k in range(m):
            top = max(top, row[k] - state.prices[k + 1])
        for k in range(m):
            free = state.capacities[k] - state.loads[k + 1]
            if row[k] - state.prices[k + 1] == top and free > room and (top > 0 or state.prices[k + 1] > 0):
                choice, room = k + 1, free
        if choice > 0 or top == 0:
            _insert(state, choice, i)
        else:
            pending[left] = i
            left += 1
    return pending[:left]


@njit(cache=True)
def _highest(state, search, shift):
    """The highest supporting prices: shortest paths into node 0, or to a free slot."""
    m = state.capacities.size
    for j in range(m + 1):
        if state.stale[j]:
            _refresh(state, j)
    into = np.ascontiguousarray(state.lengths.T)
    prices = state.prices.copy()
    for j in range(1, m + 1):
        if state.loads[j] < state.capacities[j - 1]:
            into[0, j] = min(into[0, j], 0)
    mask = (1 << shift) - 1
    search.walls[:] = -prices
    search.open[:] = FAR << shift
    search.dist[:] = FAR
    best = np.int64(0)
    while best >> shift < FAR >> 1:
        node = best & mask
        search.dist[node] = best >> shift
        search.open[node] = FAR << shift
        search.walls[node] += FAR
        best = _relax(into[node], search.walls, (best >> shift) + prices[node], shift, search.open)
    for k in range(1, m + 1):
        if search.dist[k] < FAR >> 1:
            prices[k] += search.dist[k]
    return prices


@njit(cache=True)
def repair(weights, capacities, prices, at, margins, budget, central, stats):
    """Exact optimum from prices and favourites, in place: `at` (n,) nodes, `prices` (m + 1,), minimal at the end.

    Args:
        margins: (n,) 0 where a request has several favourites.
        budget: work (entries touched) after which the attempt is given up.

    Returns:
        True where the optimum was reached.
    """
    m = weights.shape[1]
    shift = 1
    while (1 << shift) <= m:
        shift += 1
    state = _begin(weights, capacities, prices, at)
    search = Search(
        np.empty(m + 1, np.int64),
        np.empty(m + 1, np.int64),
        np.empty(m + 1, np.int64),
        np.empty(m + 1, np.int64),
        np.empty(m + 1, np.bool_),
    )
    first = np.empty(m + 1, np.int64)
    pending = _seat(state, margins)
    work = 0
    stats[0] = pending.size
    for i in pending:
        work += _place_pending(state, search, first, i, shift)
        if work > budget:
            return False
    while _hungry(state, search):
        work += _fill(state, search, first, shift)
        stats[1] += 1
        if work > budget:
            return False
    if central:
        highest = _highest(state, search, shift)
    search.goal[:] = False
    _, _, last = _from_outside(state, search, first, shift)
    for k in range(1, m + 1):
        prices[k] -= search.dist[k]
    if central:
        for k in range(1, m + 1):
            prices[k] = (prices[k] + highest[k]) // 2
    stats[2] = work
    stats[3] = last
    return True
