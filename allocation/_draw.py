"""Drawing requests in: agents with a price and a free slot get one each along a shortest path, searched backwards.

A search from "unserved" to such an agent passes nearly all others first. Backwards it stays among those that the agent
can draw from: whoever lists it, then whoever lists the agents where those are (a reverse search in the sense of
Bertsekas and Castanon 1992, "A forward/reverse auction algorithm for asymmetric assignment problems"). It needs the
pairs by agent, which packed rows give in two passes. Prices fall by what is left of the way, so that everybody stays at
a favourite; one that falls to nothing may keep its slot free.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from allocation._graph import insert, remove
from allocation._rows import FAR, bits, node_of, whole
from allocation._types import inlined, inner


class Columns(NamedTuple):
    """The pairs by agent: those of node k are `pairs[start[k] : start[k + 1]]`, each a request and what it is worth."""

    start: NDArray[np.int64]
    pairs: NDArray[np.int64]


class Backwards(NamedTuple):
    """Scratch of one search, an entry per node: packed distances of open nodes; the least known of all; settled nodes
    in order; the request that would leave each node, -1 where a slot may stay free instead; the node it would go to.
    And what each request gains (N,) where it is.
    """

    open: NDArray[np.int64]
    least: NDArray[np.int64]
    order: NDArray[np.int64]
    mover: NDArray[np.int64]
    target: NDArray[np.int64]
    gains: NDArray[np.int64]


@inner
def _columns(rows):
    words, size = rows.words, rows.weights.shape[1] + 1
    shift = bits(size)
    start = np.zeros(size + 1, np.int64)
    for i in range(rows.first.size):
        for t in range(whole(rows.first[i]), whole(rows.last[i])):
            start[whole(node_of(words[t], shift, size) + 1)] += 1
    for k in range(start.size - 1):
        start[k + 1] += start[k]
    free = start.copy()
    pairs = np.empty((start[-1], 2), np.int64)
    for i in range(rows.first.size):
        for t in range(whole(rows.first[i]), whole(rows.last[i])):
            k = whole(node_of(words[t], shift, size))
            place = whole(free[k])
            pairs[place, 0], pairs[place, 1] = i, words[t] >> shift
            free[k] += 1
    return Columns(start, pairs)


@inner
def _reach(state, columns, search, j, dist, shift):
    """Lower the distances of all that can send a request to node j, just settled; returns the work done."""
    at, gains, pairs = state.at, search.gains, columns.pairs
    open_, least, mover, target = search.open, search.least, search.mover, search.target
    base = dist + state.prices[j]
    if base << shift < least[0]:
        least[0] = open_[0] = base << shift
        mover[0], target[0] = -1, j
    for t in range(whole(columns.start[j]), whole(columns.start[j + 1])):
        i = pairs[t, 0]
        reach = (base + gains[whole(i)] - pairs[t, 1]) << shift
        if reach < least[0]:
            node = at[i]
            if reach | node < least[node]:
                least[node] = open_[node] = reach | node
                mover[node], target[node] = i, j
    return columns.start[j + 1] - columns.start[j]


@inlined
def _nearest(open_):
    best = open_[0]
    for k in range(open_.size):
        best = min(best, open_[k])
    return best


@inner
def _search(state, columns, search, goal):
    """Dijkstra, backwards, from an agent to node 0, which is the last settled: (nodes settled, work)."""
    size = state.prices.size
    shift = bits(size)
    search.open[:] = FAR << shift
    search.least[:] = FAR << shift
    search.open[goal] = search.least[goal] = goal
    count, work = 0, 0
    while True:
        best = _nearest(search.open)
        j = best & ((1 << shift) - 1)
        search.order[count] = j
        count += 1
        if j == 0:
            return count, work
        search.open[j] = FAR << shift
        work += size + _reach(state, columns, search, j, best >> shift, shift)


@inner
def _cheapen(state, search, count):
    """Prices of the settled nodes fall by what they are nearer than node 0, the last of them."""
    shift = bits(state.prices.size)
    end = search.least[0] >> shift
    for t in range(count - 1):
        j = search.order[t]
        fall = end - (search.least[j] >> shift)
        state.prices[j] -= fall
        for place in range(state.start[j], state.start[j] + state.loads[j]):
            search.gains[state.members[place]] += fall


@inner
def _move(state, search, goal):
    j = 0
    while j != goal:
        i, target = search.mover[j], search.target[j]
        if i >= 0:
            remove(state, j, i)
            insert(state, target, i)
            search.gains[i] = state.worth[i] - state.prices[target]
        j = target


@inner
def lowest(state):
    """Prices to the lowest that support the allocation: Dijkstra from "unserved", over the pairs themselves."""
    rows, worth, prices = state.rows, state.worth, state.prices
    first, last, words = rows.first, rows.last, rows.words
    size = prices.size
    shift = bits(size)
    open_, dist = np.empty(size, np.int64), np.empty(size, np.int64)
    for k in range(size):
        dist[k] = prices[k]
        open_[k] = (prices[k] << shift) | k
    for _ in range(size):
        best = _nearest(open_)
        j = best & ((1 << shift) - 1)
        open_[j] = FAR << shift
        for place in range(state.start[j], state.start[j] + state.loads[j]):
            i = state.members[place]
            base = dist[j] + worth[i] - prices[j]
            for t in range(whole(first[i]), whole(last[i])):
                k = node_of(words[t], shift, size)
                reach = base - (words[t] >> shift) + prices[whole(k)]
                if reach < dist[whole(k)]:
                    dist[k] = reach
                    open_[k] = (reach << shift) | k
    for k in range(size):
        prices[k] -= dist[k]


@inner
def draw(state, budget):
    """Agents of packed rows that have a price and a free slot get requests, or lose the price; returns the work.

    Nobody may wait.
    """
    n, size = state.at.size, state.prices.size
    columns = _columns(state.rows)
    scratch = np.empty((5, size), np.int64)
    search = Backwards(scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], np.empty(n, np.int64))
    for i in range(n):
        search.gains[i] = state.worth[i] - state.prices[state.at[i]]
    work = 2 * columns.pairs.shape[0] + n
    for k in range(1, size):
        while state.prices[k] > 0 and state.loads[k] < state.capacities[k - 1] and work <= budget:
            count, spent = _search(state, columns, search, k)
            work += spent
            _cheapen(state, search, count)
            _move(state, search, k)
    return work
