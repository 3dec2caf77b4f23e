"""The arithmetic of VCG payments, for one market and for a batch of markets with the same costs."""

import numpy as np
from numba import njit, types

from allocation.kernels.compile.signatures import MATRIX, ROW, TABLE, VECTOR, inlined


@inlined
def _charge(costs, agents, prices, requests, first, gains, charges, receipts):
    # In two loops: the sums have to wait for one another, the costs, which come from memory, need not.
    for i in range(agents.size):
        charges[i] = costs[i, agents[i]] if agents[i] >= 0 else 0
    for i in range(agents.size):
        if agents[i] >= 0:
            receipts[agents[i]] += charges[i]
            charges[i] += prices[agents[i]]
    for g in range(first.size - 1):
        served = 0
        for i in requests[first[g] : first[g + 1]]:
            served += agents[i] >= 0
        rest = gains[g] % max(1, served)
        for i in requests[first[g] : first[g + 1]]:
            if agents[i] >= 0:
                charges[i] += gains[g] // served + rest - prices[agents[i]]
                rest = 0


@njit(types.UniTuple(ROW, 2)(MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR), cache=True)
def charge(costs, agents, prices, requests, first, gains):
    """Charges (N,) and receipts (M,): the pair's cost and, on top of it, what the request's service costs others.

    Args:
        costs: (N, M).
        agents: (N,), -1 for unserved.
        prices: (M,) the lowest supporting prices, which single requests pay.
        requests: requests of bidders with several, bidder by bidder.
        first: (G + 1,) bidder g owns `requests[first[g] : first[g + 1]]`.
        gains: (G,) what the others would gain without bidder g: paid in equal parts by the served ones among its
            requests, the remainder by the first of them.
    """
    charges, receipts = np.empty(agents.size, np.int64), np.zeros(prices.size, np.int64)
    _charge(costs, agents, prices, requests, first, gains, charges, receipts)
    return charges, receipts


@njit(types.UniTuple(TABLE, 2)(MATRIX, MATRIX, MATRIX, VECTOR, VECTOR, MATRIX), cache=True)
def charge_many(costs, agents, prices, requests, first, gains):
    """Charges (B, N) and receipts (B, M) of markets whose `agents`, `prices` and `gains` are rows; else as `charge`."""
    charges, receipts = np.empty(agents.shape, np.int64), np.zeros(prices.shape, np.int64)
    for b in range(agents.shape[0]):
        _charge(costs, agents[b], prices[b], requests, first, gains[b], charges[b], receipts[b])
    return charges, receipts
