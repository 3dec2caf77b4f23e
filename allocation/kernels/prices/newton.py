"""Price discovery: Newton's method on the dual of the assignment, which is convex and piecewise linear in the prices.

The dual of a market is f(q) = sum_j c_j q_j + sum_i max(0, max_j w_ij - q_j); its gradient is capacity minus load. Its
curvature between agents j and k is how many requests are indifferent between the two, per unit of price. It is
estimated from the requests whose margin between best and second best offer is small, in a window that shrinks with
the imbalance, and gives a graph Laplacian, solved by conjugate gradients. A step counts only where f falls (Boyd and
Vandenberghe 2004, section 9.5). What is left over is for `_repair` to finish exactly.
"""

import numpy as np
from numba import njit

from allocation.kernels.compile.loops import copy, select
from allocation.kernels.compile.signatures import MATRIX, NUMBER, ROW, VECTOR, inner
from allocation.kernels.pairs.offers import offers, revise, top
from allocation.kernels.pairs.rows import ROWS, weight

#: No pair is worth more, so no price needs to be higher.
CEILING = 2.0**41


@inner
def _weigh(capacities, prices, at, excess):
    """What agents earn at the prices (M + 1,), and the sum of |excess|.

    `excess` (M,) becomes load minus capacity, 0 for an agent that is not full and has no price.
    """
    excess[:] = 0
    for i in range(at.size):
        if at[i] > 0:
            excess[at[i] - 1] += 1
    earned, imbalance = 0.0, 0
    for k in range(excess.size):
        earned += float(capacities[k]) * float(prices[k + 1])
        excess[k] -= capacities[k]
        if excess[k] < 0 and prices[k + 1] == 0:
            excess[k] = 0
        imbalance += abs(excess[k])
    return earned, imbalance


@njit(NUMBER(ROW, NUMBER), cache=True)
def window(margins, count):
    """A margin, at least 1, below which about `count` requests lie."""
    step = max(1, margins.size // 2048)
    few = margins[::step].copy()
    return max(1, select(few, min(few.size - 1, count // step)))


@njit(fastmath={"reassoc"})
def _dot(left, right):
    total = 0.0
    for k in range(left.size):
        total += left[k] * right[k]
    return total


@inner
def _near(at, second, margins, width):
    """The nodes between which requests are nearly indifferent, a pair for each of them: (2, E)."""
    count = 0
    for i in range(at.size):
        count += margins[i] < width
    ends = np.empty((2, count), np.int64)
    t = 0
    for i in range(at.size):
        if margins[i] < width:
            ends[0, t], ends[1, t] = at[i], second[i]
            t += 1
    return ends


@inner
def _tied(margins):
    """Whether most requests have several favourites: then who is sent where says little of what prices are wrong."""
    ties = 0
    for i in range(margins.size):
        ties += margins[i] == 0
    return 2 * ties > margins.size


@inner
def _matrix(ends, size, unit):
    """(size, size) curvature between any two nodes, but empty where the pairs are fewer than its entries."""
    if 4 * ends.shape[1] < size * size:
        return np.empty((0, 0))
    flows = np.zeros((size, size))
    for t in range(ends.shape[1]):
        flows[ends[0, t], ends[1, t]] += unit
        flows[ends[1, t], ends[0, t]] += unit
    for j in range(size):
        flows[j, j] = 0.0
    return flows


@inner
def _image(ends, flows, unit, diagonal, course, image):
    """The Laplacian times `course` (M + 1,), which is 0 at nodes that cannot move."""
    size = course.size
    for j in range(size):
        own = diagonal[j] * course[j] if course[j] != 0.0 else 0.0
        image[j] = own - _dot(flows[j], course) if flows.size > 0 else own
    if flows.size == 0:
        for t in range(ends.shape[1]):
            j, k = ends[0, t], ends[1, t]
            image[j] -= unit * course[k]
            image[k] -= unit * course[j]


@inner
def _direction(at, second, margins, width, excess, prices, step):
    """Solve (Laplacian + regulariser) step = excess over the agents that can move (Hestenes and Stiefel 1952).

    `step` (M + 1,) is of nodes, as all vectors are here; node 0 cannot move.
    """
    size, unit = step.size, 0.5 / width
    ends = _near(at, second, margins, width)
    flows = _matrix(ends, size, unit)
    diagonal, residual, course, image = np.full(size, unit), np.zeros(size), np.zeros(size), np.zeros(size)
    for t in range(ends.shape[1]):
        diagonal[ends[0, t]] += unit
        diagonal[ends[1, t]] += unit
    step[:] = 0.0
    left = 0.0
    for j in range(1, size):
        if prices[j] > 0 or excess[j - 1] > 0:
            residual[j] = excess[j - 1]
            course[j] = residual[j] / diagonal[j]
            left += residual[j] * course[j]
        else:
            diagonal[j] = np.inf
    enough = 1e-4 * left
    for _ in range(min(size, 61) + 3):
        if left <= enough:
            break
        _image(ends, flows, unit, diagonal, course, image)
        length, before, left = left / _dot(course, image), left, 0.0
        for j in range(1, size):
            step[j] += length * course[j]
            if diagonal[j] != np.inf:
                residual[j] -= length * image[j]
                left += residual[j] * residual[j] / diagonal[j]
        for j in range(1, size):
            course[j] = residual[j] / diagonal[j] + left / before * course[j]


@njit(NUMBER(ROWS, VECTOR, ROW, NUMBER, NUMBER, NUMBER, ROW, ROW, ROW), cache=True)
def newton(rows, capacities, prices, goal, gain, rounds, at, second, margins):
    """Improve `prices` (M + 1,) in place until the imbalance is at most `goal`.

    Gives up sooner where a round takes less than `gain`, or less than a 32nd, off the imbalance.

    `at` (N,) becomes a favourite node of each request at the final prices, the first agent where several tie, and node
    0 where nothing pays. `second` and `margins` (N,) are its second favourite, and how far that is behind: for requests
    of large margin as they were seen last, and how far it is behind at least.

    Returns:
        the imbalance left.
    """
    m = capacities.size
    excess, step, best = np.zeros(m, np.int64), np.zeros(m + 1), np.empty(at.size, np.int64)
    gained = offers(rows, prices, at, second, margins, best)
    earned, imbalance = _weigh(capacities, prices, at, excess)
    dual = gained + earned
    kept, drift = prices.copy(), np.zeros(m + 1, np.int64)
    share, width = 1.0, np.int64(1)
    for _ in range(0 if _tied(margins) else rounds):
        if imbalance <= goal:
            break
        if share == 1.0:
            width = window(margins, max(2 * imbalance, 6 * m))
            _direction(at, second, margins, width, excess, kept, step)
        for k in range(1, m + 1):
            price = int(min(max(0.0, kept[k] + np.rint(share * step[k])), CEILING))
            drift[k], prices[k] = price - prices[k], price
        gained = revise(rows, prices, drift, width, at, second, margins, best)
        earned, new_imbalance = _weigh(capacities, prices, at, excess)
        if gained + earned < dual:
            small = imbalance - new_imbalance < max(gain, imbalance // 32)
            dual, imbalance, share = gained + earned, new_imbalance, 1.0
            copy(prices, kept)
            if small:
                break
        else:
            share *= 0.4
            if share < 0.1:
                break
    if share != 1.0:
        for k in range(1, m + 1):
            drift[k], prices[k] = kept[k] - prices[k], kept[k]
        revise(rows, prices, drift, width, at, second, margins, best)
        _, imbalance = _weigh(capacities, prices, at, excess)
    return imbalance


@njit(ROW(MATRIX, ROW), cache=True)
def deterring(weights, gains):
    """(M,) the least prices at which no agent offers any request more than it gains (N,) where it is."""
    n, m = weights.shape
    prices = np.zeros(m, np.int64)
    for i in range(n):
        row, gain = weights[i], gains[i]
        for k in range(m):
            prices[k] = max(prices[k], row[k] - gain)
    return prices


@njit(ROW(ROWS, ROW, ROW, ROW, ROW), cache=True)
def strays(rows, prices, at, margins, drift):
    """Requests that no longer like node `at` best after prices moved by `drift` (M + 1,) to `prices`.

    A margin that exceeds all that the drift could do to it needs no second look.
    """
    n = at.size
    lowest = drift[0]
    for k in range(drift.size):
        lowest = min(lowest, drift[k])
    found = np.empty(n, np.int64)
    count = 0
    for i in range(n):
        j = at[i]
        if margins[i] >= drift[j] - lowest:
            continue
        if top(rows, i, prices) > weight(rows, i, j) - prices[j]:
            found[count] = i
            count += 1
    return found[:count]
