"""Which pairs of a market are worth a look: those of positive weight, and those that come close at prices nearly right.

A market is solved on the promising pairs of each request as if there were no others. At the end no other may offer a
request more than it gets: then the prices support the allocation among all pairs, and are the lowest that do, for they
are so among fewer. Most requests are cleared by one comparison, the others looked at once, and who prefers missing
pairs gets them.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from allocation.kernels.compile.intrinsics import first_bit
from allocation.kernels.compile.signatures import MATRIX, NUMBER, ROW, inlined
from allocation.kernels.pairs.offers import best_offers, top
from allocation.kernels.pairs.rows import (
    NEVER,
    ROWS,
    Integers,
    Rows,
    bits,
    dense,
    node_of,
    nodes,
    packed_pair,
    pilot,
    whole,
)

#: Pairs whose marks fit in one word.
_WORD = 64

#: How many pairs of a request are promising on average: a share of the agents, but not less than this.
_SHORTER = 16
_SHORTEST = 10

#: Of all pairs at most one in so many is worth listing.
_SHARE = 4


class BudgetSpent(Exception):  # noqa: N818
    """The market is harder than its size suggests; another way, or another solver, should take over."""


def packed(weights: Integers, about: int) -> Rows:
    """The pairs of `weights` (N, M) that are worth something: no other is part of an optimum or bears on its prices.

    Where they are many more than `about` they are looked for twice.
    """
    n, m = weights.shape
    first, last = np.empty(n, np.int64), np.empty(n, np.int64)
    for room in (about * 5 // 4 + m, n * m + m):
        words = np.empty(room, np.int64)
        if _pack(weights, first, last, words) == n:
            break
    return Rows(dense(weights[:0]).weights, first, last, words)


@dataclass(slots=True)
class Shortlists:
    """The promising pairs of `weights` (N, M): `rows`, and what all others offer less than at `prices` (M + 1,)."""

    weights: Integers
    rows: Rows
    floor: Integers
    prices: Integers

    @classmethod
    def near(cls, weights: Integers, prices: Integers, width: int) -> "Shortlists":
        """The pairs that offer at these prices at most `width` less than a row's second best.

        Raises:
            BudgetSpent: there are so many that it does not help to know them.
        """
        n, m = weights.shape
        first, last, floor = (np.empty(n, np.int64) for _ in range(3))
        words = _room(n, m)
        if _collect(weights, prices, width, first, last, words, floor) < n:
            raise BudgetSpent
        return cls(weights, Rows(dense(weights[:0]).weights, first, last, words), floor, prices.copy())

    def listed(self) -> Integers:
        """(M,) how many requests each agent is promising to."""
        return np.bincount(nodes(self.rows), minlength=self.prices.size)[1:]

    def widen(self, prices: Integers) -> bool:
        """Add the pairs that offer more at other prices than all of their row that are there; False if there are none.

        Raises:
            BudgetSpent: as in `near`.
        """
        n, m = self.weights.shape
        gains = np.maximum(best_offers(self.rows, prices), 0)
        self.floor += (self.prices - prices).max()
        self.prices = prices.copy()
        missing = _overlooked(dense(self.weights), prices, gains, self.floor)
        if missing.size > 0:
            least, first, last = np.full(n, -NEVER), np.empty(n, np.int64), np.empty(n, np.int64)
            least[missing] = self.floor[missing] = gains[missing] + 1
            words = _room(n, m)
            if _unite(self.rows, self.weights, prices, least, first, last, words) < n:
                raise BudgetSpent
            self.rows = Rows(self.rows.weights, first, last, words)
        return bool(missing.size > 0)


def _room(n: int, m: int) -> Integers:
    """For as many pairs as are worth listing, and a row to spare."""
    return np.empty(n * m // _SHARE + m, np.int64)


def promise(rows: Rows, prices: Integers) -> int:
    """How far behind a row's second best, at prices (M + 1,), promising pairs of dense rows lie; M >= 2."""
    offers = pilot(rows).weights - prices[1:]
    behind = np.partition(offers, -2, axis=1)[:, -2:-1] - offers
    count = min(behind.size - 1, len(offers) * max(_SHORTEST, offers.shape[1] // _SHORTER))
    return max(0, int(np.partition(behind.ravel(), count)[count]))


@inlined
def _second_best(row, prices):
    due, best, second, ties = prices[1:], np.int64(NEVER), np.int64(NEVER), 0
    for k in range(row.size):
        best = max(best, row[k] - due[k])
    for k in range(row.size):
        offer = row[k] - due[k]
        ties += offer == best
        second = max(second, offer if offer < best else NEVER)
    return max(second if ties == 1 else best, 0) if best > 0 else best


@inlined
def _gather(row, prices, least, marks, words, t):
    """The pairs of a row that are marked, or offer `least` or more and are worth something, from place t on.

    Without prices (None) all that are worth something. `marks` has a bit for each agent, and has none left afterwards:
    to set them takes no branch.

    Returns:
        where the pairs end.
    """
    size, shift = row.size + 1, bits(row.size + 1)
    for begin in range(0, row.size, _WORD):
        word = marks[begin // _WORD]
        part = row[begin : begin + _WORD]
        if prices is None:
            for k in range(part.size):
                word |= np.int64(part[k] > 0) << k
        else:
            costs = prices[begin + 1 : begin + 1 + _WORD]
            for k in range(part.size):
                word |= np.int64((part[k] > 0) & (part[k] - costs[k] >= least)) << k
        marks[begin // _WORD] = 0
        while word != 0:
            k = begin + first_bit(word)
            words[whole(t)] = packed_pair(row[whole(k)], k + 1, shift, size)
            t += 1
            word &= word - 1
    return t


@njit(NUMBER(MATRIX, ROW, ROW, ROW), cache=True)
def _pack(weights, first, last, words):
    n, m = weights.shape
    marks = np.zeros(m // _WORD + 1, np.int64)
    t = 0
    for i in range(n):
        if t + m > words.size:
            return i
        first[i] = t
        t = _gather(weights[i], None, None, marks, words, t)
        last[i] = t
    return n


@njit(NUMBER(MATRIX, ROW, NUMBER, ROW, ROW, ROW, ROW), cache=True)
def _collect(weights, prices, width, first, last, words, floor):
    n, m = weights.shape
    marks = np.zeros(m // _WORD + 1, np.int64)
    t = 0
    for i in range(n):
        if t + m > words.size:
            return i
        first[i], floor[i] = t, _second_best(weights[i], prices) - width
        t = _gather(weights[i], prices, floor[i], marks, words, t)
        last[i] = t
    return n


@njit(NUMBER(ROWS, MATRIX, ROW, ROW, ROW, ROW, ROW), cache=True)
def _unite(rows, weights, prices, least, first, last, words):
    n, m = weights.shape
    marks = np.zeros(m // _WORD + 1, np.int64)
    begins, ends, kept, shift = rows.first, rows.last, rows.words, bits(m + 1)
    t = 0
    for i in range(n):
        if t + m > words.size:
            return i
        first[i] = t
        if least[i] == -NEVER:
            for s in range(begins[i], ends[i]):
                words[t] = kept[s]
                t += 1
        else:
            for s in range(begins[i], ends[i]):
                k = node_of(kept[s], shift, m + 1) - 1
                marks[k // _WORD] |= np.int64(1) << (k % _WORD)
            t = _gather(weights[i], prices, least[i], marks, words, t)
        last[i] = t
    return n


@njit(ROW(ROWS, ROW, ROW, ROW), cache=True)
def _overlooked(rows, prices, gains, floor):
    """Requests to which some pair of dense rows offers more than they gain (N,), if what is missing reaches so far."""
    found, count = np.empty(gains.size, np.int64), 0
    for i in range(gains.size):
        if gains[i] < floor[i] and top(rows, i, prices) > gains[i]:
            found[count] = i
            count += 1
    return found[:count]
