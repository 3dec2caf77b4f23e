"""What agents offer a request at given prices: the welfare of the pair less the price.

Of equal offers the first agent's counts as better; node 0, "unserved", offers 0. Each offer carries in its low bits how
far from the end its agent is, so that one maximum finds both, without a branch: the machine takes several at once.
"""

import numpy as np

from allocation.kernels.compile.caching import compiled
from allocation.kernels.compile.signatures import MATRIX, ROW, inlined

#: Infinity: further than any path is long, and short enough to carry a node in the low bits (`MAX_AGENTS`).
FAR = 2**46

#: No pair has more welfare, so no price needs to be higher.
CEILING = 2**41


@inlined
def bits(size):
    """How many bits hold any number up to `size`, at least 1."""
    shift = 1
    while (1 << shift) <= size:
        shift += 1
    return shift


@inlined
def weight(weights, i, node):
    """Welfare of request i at a node: 0 at node 0."""
    return 0 if node == 0 else weights[i, node - 1]


@inlined
def _offer(weight, price, behind, shift):
    return ((max(weight, -FAR) - price) << shift) | behind


@inlined
def _node(offer, shift, size):
    return size - (offer & ((1 << shift) - 1)) if offer != 0 else 0


@inlined
def two_best(row, prices):
    """The best offer at the prices (M + 1,), its node, the second best, and its node."""
    m, shift, due = row.size, bits(prices.size), prices[1:]
    lowest = -(2 * FAR << shift)
    best, second = np.int64(lowest), np.int64(lowest)
    # Two passes: in each of them the machine takes several agents at once.
    for k in range(m):
        best = max(best, _offer(row[k], due[k], m - k, shift))
    for k in range(m):
        offer = _offer(row[k], due[k], m - k, shift)
        second = max(second, offer if offer != best else lowest)
    if best > 0:
        second = max(second, 0)
    else:
        best, second = np.int64(0), best
    return best >> shift, _node(best, shift, prices.size), second >> shift, _node(second, shift, prices.size)


@inlined
def best_offer(row, prices, least):
    """The best offer of any agent, or `least` where that is more."""
    due = prices[1:]
    for k in range(row.size):
        least = max(least, row[k] - due[k])
    return least


@compiled(ROW(MATRIX, ROW))
def best_offers(weights, prices):
    """(N,) what the best agent offers each request at the prices (M + 1,), even if less than nothing."""
    found = np.empty(weights.shape[0], np.int64)
    for i in range(found.size):
        found[i] = best_offer(weights[i], prices, np.int64(-FAR))
    return found


@compiled(ROW(MATRIX, ROW))
def deterring(weights, gains):
    """(M,) the least prices at which no agent offers any request more than it gains (N,) where it is."""
    prices = np.zeros(weights.shape[1], np.int64)
    for i in range(gains.size):
        row, gain = weights[i], gains[i]
        for k in range(row.size):
            prices[k] = max(prices[k], row[k] - gain)
    return prices


@inlined
def revise(weights, prices, drift, sure, at, second, margins, best):
    """Each request's favourite, second favourite, margin and best offer, after prices moved by `drift` (M + 1,).

    Requests whose margin is at least `sure` whatever moved are not looked at: they keep their favourite, and their
    margin becomes what it is at least. Where all margins are negative all requests are looked at.

    Returns:
        the sum of the best offers.
    """
    lowest = drift.min()
    total = 0.0
    for i in range(at.size):
        rise = drift[at[i]]
        margins[i] -= rise - lowest
        best[i] -= rise
        if margins[i] < sure:
            best[i], at[i], other, second[i] = two_best(weights[i], prices)
            margins[i] = best[i] - other
        total += best[i]
    return total
