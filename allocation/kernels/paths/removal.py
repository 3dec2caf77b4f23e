"""What the others lose by the presence of a bidder with several requests: he is removed, the optimum repaired, undone.

Prices that supported the optimum still support what is left of it, except that agents he leaves have a free slot:
each of them takes one shortest path, not a new solve.
"""

import numpy as np
from numba import njit

from allocation.kernels.compile.loops import copy
from allocation.kernels.compile.signatures import ROW, VECTOR, inner
from allocation.kernels.pairs.rows import ROWS, weight
from allocation.kernels.paths.augment import fill
from allocation.kernels.paths.residual import begin, forget_all, insert, listed, refresh, remove, seat

_NO_LIMIT = 2**62


@inner
def _without(state, search, home, requests, moved):
    """The others' gain if `requests` leave; the state is as before afterwards, but for the lengths of touched rows."""
    for i in requests:
        remove(state, home[i], i)
    fill(state, search, _NO_LIMIT)
    count, gain = 0, 0
    for j in range(state.loads.size):
        if not state.touched[j]:
            continue
        for t in range(state.start[j], state.start[j] + state.loads[j]):
            i = state.members[t]
            if home[i] != j:
                moved[count] = i
                count += 1
                gain += weight(state.rows, i, j) - weight(state.rows, i, home[i])
    for t in range(count):
        i = moved[t]
        remove(state, state.at[i], i)
    for t in range(count):
        insert(state, home[moved[t]], moved[t])
    for i in requests:
        insert(state, home[i], i)
    return gain


@njit(ROW(ROWS, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR), cache=True)
def removals(rows, capacities, prices, home, requests, first):
    """(G,) welfare the others gain when bidder g leaves, who owns `requests[first[g] : first[g + 1]]`.

    Args:
        rows: N requests, M agents.
        capacities: (M,) at most N each.
        prices: (M + 1,) supporting prices, node 0 first.
        home: (N,) nodes of an optimal allocation.
        requests: indices, bidder by bidder.
        first: (G + 1,).
    """
    n, m = home.size, capacities.size
    state, search = begin(rows, capacities, prices.copy(), home.copy())
    seat(state)
    for j in range(m + 1):
        refresh(state, j)
    state.touched[:] = False
    lengths, moved = state.lengths.copy(), np.empty(n, np.int64)
    gains = np.zeros(first.size - 1, np.int64)
    for g in range(gains.size):
        mine = requests[first[g] : first[g + 1]]
        served = False
        for i in mine:
            served |= home[i] > 0
        if not served:
            continue
        gains[g] = _without(state, search, home, mine, moved)
        copy(prices, state.prices)
        for j in range(m + 1):
            if state.touched[j]:
                copy(lengths[j], state.lengths[j])
                if listed(state, j):
                    forget_all(state, j)
                state.stale[j] = state.touched[j] = False
    return gains
