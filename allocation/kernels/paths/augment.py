"""From good prices to an exact optimum: shortest augmenting paths on the residual graph.

Requests take their favourites while there is capacity, and the others bid (`prices.auction`). Each that still waits is
inserted along a shortest path to free capacity or out of the market, raising prices; agents left with a price and free
capacity are filled along shortest paths from "unserved", lowering them (Jonker and Volgenant 1987). Reduced costs stay
non-negative, so the end is an optimum.

Distances carry their node in the low bits, so one minimum finds both: the inner loop has no branch.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from allocation.kernels.compile.caching import compiled
from allocation.kernels.compile.signatures import MATRIX, NUMBER, ROW, VECTOR, inlined, inner
from allocation.kernels.pairs.offers import FAR, best_offer, bits
from allocation.kernels.pairs.samples import Integers
from allocation.kernels.paths.residual import insert, mover, refresh, remove, residual
from allocation.kernels.prices.auction import compete

#: Bids for each request that waits; a search costs as much as a hundred.
_BIDS = 8


class Search(NamedTuple):
    """Scratch of one search by Dijkstra, an entry per node.

    Distances from the source along no other node, `FAR` where none; packed distances of open nodes; prices, with `FAR`
    added for settled nodes; distances; settled nodes in order; the path found; the goals; where a path may begin.
    And, a single entry, the work done so far: how many entries were touched.
    """

    first: NDArray[np.int64]
    open: NDArray[np.int64]
    walls: NDArray[np.int64]
    dist: NDArray[np.int64]
    order: NDArray[np.int64]
    path: NDArray[np.int64]
    goal: NDArray[np.bool_]
    source: NDArray[np.bool_]
    work: NDArray[np.int64]


@inner
def scratch(size):
    """For searches among so many nodes."""
    rows, marks = np.empty((6, size), np.int64), np.empty((2, size), np.bool_)
    return Search(rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], marks[0], marks[1], np.zeros(1, np.int64))


@inlined
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
def _search(graph, search, goals):
    """Dijkstra from the source until so many goals are settled, which there must be; returns how many nodes are."""
    size = graph.prices.size
    shift = bits(size)
    best = FAR << shift
    for k in range(size):
        search.walls[k] = graph.prices[k]
        search.open[k] = (search.first[k] << shift) | k
        best = min(best, search.open[k])
    count = 0
    search.work[0] += 4 * size
    while True:
        node = best & ((1 << shift) - 1)
        search.dist[node] = best >> shift
        search.order[count] = node
        count += 1
        goals -= search.goal[node]
        if goals == 0:
            return count
        search.work[0] += size + refresh(graph, node)
        search.open[node] = FAR << shift
        search.walls[node] += FAR
        best = _relax(graph.lengths[node], search.walls, (best >> shift) - graph.prices[node], shift, search.open)


@inner
def _before(graph, search, k):
    """A node settled before k from which k is reached at no cost; -1 where there is none any more."""
    for j in search.order:
        if j == k:
            break
        length = graph.lengths[j, k]
        if length == graph.prices[j] - graph.prices[k]:
            # A stale arc may have become longer; but from node 0 it costs nothing to let a price fall.
            if not graph.stale[j, k] or (j == 0 and length == 0):
                return j
            search.work[0] += graph.loads[j]
            if mover(graph, j, k) >= 0:
                return j
    return np.int64(-1)


@inner
def _augment(graph, search, k):
    """Move requests along arcs that cost nothing, to node k; returns the path's source, -1 where there is no path."""
    size = 0
    while not search.source[k]:
        search.path[size] = k
        size += 1
        k = _before(graph, search, k)
        if k < 0:
            return k
    search.path[size] = k
    for t in range(size):
        i = mover(graph, search.path[t + 1], search.path[t])
        search.work[0] += graph.loads[search.path[t + 1]]
        if i >= 0:
            remove(graph, i)
            insert(graph, search.path[t], i)
    return k


@inner
def _place(graph, search, i, end):
    """Serve request i, or leave it out, on the shortest path from a favourite; returns where it ends.

    That may be the path to `end` that another request took before, if it still costs nothing; -1 where none did.
    """
    row, prices = graph.weights[i], graph.prices
    search.work[0] += 4 * prices.size
    best = _find_favourites(row, prices, search.source)
    node = np.int64(-1)
    if end == 0 or (end > 0 and graph.loads[end] < graph.capacities[end - 1]):
        node = _augment(graph, search, end)
    if node < 0:
        search.first[0], search.goal[0] = best, True
        for k in range(1, prices.size):
            search.first[k] = min(FAR, best - row[k - 1] + prices[k])
            search.goal[k] = graph.loads[k] < graph.capacities[k - 1]
        count = _search(graph, search, np.int64(1))
        end = search.order[count - 1]
        for k in search.order[:count]:
            prices[k] += search.dist[end] - search.dist[k]
        _find_favourites(row, prices, search.source)
        node = _augment(graph, search, end)
    insert(graph, node, i)
    return end


@inner
def _find_favourites(row, prices, source):
    """Marks the nodes (M + 1,) that offer a request most, and returns how much."""
    best = best_offer(row, prices, np.int64(0))
    source[0] = best == 0
    for k in range(row.size):
        source[k + 1] = row[k] - prices[k + 1] == best
    return best


@inlined
def _lacks(graph, k):
    """Whether agent k has a price and free capacity."""
    return k > 0 and graph.prices[k] > 0 and graph.loads[k] < graph.capacities[k - 1]


@inner
def fill_agents(graph, search, budget):
    """Agents that have a price and free capacity get requests, or lose the price, until the work is more than `budget`.

    A search goes to several of them, and prices fall by the distances, so that its paths cost nothing. Each agent takes
    such paths as long as the ones taken before leave it some; another search serves the others, and goes to no more
    than twice as many agents as paths were taken after the last.
    """
    prices, aim = graph.prices, 2
    while search.work[0] <= budget:
        goals = 0
        for k in range(prices.size):
            search.goal[k] = _lacks(graph, k)
            goals += search.goal[k]
        if goals == 0:
            break
        search.first[:] = FAR
        search.first[0] = 0
        search.source[:] = False
        search.source[0] = True
        count, aim = _search(graph, search, min(goals, aim)), 2
        reach = search.dist[search.order[count - 1]]
        for k in range(prices.size):
            prices[k] -= reach
        for k in search.order[:count]:
            prices[k] += reach - search.dist[k]
        for k in search.order[:count]:
            while search.goal[k] and _lacks(graph, k) and _augment(graph, search, k) >= 0:
                aim += 2


@inner
def _emptiest(row, prices, best, free):
    """The node with most free capacity among those that offer `best`; 0 if none has any or all offer and cost 0."""
    choice, most = np.int64(0), np.int64(0)
    for k in range(row.size):
        if row[k] - prices[k + 1] == best and free[k] > most and (best > 0 or prices[k + 1] > 0):
            choice, most = k + 1, free[k]
    return choice


@compiled(NUMBER(MATRIX, VECTOR, ROW, ROW, ROW, ROW))
def _take_favourites(weights, capacities, prices, at, margins, waiting):
    """Requests to their favourites while there is capacity, those with several last, each to the emptiest of them.

    Returns:
        how many found none; they are first in `waiting` (N,), and -1 in `at`.
    """
    free = capacities.copy()
    later = 0
    for i in range(at.size):
        k = at[i] - 1
        if margins[i] == 0 or (k >= 0 and free[k] == 0):
            waiting[later] = i
            later += 1
        elif k >= 0:
            free[k] -= 1
    left = 0
    for i in waiting[:later]:
        best = best_offer(weights[i], prices, np.int64(0))
        at[i] = _emptiest(weights[i], prices, best, free)
        if at[i] > 0:
            free[at[i] - 1] -= 1
        elif best > 0:
            at[i] = -1
            waiting[left] = i
            left += 1
    return left


@compiled(NUMBER(MATRIX, VECTOR, ROW, ROW, ROW, NUMBER))
def _finish(weights, capacities, prices, at, waiting, budget):
    """Place those that wait, then fill agents; returns the work done, more than `budget` where it was given up."""
    graph, search = residual(weights, capacities, prices, at), scratch(prices.size)
    end = np.int64(-1)
    for i in waiting:
        end = _place(graph, search, i, end)
        if search.work[0] > budget:
            return search.work[0]
    fill_agents(graph, search, budget)
    return search.work[0]


def finish(
    weights: Integers,
    capacities: Integers,
    prices: Integers,
    at: Integers,
    margins: Integers,
    most: int,
    budget: int,
) -> bool:
    """An exact optimum from prices and favourites, in place; False where it was given up.

    Args:
        weights: (N, M).
        capacities: (M,) at most N each.
        prices: (M + 1,) of nodes, node 0 first; afterwards they support the optimum.
        at: (N,) a favourite node of each request at these prices; afterwards its node.
        margins: (N,) 0 where a request has several favourites.
        most: how many may wait for a search each after they bid, and how much capacity of agents with a price may be
            free: more are a sign that better prices are to be had.
        budget: work (entries touched) after which the attempt is given up.
    """
    pending = np.empty(at.size, np.int64)
    waiting = _take_favourites(weights, capacities, prices, at, margins, pending)
    if waiting > 0:
        waiting = compete(weights, capacities, prices, at, margins, pending, waiting, 0, _BIDS * waiting)
    free = capacities - np.bincount(at[at > 0], minlength=prices.size)[1:]
    if max(waiting, int(free[prices[1:] > 0].sum())) > most:
        return False
    return bool(_finish(weights, capacities, prices, at, pending[:waiting], budget) <= budget)
