"""What the others lose by the presence of a bidder with several requests: they leave, and the optimum is repaired.

Prices that supported the optimum still support what is left of it, except that agents of the bidder have free capacity:
filling it takes one shortest path each, not a new solve.
"""

import numpy as np

from allocation.kernels.compile.caching import compiled
from allocation.kernels.compile.loops import copy
from allocation.kernels.compile.signatures import MATRIX, ROW, VECTOR
from allocation.kernels.pairs.offers import FAR, weight
from allocation.kernels.paths.augment import fill_agents, scratch
from allocation.kernels.paths.residual import insert, remove, residual


@compiled(ROW(MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR))
def removals(weights, capacities, prices, home, requests, first):
    """(G,) welfare the others gain when bidder g, owner of `requests[first[g] : first[g + 1]]`, leaves.

    Args:
        weights: (N, M).
        capacities: (M,) at most N each.
        prices: (M + 1,) supporting prices, node 0 first.
        home: (N,) nodes of an optimal allocation.
        requests: indices, bidder by bidder.
        first: (G + 1,).
    """
    graph, search = residual(weights, capacities, prices.copy(), home.copy()), scratch(prices.size)
    gains = np.zeros(first.size - 1, np.int64)
    for g in range(gains.size):
        leaving, search.work[0] = requests[first[g] : first[g + 1]], 0
        for i in leaving:
            remove(graph, i)
        fill_agents(graph, search, FAR)
        for i in range(home.size):
            if graph.at[i] >= 0 and graph.at[i] != home[i]:
                gains[g] += weight(weights, i, graph.at[i]) - weight(weights, i, home[i])
                remove(graph, i)
        for i in range(home.size):
            if graph.at[i] < 0:
                insert(graph, home[i], i)
        copy(prices, graph.prices)
    return gains
