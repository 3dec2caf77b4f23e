"""From good prices to an exact optimum: shortest augmenting paths on the residual graph of `_graph`.

Requests take their favourites while there is room; each of the others is inserted along a shortest path to a free slot
or out of the market, raising prices; agents left with a price and a free slot are filled along shortest paths from
"unserved", lowering them (Jonker and Volgenant 1987). Reduced costs stay non-negative, so the end is an optimum.

Distances carry their node in the low bits, so one minimum finds both: the inner loop has no branch.
"""

import numpy as np
from numba import njit

from allocation._graph import FAR, begin, bits, copy, insert, mover, refresh, remove
from allocation._types import FLAG, MATRIX, NUMBER, ROW, VECTOR, inner


@inner
def _relax(arcs, walls, base, shift, open_):
    """Lower the open distances through a node just settled, and return the least of them, packed."""
    best = FAR << shift
    for k in range(arcs.size):
        reach = ((base + arcs[k] + walls[k]) << shift) | k
        least = min(open_[k], reach)
        open_[k] = least
        best = min(best, least)
    return best


@inner
def _settle(state, search, best):
    """Dijkstra from what is open, to the first goal: (goal or -1, nodes settled, work)."""
    shift = bits(state.capacities.size)
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
            work += refresh(state, node)
        search.open[node] = FAR << shift
        search.walls[node] += FAR
        best = _relax(state.lengths[node], search.walls, (best >> shift) - state.prices[node], shift, search.open)
        work += search.open.size
    return -1, count, work


@inner
def _before(state, search, count, k):
    """The node from which k was reached; settled before it, which matters where arcs cost nothing."""
    for t in range(count):
        j = search.order[t]
        if j == k:
            break
        if search.dist[j] + state.lengths[j, k] - state.prices[j] + state.prices[k] == search.dist[k]:
            return j
    return 0


@inner
def _augment(state, search, count, end):
    """Move requests along the shortest path to `end`; returns the node where it begins."""
    size, k = 0, end
    while search.first[k] != search.dist[k]:
        search.path[size] = k
        size += 1
        k = _before(state, search, count, k)
    search.path[size] = k
    for t in range(size):
        k, j = search.path[t], search.path[t + 1]
        i = mover(state, j, k)
        if i >= 0:
            remove(state, j, i)
            insert(state, k, i)
    return search.path[size]


@inner
def _place(state, search, i):
    """Serve request i, or leave it out, on the shortest path from a favourite to a free slot or out of the market."""
    m = state.capacities.size
    shift = bits(m)
    row, prices = state.weights[i], state.prices
    top = 0
    for k in range(m):
        top = max(top, row[k] - prices[k + 1])
    search.first[0] = top
    for k in range(m):
        search.first[k + 1] = min(FAR, top - row[k] + prices[k + 1])
    best = FAR << shift
    for k in range(m + 1):
        search.walls[k] = prices[k]
        search.open[k] = (search.first[k] << shift) | k
        best = min(best, search.open[k])
        search.goal[k] = k == 0 or state.loads[k] < state.capacities[k - 1]
    end, count, work = _settle(state, search, best)
    insert(state, _augment(state, search, count, end), i)
    for t in range(count):
        k = search.order[t]
        prices[k] += search.dist[end] - search.dist[k]
    return work + 4 * m


@inner
def _from_outside(state, search):
    copy(state.prices, search.walls)
    search.open[:] = FAR << bits(state.capacities.size)
    search.first[:] = FAR
    search.first[0] = 0
    return _settle(state, search, np.int64(0))


@inner
def _hungry(state, search):
    some = False
    search.goal[0] = False
    for k in range(state.capacities.size):
        search.goal[k + 1] = state.prices[k + 1] > 0 and state.loads[k + 1] < state.capacities[k]
        some |= search.goal[k + 1]
    return some


@inner
def fill(state, search, budget):
    """Agents that have a price and a free slot get a request, nearest first, or lose the price; returns the work."""
    work = 0
    while work <= budget and _hungry(state, search):
        end, count, spent = _from_outside(state, search)
        _augment(state, search, count, end)
        reach = search.dist[end]
        for k in range(1, search.open.size):
            settled = search.walls[k] >= FAR >> 1
            state.prices[k] -= min(reach, search.dist[k]) if settled else reach
        work += spent + 2 * search.open.size
    return work


@inner
def lower(state, search):
    """Prices to the lowest that support the allocation: one search from "unserved"; every row is fresh after it."""
    search.goal[:] = False
    _from_outside(state, search)
    for k in range(1, search.dist.size):
        state.prices[k] -= search.dist[k]


@inner
def _highest(state, search):
    """The highest supporting prices: shortest paths into node 0, or to a free slot."""
    m = state.capacities.size
    shift = bits(m)
    into = np.empty((m + 1, m + 1), np.int64)
    for j in range(m + 1):
        for k in range(m + 1):
            into[k, j] = state.lengths[j, k]
    prices = state.prices.copy()
    for j in range(1, m + 1):
        if state.loads[j] < state.capacities[j - 1]:
            into[0, j] = min(into[0, j], 0)
    for k in range(m + 1):
        search.walls[k] = -prices[k]
    search.open[:] = FAR << shift
    search.dist[:] = FAR
    best = np.int64(0)
    while best >> shift < FAR >> 1:
        node = best & ((1 << shift) - 1)
        search.dist[node] = best >> shift
        search.open[node] = FAR << shift
        search.walls[node] += FAR
        best = _relax(into[node], search.walls, (best >> shift) + prices[node], shift, search.open)
    for k in range(1, m + 1):
        if search.dist[k] < FAR >> 1:
            prices[k] += search.dist[k]
    return prices


@inner
def _seat(state, margins, pending):
    """Requests to their favourites while there is room, those with several last, each to the emptiest of them.

    Returns:
        how many found no room; they are first in `pending` (N,).
    """
    n, m = state.weights.shape
    waiting = 0
    for i in range(n):
        j = state.at[i]
        if margins[i] == 0 or (j > 0 and state.loads[j] >= state.capacities[j - 1]):
            pending[waiting] = i
            waiting += 1
        else:
            insert(state, j, i)
    left = 0
    for t in range(waiting):
        i = pending[t]
        row, top, choice, room = state.weights[i], 0, np.int64(0), 0
        for k in range(m):
            top = max(top, row[k] - state.prices[k + 1])
        for k in range(m):
            free = state.capacities[k] - state.loads[k + 1]
            if row[k] - state.prices[k + 1] == top and free > room and (top > 0 or state.prices[k + 1] > 0):
                choice, room = k + 1, free
        if choice > 0 or top == 0:
            insert(state, choice, i)
        else:
            pending[left] = i
            left += 1
    return left


@njit(FLAG(MATRIX, VECTOR, ROW, ROW, ROW, NUMBER, FLAG), cache=True)
def repair(weights, capacities, prices, at, margins, budget, central):
    """Exact optimum from prices and favourites, in place: `at` (N,) nodes, `prices` (M + 1,).

    The budget grows from a third of its size to four thirds as requests find their place.

    Args:
        weights: (N, M) int64.
        capacities: (M,) at most N each.
        prices: (M + 1,) of nodes, node 0 first; afterwards the lowest supporting ones.
        at: (N,) a favourite node of each request at these prices.
        margins: (N,) 0 where a request has several favourites.
        budget: work (entries touched) after which the attempt is given up.
        central: end at prices halfway between lowest and highest: better guesses for a larger market.

    Returns:
        True where the optimum was reached.
    """
    state, search = begin(weights, capacities, prices, at)
    pending = np.empty(at.size, np.int64)
    waiting = _seat(state, margins, pending)
    work = 0
    for t in range(waiting):
        work += _place(state, search, pending[t])
        if work > budget // 3 + budget // waiting * t:
            return False
    if fill(state, search, budget) > budget:
        return False
    lower(state, search)
    if central:
        highest = _highest(state, search)
        for k in range(1, prices.size):
            prices[k] = (prices[k] + highest[k]) // 2
    return True
