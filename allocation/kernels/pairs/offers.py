"""What agents offer at given prices, request by request: the best offers, how far they are ahead, who makes them.

Ties go to the first agent, and node 0 offers 0. How far from the end a node is rides in the low bits of what it offers:
there is no branch to guess, and over a dense row the machine takes several agents at once.
"""

import numpy as np
from numba import njit

from allocation.kernels.compile.signatures import NUMBER, ROW, inlined
from allocation.kernels.pairs.rows import (
    AHEAD,
    FAR,
    NEVER,
    ROWS,
    Rows,
    bits,
    count,
    node_of,
    pilot,
    send_for_row,
    weight,
    whole,
)


def spread(rows: Rows) -> int:
    """How much more its best agent is worth to a request than the mean of those worth something, on average."""
    amount: int = _spread(pilot(rows))
    return amount


@inlined
def _with_node_0(best, second):
    return (best, max(second, 0)) if best > 0 else (np.int64(0), best)


@inlined
def _offer(weight, price, behind, shift):
    """What an agent offers, above the bits that say how far from the end it is."""
    return ((max(weight, -(1 << (61 - shift))) - price) << shift) | behind


@inlined
def _two_best(row, prices, shift):
    # Two passes: in each of them the machine takes several agents at once.
    m, due = row.size, prices[1:]
    best, second = np.int64(NEVER), np.int64(NEVER)
    for k in range(m):
        best = max(best, _offer(row[k], due[k], m - k, shift))
    for k in range(m):
        offer = _offer(row[k], due[k], m - k, shift)
        second = max(second, offer if offer != best else NEVER)
    return _with_node_0(best, second)


@inlined
def _offer_packed(word, prices, shift):
    """The same of a packed pair."""
    return word - (prices[whole(node_of(word, shift, prices.size))] << shift)


@inlined
def _ahead_packed(words, begin, end, prices, shift):
    best, second = np.int64(NEVER), np.int64(NEVER)
    for t in range(whole(begin), whole(end)):
        offer = _offer_packed(words[t], prices, shift)
        second = max(second, min(best, offer))
        best = max(best, offer)
    return _with_node_0(best, second)


@inlined
def _node(offer, shift, nodes):
    return node_of(offer, shift, nodes) if offer != 0 and offer != NEVER else 0


@inlined
def ahead(rows, i, prices):
    """The best offer to request i at the prices (M + 1,), its node, the second best, and its node."""
    shift = bits(prices.size)
    if rows.first.size > 0:
        best, second = _ahead_packed(rows.words, rows.first[i], rows.last[i], prices, shift)
    else:
        best, second = _two_best(rows.weights[i], prices, shift)
    return best >> shift, _node(best, shift, prices.size), second >> shift, _node(second, shift, prices.size)


@inlined
def _note(offer, other, shift, nodes, i, at, second, margins, best):
    """The two best offers to request i; returns the better one."""
    at[i], second[i], best[i] = _node(offer, shift, nodes), _node(other, shift, nodes), offer >> shift
    margins[i] = best[i] - (other >> shift)
    return best[i]


@inlined
def offers(rows, prices, at, second, margins, best):
    """`ahead` for all: favourite and second favourite node of each request, the margin between the two, and the best
    offer; with the sum of these.
    """
    shift, size = bits(prices.size), prices.size
    weights, first, last, words = rows.weights, rows.first, rows.last, rows.words
    total = 0.0
    # What kind of rows there are is asked once: asked for each of them it takes up to three times as long.
    if first.size > 0:
        for i in range(at.size):
            send_for_row(words, first, last, i + AHEAD)
            offer, other = _ahead_packed(words, first[i], last[i], prices, shift)
            total += _note(offer, other, shift, size, i, at, second, margins, best)
    else:
        for i in range(at.size):
            offer, other = _two_best(weights[i], prices, shift)
            total += _note(offer, other, shift, size, i, at, second, margins, best)
    return total


@inlined
def revise(rows, prices, drift, sure, at, second, margins, best):
    """`offers` again where prices moved by `drift` (M + 1,) to `prices`.

    Requests whose margin is at least `sure` whatever moved are not looked at: they keep their favourite, and their
    margin becomes what it is at least.
    """
    lowest = drift[0]
    for k in range(drift.size):
        lowest = min(lowest, drift[k])
    doubtful, count, total = np.empty(at.size, np.int64), 0, 0.0
    for i in range(at.size):
        rise = drift[at[i]]
        margins[i] -= rise - lowest
        best[i] -= rise
        doubtful[count] = i
        if margins[i] < sure:
            count += 1
        else:
            total += best[i]
    shift, size = bits(prices.size), prices.size
    weights, first, last, words = rows.weights, rows.first, rows.last, rows.words
    if first.size > 0:
        few = doubtful[:count]
        for t in range(count):
            send_for_row(words, first, last, few[min(t + AHEAD, count - 1)])
            i = few[t]
            offer, other = _ahead_packed(words, first[i], last[i], prices, shift)
            total += _note(offer, other, shift, size, i, at, second, margins, best)
    else:
        for i in doubtful[:count]:
            offer, other = _two_best(weights[i], prices, shift)
            total += _note(offer, other, shift, size, i, at, second, margins, best)
    return total


@inlined
def _best(row, prices, least):
    due = prices[1:]
    for k in range(row.size):
        least = max(least, row[k] - due[k])
    return least


@inlined
def _best_packed(words, begin, end, prices, shift):
    best = np.int64(NEVER)
    for t in range(whole(begin), whole(end)):
        best = max(best, _offer_packed(words[t], prices, shift))
    return best if best == NEVER else best >> shift


@inlined
def top(rows, i, prices):
    """The best offer alone."""
    if rows.first.size > 0:
        return max(_best_packed(rows.words, rows.first[i], rows.last[i], prices, bits(prices.size)), 0)
    return _best(rows.weights[i], prices, np.int64(0))


@inlined
def emptiest(rows, i, prices, best, room):
    """The agent with most room among those that offer `best`, -1 if none has any or none is worth its price."""
    choice, free = -1, 0
    if rows.first.size > 0:
        shift = bits(prices.size)
        for t in range(whole(rows.first[i]), whole(rows.last[i])):
            word = rows.words[t]
            k = node_of(word, shift, prices.size) - 1
            if (word >> shift) - prices[k + 1] == best and room[k] > free and (best > 0 or prices[k + 1] > 0):
                choice, free = k, room[k]
    else:
        row = rows.weights[i]
        for k in range(row.size):
            if row[k] - prices[k + 1] == best and room[k] > free and (best > 0 or prices[k + 1] > 0):
                choice, free = k, room[k]
    return choice


@inlined
def distances(rows, i, best, prices, found):
    """How far `found` (M + 1,) each node's offer to request i is behind `best`, at most `FAR`."""
    if rows.first.size > 0:
        words, shift = rows.words, bits(prices.size)
        for k in range(found.size):
            found[k] = FAR
        for t in range(whole(rows.first[i]), whole(rows.last[i])):
            k = whole(node_of(words[t], shift, prices.size))
            found[k] = best - (words[t] >> shift) + prices[k]
    else:
        row = rows.weights[i]
        for k in range(row.size):
            found[k + 1] = min(FAR, best - row[k] + prices[k + 1])
    found[0] = best


@njit(ROW(ROWS, ROW), cache=True)
def best_offers(rows, prices):
    """(N,) what the best agent offers each request at the prices (M + 1,), even if less than nothing."""
    found, shift = np.empty(count(rows), np.int64), bits(prices.size)
    weights, first, last, words = rows.weights, rows.first, rows.last, rows.words
    if first.size > 0:
        for i in range(found.size):
            send_for_row(words, first, last, i + AHEAD)
            found[i] = _best_packed(words, first[i], last[i], prices, shift)
    else:
        for i in range(found.size):
            found[i] = _best(weights[i], prices, np.int64(NEVER))
    return found


@njit(NUMBER(ROWS), cache=True)
def _spread(rows):
    n, m = count(rows), rows.weights.shape[1]
    total = 0.0
    zero = np.zeros(m + 1, np.int64)
    for i in range(n):
        gain, worthy = 0.0, 0
        for k in range(1, m + 1):
            offer = weight(rows, i, k)
            gain += max(0, offer)
            worthy += offer > 0
        total += top(rows, i, zero) - gain / max(1, worthy)
    return np.int64(total / max(1, n))
