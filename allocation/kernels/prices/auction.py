"""Bidding: requests outbid each other for capacity at the cost of one scan a bid, where a search costs thousands.

An agent with free capacity takes any request that comes; a full one keeps the highest bids, and its price is the least
of them. A bid is what would make its request indifferent between its favourite and its second choice (Bertsekas 1988;
Demange, Gale and Sotomayor 1986). Without an increment every request that is placed stays at a favourite, so that
nothing has to be undone afterwards: the augmenting row reduction of Jonker and Volgenant (1987), for agents that serve
several requests. With one, price wars end, and only the prices are of use.
"""

import numpy as np

from allocation.kernels.compile.caching import compiled
from allocation.kernels.compile.signatures import MATRIX, NUMBER, ROW, VECTOR, inner
from allocation.kernels.pairs.offers import two_best


@inner
def _sift(keys, ids, size, t, key, i):
    """Put (key, i) at place t of a heap of `size`, the least key first, or below it."""
    while True:
        child = 2 * t + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[t], ids[t] = keys[child], ids[child]
        t = child
    keys[t], ids[t] = key, i


@inner
def _heap(keys, ids, size):
    for t in range(size // 2 - 1, -1, -1):
        _sift(keys, ids, size, t, keys[t], ids[t])


@compiled(NUMBER(MATRIX, VECTOR, ROW, ROW, ROW, ROW, NUMBER, NUMBER, NUMBER))
def compete(weights, capacities, prices, at, margins, pending, waiting, increment, most):
    """Requests that wait bid until they are placed, leave, or would only tie; prices (M + 1,) rise in place.

    Args:
        weights: (N, M).
        capacities: (M,) at most N each.
        prices: (M + 1,) of nodes, node 0 first.
        at: (N,) node of each request, -1 for those that wait; no node is overfull.
        margins: (N,) how much more a request gains where it is than elsewhere; not read for those that wait.
        pending: (N,) the `waiting` first are requests that wait; afterwards those that still do.
        waiting: how many.
        increment: what a bid exceeds indifference by.
        most: how many bids there may be.

    Returns:
        how many still wait.
    """
    n, m = at.size, capacities.size
    start = np.zeros(m + 1, np.int64)
    for k in range(m):
        start[k + 1] = start[k] + capacities[k]
    keys, ids = np.empty(start[m], np.int64), np.empty(start[m], np.int64)
    size, heaped = np.zeros(m, np.int64), np.zeros(m, np.bool_)
    for i in range(n):
        if at[i] > 0:
            k = at[i] - 1
            keys[start[k] + size[k]], ids[start[k] + size[k]] = prices[k + 1] + margins[i], i
            size[k] += 1
    stuck, left = np.empty(n, np.int64), 0
    while waiting > 0 and most > 0:
        most -= 1
        i = pending[waiting - 1]
        best, first, next_best, runner = two_best(weights[i], prices)
        lead = best - next_best
        placed = best == 0
        if placed:
            at[i] = 0
        for t in range(2 if lead == 0 else 1):
            k = (runner if t > 0 else first) - 1
            if k < 0 or (best == 0 and prices[k + 1] == 0):
                break
            if size[k] < start[k + 1] - start[k]:
                keys[start[k] + size[k]], ids[start[k] + size[k]] = prices[k + 1] + lead + increment, i
                size[k] += 1
                at[i] = k + 1
                placed = True
                break
        if placed:
            waiting -= 1
            continue
        k = first - 1
        mine, mine_ids = keys[start[k] : start[k + 1]], ids[start[k] : start[k + 1]]
        if not heaped[k]:
            _heap(mine, mine_ids, mine.size)
            heaped[k] = True
        bid = prices[k + 1] + lead + increment
        least = mine[0] if mine.size > 0 else bid
        if bid > least:
            pending[waiting - 1] = mine_ids[0]
            at[mine_ids[0]] = -1
            _sift(mine, mine_ids, mine.size, np.int64(0), bid, i)
            at[i] = k + 1
            prices[k + 1] = mine[0]
        elif prices[k + 1] < least:
            prices[k + 1] = least
        else:
            waiting -= 1
            stuck[left] = i
            left += 1
    for t in range(left):
        pending[waiting + t] = stuck[t]
    return waiting + left
