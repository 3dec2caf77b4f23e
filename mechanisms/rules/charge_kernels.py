"""The arithmetic of VCG payments, for one market and for a batch of markets with the same costs."""

import numpy as np
from numba import types

from allocation.kernels.compile.caching import compiled
from allocation.kernels.compile.intrinsics import prefetch
from allocation.kernels.compile.signatures import MATRIX, ROW, TABLE, VECTOR, inlined

#: Requests whose costs are fetched together. They lie far apart in memory: one by one each would wait for the last.
_TOGETHER = 64


@inlined
def _server(agents, i):
    """The agent that serves request i, the first where none does; and a mask that is 0 there. No branch to guess."""
    j = agents[i]
    served = ~(j >> 63)
    return np.uint64(j & served), served


@inlined
def _charge(costs, agents, prices, requests, first, gains, charges, receipts):
    n, m = costs.shape
    pairs, width = costs.reshape(n * m), np.uint64(m)
    for begin in range(-_TOGETHER if n > _TOGETHER else 0, n, _TOGETHER):
        end = begin + _TOGETHER
        for i in range(np.uint64(end), np.uint64(max(end, min(n, end + _TOGETHER)))):
            j, _ = _server(agents, i)
            prefetch(pairs, i * width + j)
        begin, end = max(0, begin), min(n, end)
        # In two loops: the sums have to wait for one another, the costs need not.
        for i in range(np.uint64(begin), np.uint64(end)):
            j, served = _server(agents, i)
            charges[i] = pairs[i * width + j] & served
        for i in range(np.uint64(begin), np.uint64(end)):
            j, served = _server(agents, i)
            receipts[j] += charges[i]
            charges[i] += prices[j] & served
    for g in range(first.size - 1):
        served = 0
        for i in requests[first[g] : first[g + 1]]:
            served += agents[i] >= 0
        rest = gains[g] % max(1, served)
        for i in requests[first[g] : first[g + 1]]:
            if agents[i] >= 0:
                charges[i] += gains[g] // served + rest - prices[agents[i]]
                rest = 0


@compiled(types.UniTuple(ROW, 2)(MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR))
def charge(costs, agents, prices, requests, first, gains):
    """Charges (N,) and receipts (M,): the pair's cost and, on top of it, what the request's service costs others.

    Args:
        costs: (N, M).
        agents: (N,), -1 for unserved.
        prices: (M,) the lowest supporting prices, which single requests pay.
        requests: requests of bidders with several, bidder by bidder.
        first: (G + 1,) bidder g has `requests[first[g] : first[g + 1]]`.
        gains: (G,) what the others would gain without bidder g: charged in equal parts to the served ones
            among their requests, the remainder to the first of them.
    """
    charges, receipts = np.empty(agents.size, np.int64), np.zeros(prices.size, np.int64)
    _charge(costs, agents, prices, requests, first, gains, charges, receipts)
    return charges, receipts


@compiled(types.UniTuple(TABLE, 2)(MATRIX, MATRIX, MATRIX, VECTOR, VECTOR, MATRIX))
def charge_many(costs, agents, prices, requests, first, gains):
    """Charges (B, N) and receipts (B, M) of markets whose `agents`, `prices` and `gains` are rows; else as `charge`."""
    charges, receipts = np.empty(agents.shape, np.int64), np.zeros(prices.shape, np.int64)
    for b in range(agents.shape[0]):
        _charge(costs, agents[b], prices[b], requests, first, gains[b], charges[b], receipts[b])
    return charges, receipts
