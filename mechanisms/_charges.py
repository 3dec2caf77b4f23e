"""The arithmetic of VCG payments over a batch of markets with the same costs."""

import numpy as np
from numba import njit, types

_VECTOR = types.Array(types.int64, 1, "C", readonly=True)
_MATRIX = types.Array(types.int64, 2, "C", readonly=True)
_TABLE = types.Array(types.int64, 2, "C")


@njit(types.UniTuple(_TABLE, 2)(_MATRIX, _MATRIX, _MATRIX, _VECTOR, _VECTOR, _MATRIX), cache=True)
def charge_many(costs, agents, prices, requests, first, gains):
    """Charges (B, N) and receipts (B, M): the pair's cost and, on top of it, what the request's service costs others.

    Args:
        costs: (N, M).
        agents: (B, N), -1 for unserved.
        prices: (B, M) the lowest supporting prices, which single requests pay.
        requests: requests of bidders with several, bidder by bidder.
        first: (G + 1,) bidder g owns `requests[first[g] : first[g + 1]]`.
        gains: (B, G) what the others would gain without bidder g: paid in equal parts by the served ones among his
            requests, the remainder by the first of them.
    """
    batch, n = agents.shape
    charges = np.empty((batch, n), np.int64)
    receipts = np.zeros((batch, costs.shape[1]), np.int64)
    for b in range(batch):
        for i in range(n):
            j = agents[b, i]
            charges[b, i] = 0
            if j >= 0:
                charges[b, i] = costs[i, j] + prices[b, j]
                receipts[b, j] += costs[i, j]
        for g in range(first.size - 1):
            served = 0
            for i in requests[first[g] : first[g + 1]]:
                served += agents[b, i] >= 0
            rest = gains[b, g] % max(1, served)
            for i in requests[first[g] : first[g + 1]]:
                if agents[b, i] >= 0:
                    charges[b, i] += gains[b, g] // served + rest - prices[b, agents[b, i]]
                    rest = 0
    return charges, receipts
