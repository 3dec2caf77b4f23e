"""From good prices to an exact optimum: shortest augmenting paths on the residual graph of `_graph`.

Requests take their favourites while there is room, and the others bid (`_auction`). Each that finds no place so is
inserted along a shortest path to a free slot or out of the market, raising prices; agents left with a price and a free
slot are filled along shortest paths from "unserved", lowering them (Jonker and Volgenant 1987). Reduced costs stay
non-negative, so the end is an optimum.

Distances carry their node in the low bits, so one minimum finds both: the inner loop has no branch.
"""

import numpy as np
from numba import njit

from allocation.kernels.compile.loops import copy
from allocation.kernels.compile.signatures import FLAG, NUMBER, ROW, VECTOR, inner
from allocation.kernels.pairs.offers import distances, emptiest, top
from allocation.kernels.pairs.rows import FAR, ROWS, Integers, Rows, bits, pairs
from allocation.kernels.paths.backward import draw, lowest
from allocation.kernels.paths.residual import begin, insert, mover, refresh, remove, seat
from allocation.kernels.prices.auction import compete

#: Bids for each request that waits; a search costs as much as a hundred.
_BIDS = 8

#: Looking at pairs, not at the arcs of the graph, costs as much as so many searches for each pair that an arc has. A
#: search is due for each agent short of requests, and as much as two of them for the lowest prices.
_SEARCHES = 8
_LOWEST = 2

#: Share of the budget for filling agents: an entry touched takes four times as long as where a row is read through.
_FILLING = 3

#: Rows of the graph that a path costs: a few nodes, with a search for who moves in each.
_PATH = 10


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
def _settle(state, search, best, goals):
    """Dijkstra from what is open, until so many goals are settled: (the last or -1, nodes settled, work)."""
    shift = bits(state.capacities.size)
    mask = (1 << shift) - 1
    count, work = 0, 0
    while best >> shift < FAR >> 1:
        node = best & mask
        search.dist[node] = best >> shift
        search.order[count] = node
        count += 1
        goals -= search.goal[node]
        if goals == 0:
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
    prices = state.prices
    distances(state.rows, i, top(state.rows, i, prices), prices, search.first)
    best = FAR << shift
    for k in range(m + 1):
        search.walls[k] = prices[k]
        search.open[k] = (search.first[k] << shift) | k
        best = min(best, search.open[k])
        search.goal[k] = k == 0 or state.loads[k] < state.capacities[k - 1]
    end, count, work = _settle(state, search, best, np.int64(1))
    insert(state, _augment(state, search, count, end), i)
    for t in range(count):
        k = search.order[t]
        prices[k] += search.dist[end] - search.dist[k]
    return work + 4 * m


@inner
def _from_outside(state, search, goals):
    copy(state.prices, search.walls)
    search.open[:] = FAR << bits(state.capacities.size)
    search.first[:] = FAR
    search.first[0] = 0
    return _settle(state, search, np.int64(0), goals)


@inner
def _hungry(state, search):
    """Marks agents that have a price and a free slot as goals; returns how many there are."""
    count = 0
    search.goal[0] = False
    for k in range(state.capacities.size):
        search.goal[k + 1] = state.prices[k + 1] > 0 and state.loads[k + 1] < state.capacities[k]
        count += search.goal[k + 1]
    return count


@inner
def _trace(state, search, count, rank):
    """For each node settled after another, the first of those from which it is reached at no cost."""
    for t in range(count):
        rank[search.order[t]] = t
    prices, before = state.prices, search.before
    for t in range(count - 1, -1, -1):
        j = search.order[t]
        arcs, price = state.lengths[j], prices[j]
        for k in range(before.size):
            free = (arcs[k] - price + prices[k] == 0) & (rank[k] > t)
            before[k] = j if free else before[k]


@inner
def _feed(state, search, k):
    """Give node k a request along the arcs traced, which cost nothing; False where one of them is no longer free."""
    size = 0
    search.path[0] = k
    while k > 0:
        j = search.before[k]
        length = state.prices[j] - state.prices[k]
        if state.lengths[j, k] != length:
            return False
        i = mover(state, j, k)
        if i < 0 and (j > 0 or length < 0):
            return False
        search.first[size] = i
        size += 1
        search.path[size] = k = j
    for t in range(size):
        i = search.first[t]
        if i >= 0:
            remove(state, search.path[t + 1], i)
            insert(state, search.path[t], i)
    return True


@inner
def fill(state, search, budget):
    """Agents that have a price and a free slot get requests, or lose the price; returns the work.

    One search goes to all of them, and prices fall by the distances, so that its paths cost nothing. Each agent takes
    such a path, as long as the ones taken before leave it one; another search serves the others.
    """
    work = 0
    rank = np.empty(search.open.size, np.int64)
    while work <= budget:
        goals = _hungry(state, search)
        if goals == 0:
            break
        end, count, spent = _from_outside(state, search, goals)
        work += spent + (count + 2) * search.open.size
        reach = search.dist[end]
        for k in range(1, search.open.size):
            settled = search.walls[k] >= FAR >> 1
            state.prices[k] -= min(reach, search.dist[k]) if settled else reach
        _trace(state, search, count, rank)
        for t in range(count):
            k = search.order[t]
            while (
                search.goal[k]
                and state.prices[k] > 0
                and state.loads[k] < state.capacities[k - 1]
                and _feed(state, search, k)
            ):
                work += _PATH * search.open.size
    return work


@inner
def lower(state, search):
    """Prices to the lowest that support the allocation: one search from "unserved"; every row is fresh after it."""
    search.goal[:] = False
    _from_outside(state, search, np.int64(-1))
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


@njit(NUMBER(ROWS, VECTOR, ROW, ROW, ROW, ROW), cache=True)
def _seat(rows, capacities, prices, at, margins, pending):
    """Requests to their favourites while there is room, those with several last, each to the emptiest of them.

    Returns:
        how many found no room; they are first in `pending` (N,), and nowhere in `at`.
    """
    room = capacities.copy()
    waiting = 0
    for i in range(at.size):
        k = at[i] - 1
        if margins[i] == 0 or (k >= 0 and room[k] == 0):
            pending[waiting] = i
            waiting += 1
        elif k >= 0:
            room[k] -= 1
    left = 0
    for t in range(waiting):
        i = pending[t]
        best = top(rows, i, prices)
        choice = emptiest(rows, i, prices, best, room)
        at[i] = choice + 1
        if choice >= 0:
            room[choice] -= 1
        elif best > 0:
            at[i] = -1
            pending[left] = i
            left += 1
    return left


@njit(NUMBER(ROWS, VECTOR, ROW, ROW, ROW, NUMBER, NUMBER, FLAG), cache=True)
def finish(rows, capacities, prices, at, pending, waiting, budget, central):
    """`repair` once nobody is to bid any more: who waits is in `pending`, first, and nowhere; all others like it best
    where they are.
    """
    state, search = begin(rows, capacities, prices, at)
    seat(state)
    work = 0
    for t in range(waiting):
        work += _place(state, search, pending[t])
        if work > budget // 3 + budget // waiting * t:
            return waiting - t
    share = pairs(rows) / capacities.size**2 if rows.first.size > 0 else np.inf
    hungry = _hungry(state, search)
    few = hungry + _LOWEST > _SEARCHES * share
    if hungry > 0:
        limit = budget // _FILLING
        spent = draw(state, limit) if few else fill(state, search, limit)
        if spent > limit:
            return 1
    if few and not central:
        lowest(state)
    else:
        lower(state, search)
    if central:
        highest = _highest(state, search)
        for k in range(1, prices.size):
            prices[k] = (prices[k] + highest[k]) // 2
    return 0


def _vacant(capacities: Integers, prices: Integers, at: Integers) -> int:
    """How many slots of agents that have a price are free."""
    loads = np.bincount(at[at > 0], minlength=prices.size)[1:]
    return int((capacities - loads)[prices[1:] > 0].sum())


def repair(
    rows: Rows,
    capacities: Integers,
    prices: Integers,
    at: Integers,
    margins: Integers,
    crowd: int,
    budget: int,
    central: bool,
) -> int:
    """Exact optimum from prices and favourites, in place: `at` (N,) nodes, `prices` (M + 1,).

    The budget grows from a third of its size to four thirds as requests find their place: an attempt that came so far
    is worth more. Filling agents may take a third more.

    Args:
        rows: N requests, M agents.
        capacities: (M,) at most N each.
        prices: (M + 1,) of nodes, node 0 first; afterwards the lowest supporting ones.
        at: (N,) a favourite node of each request at these prices.
        margins: (N,) 0 where a request has several favourites.
        crowd: how many may wait for a search each, and how many slots may be free of agents that have a price: more are
            a sign that better prices are to be had. N sets no limit to either.
        budget: work (entries touched) after which the attempt is given up.
        central: end at prices halfway between lowest and highest: better guesses for a larger market.

    Returns:
        0 where the optimum was reached; else how many requests still waited where it was given up, at least 1.
    """
    pending = np.empty(at.size, np.int64)
    waiting: int = _seat(rows, capacities, prices, at, margins, pending)
    if waiting > 0:
        waiting = compete(rows, capacities, prices, at, margins, pending, waiting, 0, _BIDS * waiting)
    if waiting > crowd or (crowd < at.size and _vacant(capacities, prices, at) > crowd):
        return max(1, waiting)
    left: int = finish(rows, capacities, prices, at, pending, waiting, budget, central)
    return left
