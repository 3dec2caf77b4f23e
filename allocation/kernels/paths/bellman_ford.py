"""Numba kernels on the compressed residual graph: M agents and node 0, which stands for "unserved" (price 0, no limit).

Node k + 1 is agent k. The length of arc j -> k is the least welfare lost by moving one request from node j to node k;
moving nothing is the null client of node 0, and a free slot lets its agent's price fall to 0. An allocation is optimal
exactly when no cycle is negative, and its supporting prices are the feasible potentials.
"""

import numpy as np
from numba import njit

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
def _shortens(base, arcs, dist):
    """Whether any node is nearer through these arcs: without branches, for most rows shorten nothing."""
    found = False
    for k in range(dist.size):
        found |= base + arcs[k] < dist[k]
    return found


@njit(cache=True)
def shortest_paths(lengths):
    """Bellman-Ford from node 0: distances, predecessors, and a node on a negative cycle (-1 where there is none)."""
    nodes = lengths.shape[0]
    dist = np.full(nodes, FAR, np.int64)
    before = np.full(nodes, -1, np.int64)
    moved = np.zeros(nodes, np.bool_)
    dist[0] = 0
    moved[0] = True
    for _ in range(nodes):
        changed = -1
        for j in range(nodes):
            if not moved[j]:
                continue
            moved[j] = False
            if not _shortens(dist[j], lengths[j], dist):
                continue
            for k in range(nodes):
                if lengths[j, k] != FAR and dist[j] + lengths[j, k] < dist[k]:
                    dist[k] = dist[j] + lengths[j, k]
                    before[k] = j
                    moved[k] = True
                    changed = k
        if changed < 0:
            return dist, before, -1
    node = changed
    for _ in range(nodes):
        node = before[node]
    return dist, before, node
