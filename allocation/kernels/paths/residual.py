"""The compressed residual graph: M agents and node 0, "unserved"; who is where, and what moving anybody costs.

Node k + 1 is agent k. `lengths[j, k]` is the least welfare lost by moving one request from node j to node k, and
`lengths[0, k] <= 0`, for a price may fall to 0 without anybody moving. With prices q (q_0 = 0) an allocation is optimal
exactly when lengths[j, k] - q_j + q_k >= 0 everywhere, no agent is overfull, and every agent with a price is full
(Ahuja, Magnanti and Orlin 1993, chapter 9).

Rows of `lengths` are recomputed only when a search reaches a node that lost a request. A node that many searches reach
keeps a shortlist for each arc, the requests that lose least by taking it, and is scanned again only when one runs out.
Of its arcs only those are looked up that the request which left was the first to take.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from allocation.kernels.compile.loops import copy
from allocation.kernels.compile.signatures import inlined, inner
from allocation.kernels.pairs.rows import FAR, Rows, bits, losing, losses, node_of, pairs, shorten, weight, worth

#: Scans of a node before its arcs get shortlists, and how many requests these hold.
_PATIENCE = 4
_SHORT = 32

#: Pairs per arc from which shortlists pay where rows are dense, which are read fast, and where they are packed; more
#: where agents are so many that lists for all pairs of them would take more memory than the market.
_CROWD = 25
_CROWD_PACKED = 8
_AGENTS = 16

#: Instead of a request: one to be looked up on a shortlist; nobody at all.
_UNKNOWN = -1
_NOBODY = -2


class State(NamedTuple):
    """A solve in progress. Requests are worth `worth` (N,) where they are; those at node j are
    `members[start[j] : start[j] + loads[j]]`, and `place` is their index.

    `stale` rows of `lengths` wait to be recomputed; `touched` nodes lost or won a request. `visits` counts scans.

    The shortlist of arc j -> k is `movers[j, k, : sizes[j, k]]`, by falling `losses`; a request at j that is not on it
    loses at least `beyond[j, k]`. Those that left j stay on it until they come last. `tops[j, k]` is the one that makes
    `lengths[j, k]` what it is; where it is `_UNKNOWN` the arc may have become longer.
    """

    rows: Rows
    capacities: NDArray[np.int64]
    prices: NDArray[np.int64]
    at: NDArray[np.int64]
    worth: NDArray[np.int64]
    loads: NDArray[np.int64]
    start: NDArray[np.int64]
    members: NDArray[np.int64]
    place: NDArray[np.int64]
    lengths: NDArray[np.int64]
    stale: NDArray[np.bool_]
    touched: NDArray[np.bool_]
    visits: NDArray[np.int64]
    movers: NDArray[np.int64]
    losses: NDArray[np.int64]
    sizes: NDArray[np.int64]
    beyond: NDArray[np.int64]
    tops: NDArray[np.int64]


class Search(NamedTuple):
    """Scratch of one Dijkstra run, an entry per node.

    In order: packed distances of open nodes; prices, with a wall around settled nodes; distances; settled nodes in
    order; distances from the source alone; the path found; the node before each; the goals.
    """

    open: NDArray[np.int64]
    walls: NDArray[np.int64]
    dist: NDArray[np.int64]
    order: NDArray[np.int64]
    first: NDArray[np.int64]
    path: NDArray[np.int64]
    before: NDArray[np.int64]
    goal: NDArray[np.bool_]


@inlined
def _present(state, j):
    """The requests at node j."""
    return state.members[state.start[j] : state.start[j] + state.loads[j]]


@inlined
def listed(state, j):
    """Whether node j keeps shortlists."""
    return state.visits[j] > _PATIENCE


@inner
def _enter(movers, losses, size, i, loss):
    """Put request i on a shortlist, which loses its dearest where it is full; returns the least loss that fell off."""
    if size < losses.size:
        while size > 0 and losses[size - 1] < loss:
            movers[size], losses[size] = movers[size - 1], losses[size - 1]
            size -= 1
        movers[size], losses[size] = i, loss
        return FAR
    if loss >= losses[0]:
        return loss
    fell, t = losses[0], 1
    while t < size and losses[t] > loss:
        movers[t - 1], losses[t - 1] = movers[t], losses[t]
        t += 1
    movers[t - 1], losses[t - 1] = i, loss
    return fell


@inlined
def _enlist(state, j, k, i, loss):
    """Request i, now at node j, to the shortlist of j -> k, if it belongs there."""
    if loss < state.beyond[j, k]:
        size = state.sizes[j, k]
        fell = _enter(state.movers[j, k], state.losses[j, k], size, i, loss)
        state.beyond[j, k] = min(state.beyond[j, k], fell)
        state.sizes[j, k] = min(size + 1, state.losses.shape[2])
        if loss < state.lengths[j, k]:
            state.lengths[j, k], state.tops[j, k] = loss, i


@inner
def _enlist_everywhere(state, j, members):
    """Requests now at node j to the shortlists of all arcs out of it."""
    first, last, words = state.rows.first, state.rows.last, state.rows.words
    size, shift = state.prices.size, bits(state.prices.size)
    for i in members:
        here = state.worth[i]
        _enlist(state, j, 0, i, here)
        if first.size > 0:
            for t in range(first[i], last[i]):
                _enlist(state, j, node_of(words[t], shift, size), i, here - (words[t] >> shift))
        else:
            row = state.rows.weights[i]
            for k in range(row.size):
                _enlist(state, j, k + 1, i, here - row[k])


@inlined
def _last(state, j, k):
    """Index of the request on the shortlist of j -> k that loses least, -1 where it is empty."""
    t = state.sizes[j, k] - 1
    while t >= 0 and state.at[state.movers[j, k, t]] != j:
        t -= 1
    state.sizes[j, k] = t + 1
    return t


@inner
def _look_up(state, j, k):
    """Who takes arc j -> k first, from its shortlist, made anew where it has run out; returns the work done."""
    last, work = _last(state, j, k), 2
    if last < 0 and state.beyond[j, k] < FAR:
        state.beyond[j, k] = FAR
        present = _present(state, j)
        lost = losses(state.rows, state.worth, present, k)
        for t in range(present.size):
            _enlist(state, j, k, present[t], lost[t])
        last = state.sizes[j, k] - 1
        work += 2 * state.loads[j]
    length = state.losses[j, k, last] if last >= 0 else FAR
    state.lengths[j, k] = min(length, 0) if j == 0 else length
    state.tops[j, k] = state.movers[j, k, last] if last >= 0 else _NOBODY
    return work


@inner
def _read_off(state, j):
    """The arcs out of node j that may have become longer, from their shortlists; returns the work done."""
    nodes = state.tops.shape[1]
    work = nodes
    for k in range(nodes):
        if state.tops[j, k] == _UNKNOWN:
            work += _look_up(state, j, k)
    return work


@inlined
def _forget(tops, i):
    """Whether request i, which leaves, was first to take any arc, or may have been."""
    any_ = False
    for k in range(tops.size):
        gone = (tops[k] == i) | (tops[k] == _UNKNOWN)
        tops[k] = _UNKNOWN if gone else tops[k]
        any_ |= gone
    return any_


@inlined
def forget_all(state, j):
    """Whoever was first to take an arc out of node j, which has shortlists, is to be looked up again."""
    state.tops[j] = _UNKNOWN
    state.tops[j, j] = _NOBODY
    state.lengths[j, j] = state.beyond[j, j] = 0


@inner
def _visit(state, j):
    """Count a scan of node j, which gets shortlists once there were many; returns the work done."""
    state.visits[j] += 1
    if state.visits[j] != _PATIENCE + 1:
        return 0
    forget_all(state, j)
    _enlist_everywhere(state, j, _present(state, j))
    return 2 * state.prices.size * state.loads[j]


@inlined
def _leave(state, members, j):
    """Shorten the arcs out of node j to what they cost these members of it; returns the work done."""
    if j > 0:
        for i in members:
            state.lengths[j, 0] = min(state.lengths[j, 0], state.worth[i])
    return shorten(state.rows, state.worth, members, state.lengths[j])


@inlined
def refresh(state, j):
    """Recompute the arcs out of node j; returns the work done."""
    arcs = state.lengths[j]
    state.stale[j] = False
    work = _visit(state, j)
    if listed(state, j):
        return work + _read_off(state, j)
    if j == 0:
        arcs[:] = 0
    else:
        arcs[:] = FAR
    return 2 * arcs.size + _leave(state, _present(state, j), j)


@inlined
def insert(state, j, i):
    t = state.start[j] + state.loads[j]
    state.members[t] = i
    state.place[i] = t
    state.loads[j] += 1
    state.at[i] = j
    state.worth[i] = weight(state.rows, i, j)
    state.touched[j] = True
    if listed(state, j):
        _enlist_everywhere(state, j, state.members[t : t + 1])
    elif not state.stale[j]:
        _leave(state, state.members[t : t + 1], j)


@inner
def seat(state):
    """`insert` for all that `at` places, where no arc is known yet."""
    at, start, loads, members, place = state.at, state.start, state.loads, state.members, state.place
    copy(worth(state.rows, at), state.worth)
    for i in range(at.size):
        j = at[i]
        if j >= 0:
            place[i] = start[j] + loads[j]
            members[place[i]] = i
            loads[j] += 1
    state.touched[:] = True


@inlined
def remove(state, j, i):
    last = state.members[state.start[j] + state.loads[j] - 1]
    state.members[state.place[i]] = last
    state.place[last] = state.place[i]
    state.loads[j] -= 1
    state.at[i] = -1
    state.stale[j] |= _forget(state.tops[j], i) if listed(state, j) else True
    state.touched[j] = True


@inlined
def mover(state, j, k):
    """The request at node j that loses least by moving to node k; -1 where a price falls instead."""
    length = state.lengths[j, k]
    if j == 0 and length == 0:
        return -1
    if not listed(state, j):
        _visit(state, j)
    if listed(state, j):
        if state.tops[j, k] == _UNKNOWN:
            _look_up(state, j, k)
        return state.tops[j, k] if state.lengths[j, k] == length else -1
    return losing(state.rows, state.worth, _present(state, j), k, length)


@inner
def begin(rows, capacities, prices, at):
    """A state in which nobody is placed yet, and the scratch for its searches."""
    n, m = at.size, capacities.size
    start = np.zeros(m + 2, np.int64)
    start[1] = n + 1
    for k in range(m):
        start[k + 2] = start[k + 1] + min(capacities[k], n) + 1
    crowd = max(m // _AGENTS, _CROWD_PACKED if rows.first.size > 0 else _CROWD)
    short = _SHORT if pairs(rows) >= m * m * crowd else 0
    arcs = m + 1 if short > 0 else 0
    state = State(
        rows,
        capacities,
        prices,
        at,
        np.empty(n, np.int64),
        np.zeros(m + 1, np.int64),
        start,
        np.empty(start[m + 1], np.int64),
        np.empty(n, np.int64),
        np.empty((m + 1, m + 1), np.int64),
        np.ones(m + 1, np.bool_),
        np.zeros(m + 1, np.bool_),
        np.full(m + 1, 0 if short > 0 else -FAR),
        np.empty((arcs, arcs, short), np.int64),
        np.empty((arcs, arcs, short), np.int64),
        np.zeros((arcs, arcs), np.int64),
        np.full((arcs, arcs), FAR),
        np.empty((arcs, arcs), np.int64),
    )
    scratch = np.empty((7, m + 1), np.int64)
    return state, Search(
        scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5], scratch[6], np.empty(m + 1, np.bool_)
    )
