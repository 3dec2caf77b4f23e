"""Drawing requests in: agents with a price and a free slot get one each along a shortest path, searched backwards.

A search from "unserved" to such an agent passes nearly all others first. Backwards it stays among those that the agent
can draw from: whoever lists it, then whoever lists the agents where those are (a reverse search in the sense of
Bertsekas and Castanon 1992, "A forward/reverse auction algorithm for asymmetric assignment problems"). It needs the
pairs by agent, which packed rows give in two passes. Prices fall by what is left of the way, so that everybody stays at
a favourite; one that falls to nothing may keep its slot free.

Paths are short: of a thousand pairs a few cost so little that one may lead along them. Only those that cost a request
less than some width are looked at, and a search that comes so far that another might matter begins again with more.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from allocation.kernels.compile.loops import select
from allocation.kernels.compile.signatures import inlined, inner
from allocation.kernels.pairs.rows import AHEAD, FAR, Rows, bits, node_of, pairs, send_for_row, whole
from allocation.kernels.paths.residual import insert, remove

#: Pairs per agent that are looked at first, and how many times as wide the next look is; all where one was in vain.
_CLOSE = 64
_WIDER = 4

#: Pairs that show how many cost less than what.
_SHOWN = 4096

#: The nearest of every two to this power nodes is remembered.
_BLOCK = 5


class Columns(NamedTuple):
    """Pairs by agent: those of node k are `pairs[start[k] : start[k + 1]]`, each a request and what it is worth.

    Left out are pairs that cost a request `width` or more at the `prices` (M + 1,) of then.
    """

    start: NDArray[np.int64]
    pairs: NDArray[np.int64]
    prices: NDArray[np.int64]
    width: int


class Open(NamedTuple):
    """Packed distances of open nodes (M + 1,), and the least in each block of them."""

    nodes: NDArray[np.int64]
    blocks: NDArray[np.int64]


class Backwards(NamedTuple):
    """Scratch of one search, an entry per node: packed distances, the least known; settled nodes in order; the request
    that would leave each node, -1 where a slot may stay free instead; the node it would go to. And what each request
    gains (N,) where it is.
    """

    open: Open
    least: NDArray[np.int64]
    order: NDArray[np.int64]
    mover: NDArray[np.int64]
    target: NDArray[np.int64]
    gains: NDArray[np.int64]


@inner
def _none_open(size):
    return Open(np.empty(size, np.int64), np.empty((size >> _BLOCK) + 1, np.int64))


@inlined
def _close_all(open_, never):
    open_.nodes[:] = never
    open_.blocks[:] = never


@inlined
def _open(open_, node, distance):
    open_.nodes[whole(node)] = distance
    block = whole(node >> _BLOCK)
    open_.blocks[block] = min(open_.blocks[block], distance)


@inlined
def _close(open_, node, never):
    open_.nodes[node] = never
    block = node >> _BLOCK
    least = never
    for distance in open_.nodes[block << _BLOCK : (block + 1) << _BLOCK]:
        least = min(least, distance)
    open_.blocks[block] = least


@inlined
def _nearest(open_):
    best = open_.blocks[0]
    for distance in open_.blocks:
        best = min(best, distance)
    return best


@inlined
def _gains(state):
    """(N,) what each request gains where it is."""
    gains = np.empty(state.at.size, np.int64)
    for i in range(gains.size):
        gains[i] = state.worth[i] - state.prices[state.at[i]]
    return gains


@inlined
def _cost(word, gain, prices, shift):
    """What a packed pair costs the request, which gains so much where it is."""
    return gain - (word >> shift) + prices[whole(node_of(word, shift, prices.size))]


@inner
def _width(rows, gains, prices):
    """What about `_CLOSE` pairs per agent cost less than, besides that where each request is, which costs it nothing.

    `FAR` where there are not many more.
    """
    total, close, shift = pairs(rows), gains.size + _CLOSE * prices.size, bits(prices.size)
    if total <= 2 * close:
        return np.int64(FAR)
    step = max(1, total // _SHOWN)
    count = 0
    for i in range(0, gains.size, step):
        count += rows.last[i] - rows.first[i]
    costs, count = np.empty(count, np.int64), 0
    for i in range(0, gains.size, step):
        for t in range(whole(rows.first[i]), whole(rows.last[i])):
            costs[count] = _cost(rows.words[t], gains[i], prices, shift)
            count += 1
    return max(1, select(costs, count * close // total)) if count > 0 else np.int64(FAR)


@inner
def _cheap(rows, gains, prices, width):
    """The pairs that cost less than `width`."""
    if width == FAR:
        return rows
    words, shift = rows.words, bits(prices.size)
    bounds, few = np.empty(gains.size + 1, np.int64), np.empty(pairs(rows) + 1, np.int64)
    count = 0
    for i in range(gains.size):
        bounds[i] = count
        for t in range(whole(rows.first[i]), whole(rows.last[i])):
            few[whole(count)] = words[t]
            count += _cost(words[t], gains[i], prices, shift) < width
    bounds[gains.size] = count
    return Rows(rows.weights, bounds[:-1], bounds[1:], few)


@inner
def _columns(rows, prices, width):
    words, size = rows.words, prices.size
    shift = bits(size)
    start = np.zeros(size + 1, np.int64)
    for i in range(rows.first.size):
        for t in range(whole(rows.first[i]), whole(rows.last[i])):
            start[whole(node_of(words[t], shift, size) + 1)] += 1
    for k in range(size):
        start[k + 1] += start[k]
    free = start.copy()
    found = np.empty((start[size], 2), np.int64)
    for i in range(rows.first.size):
        for t in range(whole(rows.first[i]), whole(rows.last[i])):
            k = whole(node_of(words[t], shift, size))
            place = whole(free[k])
            found[place, 0], found[place, 1] = i, words[t] >> shift
            free[k] += 1
    return Columns(start, found, prices.copy(), width)


@inner
def _reach(state, columns, search, j, dist, shift):
    """Lower the distances of all that can send a request to node j, just settled; returns the work done."""
    at, gains, listed = state.at, search.gains, columns.pairs
    open_, least, mover, target = search.open, search.least, search.mover, search.target
    base = dist + state.prices[j]
    if base << shift < least[0]:
        least[0] = base << shift
        _open(open_, 0, least[0])
        mover[0], target[0] = -1, j
    for t in range(whole(columns.start[j]), whole(columns.start[j + 1])):
        i = listed[t, 0]
        reach = (base + gains[whole(i)] - listed[t, 1]) << shift
        if reach < least[0]:
            node = at[i]
            if reach | node < least[node]:
                least[node] = reach | node
                _open(open_, node, least[node])
                mover[node], target[node] = i, j
    return columns.start[j + 1] - columns.start[j]


@inner
def _search(state, columns, search, goal):
    """Dijkstra, backwards, from an agent to node 0, which is the last settled: (nodes settled, work).

    No node where pairs that are left out might lead there on a shorter way.
    """
    shift = bits(state.prices.size)
    never = FAR << shift
    _close_all(search.open, never)
    search.least[:] = never
    search.least[goal] = goal
    _open(search.open, goal, goal)
    count, work, horizon = 0, 2 * search.least.size, np.int64(FAR)
    while True:
        best = _nearest(search.open)
        j, dist = best & ((1 << shift) - 1), best >> shift
        if dist > horizon:
            return 0, work
        search.order[count] = j
        count += 1
        if j == 0:
            return count, work
        _close(search.open, j, never)
        # Since then costs fell by no more than the price of where they lead.
        horizon = min(horizon, dist + columns.width - (columns.prices[j] - state.prices[j]))
        work += search.open.blocks.size + (1 << _BLOCK) + _reach(state, columns, search, j, dist, shift)


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
def _invite(state, columns, search, k):
    """Requests that nobody serves and that node k is worth just its price to go there while there is room: the work."""
    price, room = state.prices[k], state.capacities[k - 1] - state.loads[k]
    if price == 0 or room == 0:
        return 0
    for t in range(whole(columns.start[k]), whole(columns.start[k + 1])):
        i = columns.pairs[t, 0]
        if columns.pairs[t, 1] == price and state.at[whole(i)] == 0:
            remove(state, 0, i)
            insert(state, k, i)
            room -= 1
            if room == 0:
                break
    return columns.start[k + 1] - columns.start[k]


@inner
def _way(state, gains, width):
    """(M + 1,) how far each node is from "unserved" along pairs that cost less than `width`, or by giving up its price.

    From `width` on that is a bound alone.
    """
    prices, size = state.prices, state.prices.size
    rows = _cheap(state.rows, gains, prices, width)
    first, last, words = rows.first, rows.last, rows.words
    shift = bits(size)
    never, mask = FAR << shift, (1 << shift) - 1
    dist, open_ = prices.copy(), _none_open(size)
    _close_all(open_, never)
    for k in range(size):
        _open(open_, k, (prices[k] << shift) | k)
    for _ in range(size):
        j = _nearest(open_) & mask
        _close(open_, j, never)
        here = state.members[state.start[j] : state.start[j] + state.loads[j]]
        for place in range(here.size):
            send_for_row(words, first, last, here[min(place + AHEAD, here.size - 1)])
            i = here[place]
            base = dist[j] + gains[i]
            for t in range(whole(first[i]), whole(last[i])):
                reach, k = _cost(words[t], base, prices, shift), whole(node_of(words[t], shift, size))
                if reach < dist[k]:
                    dist[k] = reach
                    _open(open_, k, (reach << shift) | np.int64(k))
    return dist


@inner
def lowest(state):
    """Prices to the lowest that support the allocation: Dijkstra from "unserved", over the pairs themselves."""
    gains = _gains(state)
    width, enough = _width(state.rows, gains, state.prices), False
    while not enough:
        falls = _way(state, gains, width)
        # With more pairs no way is longer: none that costs more than the longest bears on any.
        longest = falls.max()
        width, enough = longest, longest <= width
    for k in range(falls.size):
        state.prices[k] -= falls[k]


@inner
def _draw_among(state, columns, search, begin, budget):
    """`draw` for agents from node `begin` on, until one of them needs pairs that are left out.

    Returns:
        that node, or M + 1 where there is none or the budget is spent; how many searches came to an end; and the work.
    """
    prices, size = state.prices, state.prices.size
    work, drawn = np.int64(0), 0
    for k in range(begin, size):
        while prices[k] > 0 and state.loads[k] < state.capacities[k - 1]:
            if work > budget:
                return size, drawn, work
            count, spent = _search(state, columns, search, k)
            work += spent
            if count == 0:
                return k, drawn, work
            _cheapen(state, search, count)
            _move(state, search, k)
            work += _invite(state, columns, search, k)
            drawn += 1
    return size, drawn, work


@inner
def draw(state, budget):
    """Agents of packed rows that have a price and a free slot get requests, or lose the price; returns the work.

    Nobody may wait.
    """
    rows, prices, size = state.rows, state.prices, state.prices.size
    scratch = np.empty((4, size), np.int64)
    search = Backwards(_none_open(size), scratch[0], scratch[1], scratch[2], scratch[3], _gains(state))
    width = _width(rows, search.gains, prices)
    work, k = np.int64(0), np.int64(1)
    while k < size:
        columns = _columns(_cheap(rows, search.gains, prices, width), prices, width)
        k, drawn, spent = _draw_among(state, columns, search, k, budget - work)
        work += spent + 2 * pairs(rows) + state.at.size
        width = min(FAR, _WIDER * width) if drawn > 0 else np.int64(FAR)
    return work
