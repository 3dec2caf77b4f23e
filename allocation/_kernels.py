"""Numba kernels on the compressed residual graph: M agents and node 0, which stands for "unserved" (price 0, no limit).

Node k + 1 is agent k. The length of arc j -> k is the least welfare lost by moving one request from node j to node k;
moving nothing is the null client of node 0, and a free slot lets its agent's price fall to 0. An allocation is optimal
exactly when no cycle is negative, and its supporting prices are the feasible potentials.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

FORBIDDEN = -(2**61)
FAR = 2**61


@njit(cache=True)
def node_weight(weights, request, node):
    return 0 if node == 0 else weights[request, node - 1]


@njit(cache=True)
def residual_lengths(weights, at, loads, capacities):
    """(M + 1, M + 1) arc lengths and movers of the residual graph of the allocation `at` (N,), nodes as above."""
    n, m = weights.shape
    lengths = np.full((m + 1, m + 1), FAR, np.int64)
    movers = np.full((m + 1, m + 1), -1, np.int64)
    for i in range(n):
        j = at[i]
        here = node_weight(weights, i, j)
        for k in range(m + 1):
            there = node_weight(weights, i, k)
            if k != j and there != FORBIDDEN and here - there < lengths[j, k]:
                lengths[j, k] = here - there
                movers[j, k] = i
    for k in range(1, m + 1):
        if lengths[0, k] > 0:
            lengths[0, k] = 0
            movers[0, k] = -1
        if loads[k] < capacities[k - 1] and lengths[k, 0] > 0:
            lengths[k, 0] = 0
            movers[k, 0] = -1
    return lengths, movers


@njit(cache=True)
def shortest_paths(lengths):
    """Bellman-Ford from node 0: distances, predecessors, and a node on a negative cycle (-1 where there is none)."""
    nodes = lengths.shape[0]
    dist = np.full(nodes, FAR, np.int64)
    before = np.full(nodes, -1, np.int64)
    dist[0] = 0
    for _ in range(nodes):
        changed = -1
        for j in range(nodes):
            if dist[j] == FAR:
                continue
            for k in range(nodes):
                if lengths[j, k] != FAR and dist[j] + lengths[j, k] < dist[k]:
                    dist[k] = dist[j] + lengths[j, k]
                    before[k] = j
                    changed = k
        if changed < 0:
            return dist, before, -1
    node = changed
    for _ in range(nodes):
        node = before[node]
    return dist, before, node


class State(NamedTuple):
    """A solve in progress: who is where, at which prices, and the residual graph that follows from it.

    `head`, `following`, `previous` are one doubly linked list of requests per node.
    """

    weights: NDArray[np.int64]
    capacities: NDArray[np.int64]
    at: NDArray[np.int64]
    prices: NDArray[np.int64]
    loads: NDArray[np.int64]
    head: NDArray[np.int64]
    following: NDArray[np.int64]
    previous: NDArray[np.int64]
    lengths: NDArray[np.int64]
    movers: NDArray[np.int64]


class Search(NamedTuple):
    """Scratch arrays of one Dijkstra run, one entry per node."""

    dist: NDArray[np.int64]
    before: NDArray[np.int64]
    done: NDArray[np.bool_]
    goal: NDArray[np.bool_]


@njit(cache=True)
def favourites(weights, prices):
    """(N,) node that each request likes best at the prices: ties to the first agent, unserved where nothing pays."""
    n, m = weights.shape
    at = np.zeros(n, np.int64)
    for i in range(n):
        best = 0
        for k in range(m):
            if weights[i, k] != FORBIDDEN and weights[i, k] - prices[k] > best:
                best = weights[i, k] - prices[k]
                at[i] = k + 1
    return at


@njit(cache=True)
def _insert(state, node, i):
    first = state.head[node]
    state.following[i] = first
    state.previous[i] = -1
    if first >= 0:
        state.previous[first] = i
    state.head[node] = i
    state.at[i] = node
    state.loads[node] += 1
    here = node_weight(state.weights, i, node)
    for k in range(state.lengths.shape[0]):
        there = node_weight(state.weights, i, k)
        if k != node and there != FORBIDDEN and here - there < state.lengths[node, k]:
            state.lengths[node, k] = here - there
            state.movers[node, k] = i


@njit(cache=True)
def _shortest_arc(state, j, k):
    best, mover = FAR, -1
    i = state.head[j]
    while i >= 0:
        there = node_weight(state.weights, i, k)
        if there != FORBIDDEN:
            loss = node_weight(state.weights, i, j) - there
            if loss < best:
                best, mover = loss, i
        i = state.following[i]
    return best, mover


@njit(cache=True)
def _remove(state, node, i):
    before, after = state.previous[i], state.following[i]
    if before >= 0:
        state.following[before] = after
    else:
        state.head[node] = after
    if after >= 0:
        state.previous[after] = before
    state.loads[node] -= 1
    for k in range(state.lengths.shape[0]):
        if k != node and state.movers[node, k] == i:
            state.lengths[node, k], state.movers[node, k] = _shortest_arc(state, node, k)


@njit(cache=True)
def _dijkstra(state, search, source, forward):
    """Reduced-cost distances from `source` until the first goal is settled, which is returned (-1: out of reach)."""
    nodes = state.lengths.shape[0]
    search.dist[:] = FAR
    search.before[:] = -1
    search.done[:] = False
    search.dist[source] = 0
    while True:
        node = -1
        for k in range(nodes):
            if not search.done[k] and search.dist[k] < FAR and (node < 0 or search.dist[k] < search.dist[node]):
                node = k
        if node < 0:
            return -1
        search.done[node] = True
        if search.goal[node] and node != source:
            return node
        for k in range(nodes):
            arc = state.lengths[node, k] if forward else state.lengths[k, node]
            if search.done[k] or arc == FAR:
                continue
            gap = state.prices[k] - state.prices[node]
            reach = search.dist[node] + (arc + gap if forward else arc - gap)
            if reach < search.dist[k]:
                search.dist[k] = reach
                search.before[k] = node


@njit(cache=True)
def _relieve(state, search, source):
    """Move a request out of the overfull agent `source`, on the shortest path to a free slot or out of the market."""
    search.goal[0] = True
    search.goal[1:] = state.loads[1:] < state.capacities
    end = _dijkstra(state, search, source, True)
    for k in range(1, search.dist.shape[0]):
        if search.done[k]:
            state.prices[k] += search.dist[end] - search.dist[k]
    k = end
    while k != source:
        j = search.before[k]
        i = state.movers[j, k]
        _remove(state, j, i)
        _insert(state, k, i)
        k = j


@njit(cache=True)
def _fill(state, search, source):
    """Move one request into the underfull agent `source`, or lower its price to 0 where none wants in."""
    for k in range(1, search.dist.shape[0]):
        if state.lengths[0, k] > 0:
            state.lengths[0, k] = 0
            state.movers[0, k] = -1
    search.goal[:] = False
    search.goal[0] = True
    end = _dijkstra(state, search, source, False)
    for k in range(1, search.dist.shape[0]):
        if search.done[k]:
            state.prices[k] -= search.dist[end] - search.dist[k]
    j = end
    while j != source:
        k = search.before[j]
        i = state.movers[j, k]
        if i >= 0:
            _remove(state, j, i)
            _insert(state, k, i)
        j = k


@njit(cache=True)
def matching(weights, capacities, start):
    """Maximum-weight b-matching by successive shortest paths from the prices `start` (M,).

    Every request goes to its favourite at `start`; then overfull agents push requests along shortest reduced-cost
    paths to a free slot or out of the market, raising prices; then underfull agents with a price pull requests in,
    lowering it (Ahuja, Magnanti and Orlin 1993, chapter 9). Reduced costs stay non-negative throughout, hence the
    result is optimal.

    Returns:
        nodes (N,), 0 for unserved and k + 1 for agent k; prices (M + 1,), node 0 first.
    """
    n, m = weights.shape
    first = favourites(weights, start)
    prices = np.zeros(m + 1, np.int64)
    prices[1:] = start
    state = State(
        weights,
        capacities,
        np.zeros(n, np.int64),
        prices,
        np.zeros(m + 1, np.int64),
        np.full(m + 1, -1, np.int64),
        np.full(n, -1, np.int64),
        np.full(n, -1, np.int64),
        np.full((m + 1, m + 1), FAR, np.int64),
        np.full((m + 1, m + 1), -1, np.int64),
    )
    for i in range(n):
        _insert(state, first[i], i)
    search = Search(
        np.empty(m + 1, np.int64), np.empty(m + 1, np.int64), np.empty(m + 1, np.bool_), np.empty(m + 1, np.bool_)
    )
    for source in range(1, m + 1):
        while state.loads[source] > capacities[source - 1]:
            _relieve(state, search, source)
    for source in range(1, m + 1):
        while state.loads[source] < capacities[source - 1] and state.prices[source] > 0:
            _fill(state, search, source)
    return state.at, state.prices
