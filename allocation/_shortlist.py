"""Which pairs of a market are worth a look: those of positive weight, and those that come close at prices nearly right.

A market is solved on the promising pairs of each request as if there were no others. At the end no other may offer a
request more than it gets: then the prices support the allocation among all pairs, and are the lowest that do, for they
are so among fewer. Most requests are cleared by one comparison, the others looked at once, and who prefers a missing
pair gets its whole row.
"""

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from allocation._rows import ROWS, Integers, Rows, bits, dense, top, two_best, weight
from allocation._types import MATRIX, NUMBER, ROW


def packed(weights: Integers) -> Rows:
    """The pairs of `weights` (N, M) that are worth something: no other is part of an optimum or bears on its prices."""
    ends = np.concatenate(([0], np.cumsum(_lengths(weights))))
    nodes, values = np.empty(ends[-1] + 1, np.int64), np.empty(ends[-1] + 1, np.int64)
    _pack(weights, ends, nodes, values)
    return Rows(dense(weights[:0]).weights, ends[:-1].copy(), ends[1:].copy(), nodes, values)


def promising(weights: Integers, prices: Integers, width: int, most: int) -> tuple[Rows, Integers] | None:
    """The pairs of `weights` (N, M) that offer at prices (M + 1,) at most `width` less than a row's second best.

    Returns:
        the pairs, and (N,) what all others of a row offer less than; None if there were more than `most`.
    """
    n, m = weights.shape
    first, last, floor = (np.empty(n, np.int64) for _ in range(3))
    nodes, values = np.empty(most + m, np.int64), np.empty(most + m, np.int64)
    if _collect(weights, prices, width, first, last, nodes, values, floor) < n:
        return None
    return Rows(dense(weights[:0]).weights, first, last, nodes, values), floor


def widened(rows: Rows, weights: Integers, chosen: NDArray[np.intp]) -> Rows:
    """Packed rows in which some of the requests get all pairs of `weights` that are worth something."""
    more = packed(weights[chosen])
    first, last = rows.first.copy(), rows.last.copy()
    first[chosen], last[chosen] = more.first + rows.nodes.size, more.last + rows.nodes.size
    nodes, values = np.concatenate((rows.nodes, more.nodes)), np.concatenate((rows.values, more.values))
    return rows._replace(first=first, last=last, nodes=nodes, values=values)


@njit(ROW(MATRIX), cache=True)
def _lengths(weights):
    n, m = weights.shape
    counts = np.empty(n, np.int64)
    for i in range(n):
        count = 0
        for k in range(m):
            count += weights[i, k] > 0
        counts[i] = count
    return counts


@njit([types.void(MATRIX, ROW, ROW, ROW)], cache=True)
def _pack(weights, ends, nodes, values):
    n, m = weights.shape
    for i in range(n):
        t = ends[i]
        for k in range(m):
            # Written whether it counts or not, and overwritten if not: no branch to guess. The last place is spare.
            nodes[t], values[t] = k + 1, weights[i, k]
            t += weights[i, k] > 0


@njit(NUMBER(MATRIX, ROW, NUMBER, ROW, ROW, ROW, ROW, ROW), cache=True)
def _collect(weights, prices, width, first, last, nodes, values, floor):
    n, m = weights.shape
    shift = bits(prices.size)
    t = 0
    for i in range(n):
        if t + m > nodes.size:
            return i
        row = weights[i]
        _, next_best = two_best(row, prices, shift)
        first[i], floor[i] = t, (next_best >> shift) - width
        for k in range(m):
            nodes[t], values[t] = k + 1, row[k]
            t += (row[k] > 0) & (row[k] - prices[k + 1] >= floor[i])
        last[i] = t
    return n


@njit(ROW(MATRIX, ROWS, ROW, ROW, NUMBER, ROW), cache=True)
def overlooked(weights, rows, prices, at, fall, floor):
    """Requests that prefer a pair of `weights` (N, M), missing in `rows`, to where they are at these prices (M + 1,).

    Args:
        weights: (N, M), all pairs.
        rows: some of them.
        prices: (M + 1,) now.
        at: (N,) nodes.
        fall: how much any price has fallen since `floor` was true.
        floor: (N,) what the missing ones offered less than.
    """
    everything = Rows(weights, floor[:0], floor[:0], floor[:0], floor[:0])
    found, count = np.empty(at.size, np.int64), 0
    for i in range(at.size):
        gain = weight(rows, i, at[i]) - prices[at[i]]
        if gain < floor[i] + fall and top(everything, i, prices) > gain:
            found[count] = i
            count += 1
    return found[:count]
