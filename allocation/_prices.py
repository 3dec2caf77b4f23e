"""Price discovery: Newton's method on the dual of the assignment, which is convex and piecewise linear in the prices.

The dual of a market is f(q) = sum_j c_j q_j + sum_i max(0, max_j w_ij - q_j); its gradient is capacity minus load. Its
curvature between agents j and k is how many requests are indifferent between the two, per unit of price. It is
estimated from the requests whose margin between best and second best offer is small, in a window that shrinks with
the imbalance, and gives a graph Laplacian, solved by conjugate gradients. A step counts only where f falls (Boyd and
Vandenberghe 2004, section 9.5). What is left over is for `_repair` to finish exactly.
"""

import numpy as np
from numba import njit

from allocation._graph import copy
from allocation._types import MATRIX, NUMBER, ROW, VECTOR, inner

NEVER = -(2**62)

#: No pair is worth more, so no price needs to be higher.
CEILING = 2.0**41


@inner
def _scan_narrow(weights, prices, at, second, margins):
    n, m = weights.shape
    total = 0.0
    for i in range(n):
        best, next_best, first, runner = 0, NEVER, 0, 0
        for k in range(m):
            net = weights[i, k] - prices[k + 1]
            if net > next_best:
                if net > best:
                    next_best, runner = best, first
                    best, first = net, k + 1
                else:
                    next_best, runner = net, k + 1
        at[i], second[i], margins[i] = first, runner, best - next_best
        total += best
    return total


@inner
def _scan_wide(weights, prices, at, second, margins):
    """The same without branches: the agent rides in the low bits of what it offers."""
    n, m = weights.shape
    shift = 1
    while (1 << shift) <= m:
        shift += 1
    mask = (1 << shift) - 1
    floor = -(1 << (61 - shift))
    total = 0.0
    for i in range(n):
        best = 0
        for k in range(m):
            best = max(best, ((max(weights[i, k], floor) - prices[k + 1]) << shift) | (m - k))
        next_best = 0 if best > 0 else NEVER
        for k in range(m):
            offer = ((max(weights[i, k], floor) - prices[k + 1]) << shift) | (m - k)
            next_best = max(next_best, offer if offer != best else NEVER)
        at[i] = m + 1 - (best & mask) if best > 0 else 0
        second[i] = m + 1 - (next_best & mask) if next_best != 0 else 0
        margins[i] = (best >> shift) - (next_best >> shift)
        total += best >> shift
    return total


@inner
def scan(weights, capacities, prices, at, second, margins, excess):
    """Favourite and second favourite node of each request at the prices (M + 1,), and the margin between the two.

    Ties go to the first agent; where nothing pays the favourite is node 0. `excess` (M,) becomes load minus capacity,
    0 for an agent that is not full and has no price.

    Returns:
        the dual objective, and the sum of |excess|.
    """
    n, m = weights.shape
    dual = (
        _scan_narrow(weights, prices, at, second, margins)
        if m < 48
        else _scan_wide(weights, prices, at, second, margins)
    )
    excess[:] = 0
    for i in range(n):
        if at[i] > 0:
            excess[at[i] - 1] += 1
    imbalance = 0
    for k in range(m):
        dual += float(capacities[k]) * float(prices[k + 1])
        excess[k] -= capacities[k]
        if excess[k] < 0 and prices[k + 1] == 0:
            excess[k] = 0
        imbalance += abs(excess[k])
    return dual, imbalance


@inner
def _select(values, k):
    """The k-th smallest (Hoare 1961); reorders `values`."""
    low, high = 0, values.size - 1
    while low < high:
        pivot, i, j = values[(low + high) >> 1], low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


@njit(NUMBER(ROW, NUMBER), cache=True)
def window(margins, count):
    """A margin, at least 1, below which about `count` requests lie."""
    step = max(1, margins.size // 2048)
    few = margins[::step].copy()
    return max(1, _select(few, min(few.size - 1, count // step)))


@njit(fastmath={"reassoc"})
def _dot(left, right):
    total = 0.0
    for k in range(left.size):
        total += left[k] * right[k]
    return total


@inner
def _direction(at, second, margins, width, excess, prices, flows, step):
    """Solve (Laplacian + regulariser) step = excess over the agents that can move (Hestenes and Stiefel 1952)."""
    m = excess.size
    unit = 0.5 / width
    flows[:] = 0.0
    for i in range(at.size):
        if margins[i] < width:
            flows[at[i], second[i]] += unit
    for j in range(m + 1):
        for k in range(j):
            flows[j, k] += flows[k, j]
            flows[k, j] = flows[j, k]
    diagonal, residual, course, image = np.empty(m), np.zeros(m), np.zeros(m), np.zeros(m)
    step[:] = 0.0
    size = 0.0
    for j in range(m):
        flows[j + 1, j + 1] = 0.0
        diagonal[j] = unit
        for k in range(m + 1):
            diagonal[j] += flows[j + 1, k]
        if prices[j + 1] > 0 or excess[j] > 0:
            residual[j] = excess[j]
            course[j] = residual[j] / diagonal[j]
            size += residual[j] * course[j]
        else:
            diagonal[j] = np.inf
    enough = 1e-4 * size
    for _ in range(min(m, 60) + 4):
        if size <= enough:
            break
        curvature = 0.0
        for j in range(m):
            if diagonal[j] != np.inf:
                image[j] = diagonal[j] * course[j] - _dot(flows[j + 1, 1:], course)
                curvature += image[j] * course[j]
        length, before, size = size / curvature, size, 0.0
        for j in range(m):
            step[j] += length * course[j]
            residual[j] -= length * image[j]
            size += residual[j] * residual[j] / diagonal[j]
        for j in range(m):
            course[j] = residual[j] / diagonal[j] + size / before * course[j]


@njit(NUMBER(MATRIX, VECTOR, ROW, NUMBER, NUMBER, NUMBER, ROW, ROW, ROW), cache=True)
def newton(weights, capacities, prices, goal, gain, rounds, at, second, margins):
    """Improve `prices` (M + 1,) in place until the imbalance is at most `goal`.

    Gives up sooner where a round takes less than `gain`, or less than a 32nd, off the imbalance.

    `at`, `second` and `margins` (N,) describe the requests at the final prices.

    Returns:
        the imbalance left.
    """
    m = weights.shape[1]
    excess, step = np.zeros(m, np.int64), np.zeros(m)
    flows = np.zeros((m + 1, m + 1))
    dual, imbalance = scan(weights, capacities, prices, at, second, margins, excess)
    kept = prices.copy()
    share = 1.0
    for _ in range(rounds):
        if imbalance <= goal:
            break
        if share == 1.0:
            width = window(margins, max(2 * imbalance, 6 * m))
            _direction(at, second, margins, width, excess, kept, flows, step)
        for k in range(m):
            prices[k + 1] = int(min(max(0.0, kept[k + 1] + np.rint(share * step[k])), CEILING))
        new_dual, new_imbalance = scan(weights, capacities, prices, at, second, margins, excess)
        if new_dual < dual:
            small = imbalance - new_imbalance < max(gain, imbalance // 32)
            dual, imbalance, share = new_dual, new_imbalance, 1.0
            copy(prices, kept)
            if small:
                break
        else:
            share *= 0.4
            if share < 0.1:
                break
    if share != 1.0:
        copy(kept, prices)
        _, imbalance = scan(weights, capacities, prices, at, second, margins, excess)
    return imbalance


@njit(ROW(MATRIX, ROW, ROW, ROW, ROW), cache=True)
def strays(weights, prices, at, margins, drift):
    """Requests that no longer like node `at` best after prices moved by `drift` (M + 1,) to `prices`.

    A margin that exceeds all that the drift could do to it needs no second look.
    """
    n, m = weights.shape
    lowest = drift[0]
    for k in range(drift.size):
        lowest = min(lowest, drift[k])
    found = np.empty(n, np.int64)
    count = 0
    for i in range(n):
        j = at[i]
        if margins[i] >= drift[j] - lowest:
            continue
        net = 0 if j == 0 else weights[i, j - 1] - prices[j]
        top = 0
        for k in range(m):
            top = max(top, weights[i, k] - prices[k + 1])
        if top > net:
            found[count] = i
            count += 1
    return found[:count]
