"""Which pairs of a market are worth a look: those of positive weight, and those that come close at prices nearly right.

A market is solved on the promising pairs of each request as if there were no others. At the end no other may offer a
request more than it gets: then the prices support the allocation among all pairs, and are the lowest that do, for they
are so among fewer. Most requests are cleared by one comparison, the others looked at once, and who prefers a missing
pair gets its whole row.
"""

import numpy as np
from llvmlite.ir import Constant, IntType
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from allocation._rows import NEVER, ROWS, Integers, Rows, dense, top, weight
from allocation._types import MATRIX, NUMBER, ROW, inlined

#: Pairs whose marks fit in one word.
_WORD = 64


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


@intrinsic
def _first_bit(typing, word):
    """Index of the lowest bit set in a word that is not 0."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], Constant(IntType(1), 1))

    return NUMBER(NUMBER), generate


@inlined
def _second_best(row, prices):
    best, second = np.int64(NEVER), np.int64(NEVER)
    for k in range(row.size):
        offer = row[k] - prices[k + 1]
        second = max(second, min(best, offer))
        best = max(best, offer)
    return max(second, 0) if best > 0 else best


@inlined
def _gather(row, prices, least, nodes, values, t):
    """The pairs of a row that offer `least` or more, and are worth something, from place t on; returns where they end.

    They are marked as bits first, which takes no branch.
    """
    for begin in range(0, row.size, _WORD):
        marks = np.int64(0)
        for k in range(min(row.size - begin, _WORD)):
            value = row[begin + k]
            marks |= np.int64((value > 0) & (value - prices[begin + k + 1] >= least)) << k
        while marks != 0:
            k = begin + _first_bit(marks)
            nodes[t], values[t] = k + 1, row[k]
            t += 1
            marks &= marks - 1
    return t


@njit(NUMBER(MATRIX, ROW, NUMBER, ROW, ROW, ROW, ROW, ROW), cache=True)
def _collect(weights, prices, width, first, last, nodes, values, floor):
    n, m = weights.shape
    t = 0
    for i in range(n):
        if t + m > nodes.size:
            return i
        first[i], floor[i] = t, _second_best(weights[i], prices) - width
        t = _gather(weights[i], prices, floor[i], nodes, values, t)
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
