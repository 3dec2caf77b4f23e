"""The pairs of a market, request by request: all of them, or only those that may be worth something.

Every kernel looks at rows through the few functions here and in `_offers`. A dense row holds all agents; a packed one
names its agents and leaves out those that do not count.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from allocation.kernels.compile.intrinsics import send_for
from allocation.kernels.compile.signatures import MATRIX, ROW, inlined

Integers = NDArray[np.int64]

#: Less than any weight, and still far from the end of the word when a price is taken off.
NEVER = -(2**62)

#: Requests that stand for all where a mean will do.
_PILOT = 64

#: So many pairs are looked at sooner than halved: no branch to guess.
_GLANCE = 16

#: Memory is asked for packed rows so many requests ahead: those of a sample lie far apart, and each would wait.
AHEAD = 16

#: Longer than any path, short enough to be shifted by 16 bits.
FAR = 2**46


class Rows(NamedTuple):
    """Dense: `weights` (N, M), and nothing else. Packed: `weights` (0, M), and request i owns the pairs from `first[i]`
    to before `last[i]` of `words` (see `packed_pair`), in increasing order of their nodes, which are agents plus 1.
    """

    weights: Integers
    first: Integers
    last: Integers
    words: Integers


ROWS = types.NamedTuple((MATRIX, ROW, ROW, ROW), Rows)


def dense(weights: Integers) -> Rows:
    """All pairs of `weights` (N, M)."""
    view = np.ascontiguousarray(weights).view()
    view.setflags(write=False)
    nothing = np.empty(0, np.int64)
    return Rows(view, nothing, nothing, nothing)


def take(rows: Rows, chosen: NDArray[np.intp]) -> Rows:
    """The same for some of the requests; packed pairs are shared, not copied."""
    if rows.first.size == 0:
        return dense(rows.weights.take(chosen, axis=0))
    return rows._replace(first=rows.first.take(chosen), last=rows.last.take(chosen))


def shape(rows: Rows) -> tuple[int, int]:
    """N and M."""
    return rows.weights.shape[0] + rows.first.size, rows.weights.shape[1]


def nodes(rows: Rows) -> Integers:
    """The nodes of packed pairs, row by row, where `rows` hold all there are."""
    size = shape(rows)[1] + 1
    found: Integers = size - (rows.words[: rows.last[-1]] & ((1 << size.bit_length()) - 1))
    return found


def sample_rows(n: int, count: int) -> NDArray[np.intp]:
    """`count` of n rows, one at random in each of `count` equal strata; always the same ones."""
    stride = n // count
    rows = np.arange(count, dtype=np.intp)
    picked: NDArray[np.intp] = rows * stride + ((rows * 2654435761) >> 15) % stride
    return picked


def sample(rows: Rows, capacities: Integers, count: int) -> tuple[Rows, Integers]:
    """`count` of the requests, and capacities (M,) in proportion, rounded up: room to spare is not lost in a sample.

    All of them, as they are, where they are no more than that.
    """
    n, _ = shape(rows)
    if count >= n:
        return rows, capacities
    return take(rows, sample_rows(n, count)), np.diff(-(-np.cumsum(capacities) * count // n), prepend=0)


def pilot(rows: Rows) -> Rows:
    """The few requests that stand for all where a mean will do."""
    n, _ = shape(rows)
    return take(rows, sample_rows(n, min(n, _PILOT)))


@inlined
def bits(size):
    """How many bits hold any number up to `size`, at least 1."""
    shift = 1
    while (1 << shift) <= size:
        shift += 1
    return shift


@inlined
def packed_pair(value, node, shift, size):
    """What a pair is worth, above the `bits(size)` that say how far from the end its node is, `size` being M + 1."""
    return (value << shift) | (size - node)


@inlined
def node_of(word, shift, size):
    return size - (word & ((1 << shift) - 1))


@inlined
def count(rows):
    """N."""
    return rows.weights.shape[0] + rows.first.size


@inlined
def pairs(rows):
    """How many pairs there are to look at."""
    total = rows.weights.size
    for i in range(rows.first.size):
        total += rows.last[i] - rows.first[i]
    return total


@inlined
def whole(index):
    """An index that is not negative, and so need not be tested whether it counts from the end."""
    return np.uint64(index)


@inlined
def send_for_row(words, first, last, i):
    """Have memory bring packed row i, if there is one."""
    if i < first.size:
        send_for(words, whole(first[whole(i)]))
        send_for(words, whole(last[whole(i)]))


@inlined
def _find(words, begin, end, node, shift, size):
    """The value of a node in a packed row, which lies from `begin` to before `end`; `NEVER` where it is not there."""
    mask, behind = (1 << shift) - 1, size - node
    while end - begin > _GLANCE:
        half = (begin + end) >> 1
        if words[whole(half)] & mask >= behind:
            begin = half
        else:
            end = half
    found = np.int64(0)
    for t in range(whole(begin), whole(end)):
        found += (words[t] >> shift) - NEVER if words[t] & mask == behind else 0
    return found + NEVER


@inlined
def weight(rows, i, node):
    """What request i is worth at a node: 0 at node 0, and less than nothing where a packed row has no such pair."""
    if node == 0:
        return 0
    if rows.first.size == 0:
        return rows.weights[i, node - 1]
    size = rows.weights.shape[1] + 1
    return _find(rows.words, rows.first[i], rows.last[i], node, bits(size), size)


@inlined
def shorten(rows, worth, members, arcs):
    """Lower `arcs` (M + 1,) to what it costs to move `members` away from where they have `worth` (N,).

    Node 0 is left alone.

    Returns:
        how many entries were read.
    """
    weights, first, last, words = rows.weights, rows.first, rows.last, rows.words
    beyond, read = arcs[1:], members.size
    size, shift = arcs.size, bits(arcs.size)
    for i in members:
        if first.size > 0:
            for t in range(whole(first[i]), whole(last[i])):
                k = whole(node_of(words[t], shift, size))
                arcs[k] = min(arcs[k], worth[i] - (words[t] >> shift))
            read += last[i] - first[i]
        else:
            row, here = weights[i], worth[i]
            for k in range(row.size):
                beyond[k] = min(beyond[k], here - row[k])
            read += row.size
    return read


@inlined
def losing(rows, worth, members, k, length):
    """The first of `members` that loses just `length` by moving from where it has `worth` (N,) to node k, or -1."""
    weights, first, last, words = rows.weights, rows.first, rows.last, rows.words
    size, shift = weights.shape[1] + 1, bits(weights.shape[1] + 1)
    if k == 0:
        for i in members:
            if worth[i] == length:
                return i
    elif first.size > 0:
        for i in members:
            if worth[i] - _find(words, first[i], last[i], k, shift, size) == length:
                return i
    else:
        for i in members:
            if worth[i] - weights[i, k - 1] == length:
                return i
    return -1


@inlined
def losses(rows, worth, members, k):
    """What each of `members` loses by moving from where it has `worth` (N,) to node k."""
    found = np.empty(members.size, np.int64)
    weights, first, last, words = rows.weights, rows.first, rows.last, rows.words
    size, shift = weights.shape[1] + 1, bits(weights.shape[1] + 1)
    if k == 0:
        for t in range(members.size):
            found[t] = worth[members[t]]
    elif first.size > 0:
        for t in range(members.size):
            i = members[t]
            found[t] = worth[i] - _find(words, first[i], last[i], k, shift, size)
    else:
        for t in range(members.size):
            found[t] = worth[members[t]] - weights[members[t], k - 1]
    return found


@njit(ROW(ROWS, ROW), cache=True)
def worth(rows, at):
    """(N,) what each request is worth at its node; 0 for one that is nowhere."""
    found = np.zeros(at.size, np.int64)
    weights, first, last, words = rows.weights, rows.first, rows.last, rows.words
    size, shift = weights.shape[1] + 1, bits(weights.shape[1] + 1)
    # What kind of rows there are is asked once: asked for each of them it takes three times as long.
    if first.size > 0:
        for i in range(at.size):
            send_for_row(words, first, last, i + AHEAD)
            if at[i] > 0:
                found[i] = _find(words, first[i], last[i], at[i], shift, size)
    else:
        for i in range(at.size):
            if at[i] > 0:
                found[i] = weights[i, at[i] - 1]
    return found
