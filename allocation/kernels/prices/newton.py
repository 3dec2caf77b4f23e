"""Prices by Newton's method on the dual of the assignment, which is convex and piecewise linear in the prices.

The dual of a market is f(q) = sum_j c_j q_j + sum_i max(0, max_j w_ij - q_j); its gradient is capacity minus load. Its
curvature between agents j and k is how many requests are indifferent between the two, per unit of price. It is
estimated from the requests whose margin between best and second best offer is small, in a window that shrinks with
the imbalance, and gives a graph Laplacian, solved by conjugate gradients (Hestenes and Stiefel 1952). A step counts
only where f falls (Boyd and Vandenberghe 2004, section 9.5). What is left over is for `paths.augment` to finish.
"""

import numpy as np

from allocation.kernels.compile.caching import compiled
from allocation.kernels.compile.loops import copy, select
from allocation.kernels.compile.signatures import MATRIX, NUMBER, ROW, VECTOR, inner
from allocation.kernels.pairs.offers import CEILING, best_offer, revise, weight

#: Requests in the window: so many for each too many or too few, and at least so many per agent.
_PER_EXCESS = 2
_PER_AGENT = 6

#: Margins that show where the window ends.
_SHOWN = 2048

#: Iterations of the conjugate gradients, and the share of the residual at which they end.
_ITERATIONS = 64
_ENOUGH = 1e-4

#: What a step that does not lower the dual is shortened by, and the length at which shortening ends.
_SHORTER = 0.4
_SHORTEST = 0.1


@inner
def _weigh(capacities, prices, at, excess):
    """What agents earn at the prices (M + 1,), and the sum of |excess|.

    `excess` (M + 1,) becomes load minus capacity, 0 for node 0 and for an agent that is not full and has no price.
    """
    excess[:] = 0
    for i in range(at.size):
        excess[at[i]] += 1
    excess[0] = 0
    earned, imbalance = 0.0, 0
    for k in range(1, excess.size):
        earned += float(capacities[k - 1]) * float(prices[k])
        excess[k] -= capacities[k - 1]
        if excess[k] < 0 and prices[k] == 0:
            excess[k] = 0
        imbalance += abs(excess[k])
    return earned, imbalance


@compiled(NUMBER(ROW, NUMBER))
def window(margins, count):
    """A margin, at least 1, below which about `count` requests lie."""
    step = max(1, margins.size // _SHOWN)
    few = margins[::step].copy()
    return max(1, select(few, min(few.size - 1, count // step)))


@inner
def _near(at, second, margins, width):
    """The nodes between which requests are nearly indifferent, a pair for each of them: (2, E)."""
    ends, count = np.empty((2, at.size), np.int64), 0
    for i in range(at.size):
        ends[0, count], ends[1, count] = at[i], second[i]
        count += margins[i] < width
    return ends[:, :count]


@inner
def _tied(margins):
    """Whether most requests have several favourites: which is taken says little of what prices are wrong."""
    ties = 0
    for i in range(margins.size):
        ties += margins[i] == 0
    return 2 * ties > margins.size


@inner
def _image(ends, unit, diagonal, course, image):
    """The Laplacian times `course` (M + 1,), which is 0 at nodes that cannot move."""
    for j in range(course.size):
        image[j] = diagonal[j] * course[j] if course[j] != 0.0 else 0.0
    total = 0.0
    for t in range(ends.shape[1]):
        j, k = ends[0, t], ends[1, t]
        image[j] -= unit * course[k]
        image[k] -= unit * course[j]
    for j in range(course.size):
        total += image[j] * course[j]
    return total


@inner
def _direction(at, second, margins, width, excess, prices, step):
    """Solve (Laplacian + regulariser) step = excess over the agents that can move; all (M + 1,), and node 0 cannot."""
    size, unit = step.size, 0.5 / width
    ends = _near(at, second, margins, width)
    diagonal, residual, course, image = np.full(size, unit), np.zeros(size), np.zeros(size), np.zeros(size)
    for t in range(ends.shape[1]):
        diagonal[ends[0, t]] += unit
        diagonal[ends[1, t]] += unit
    step[:] = 0.0
    left = 0.0
    for j in range(size):
        if j > 0 and (prices[j] > 0 or excess[j] > 0):
            residual[j] = excess[j]
            course[j] = residual[j] / diagonal[j]
            left += residual[j] * course[j]
        else:
            diagonal[j] = np.inf
    enough = _ENOUGH * left
    for _ in range(min(size + 2, _ITERATIONS)):
        if left <= enough:
            break
        length, before, left = left / _image(ends, unit, diagonal, course, image), left, 0.0
        for j in range(size):
            step[j] += length * course[j]
            if diagonal[j] != np.inf:
                residual[j] -= length * image[j]
                left += residual[j] * residual[j] / diagonal[j]
        for j in range(size):
            course[j] = residual[j] / diagonal[j] + left / before * course[j]


@compiled(NUMBER(MATRIX, VECTOR, ROW, NUMBER, NUMBER, NUMBER, ROW, ROW, ROW))
def newton(weights, capacities, prices, goal, gain, rounds, at, second, margins):
    """Improve `prices` (M + 1,) in place until the imbalance of loads and capacities is at most `goal`.

    Gives up sooner where a round takes less than `gain`, or less than a 32nd, off the imbalance.

    `at` (N,) becomes a favourite node of each request at the final prices, the first agent where several tie, and node
    0 where nothing pays. `second` and `margins` (N,) are its second favourite, and how far that is behind: for requests
    of large margin as they were seen last, and how far it is behind at least.

    Returns:
        the imbalance left.
    """
    size = prices.size
    excess, step, best = np.zeros(size, np.int64), np.zeros(size), np.zeros(at.size, np.int64)
    kept, drift = prices.copy(), np.zeros(size, np.int64)
    at[:] = 0
    margins[:] = -1
    gained = revise(weights, prices, drift, 0, at, second, margins, best)
    earned, imbalance = _weigh(capacities, prices, at, excess)
    dual = gained + earned
    share, width = 1.0, np.int64(1)
    for _ in range(0 if _tied(margins) else rounds):
        if imbalance <= goal:
            break
        if share == 1.0:
            width = window(margins, max(_PER_EXCESS * imbalance, _PER_AGENT * size))
            _direction(at, second, margins, width, excess, kept, step)
        for k in range(1, size):
            price = int(min(max(0.0, kept[k] + np.rint(share * step[k])), float(CEILING)))
            drift[k], prices[k] = price - prices[k], price
        gained = revise(weights, prices, drift, width, at, second, margins, best)
        earned, new_imbalance = _weigh(capacities, prices, at, excess)
        if gained + earned < dual:
            small = imbalance - new_imbalance < max(gain, imbalance // 32)
            dual, imbalance, share = gained + earned, new_imbalance, 1.0
            copy(prices, kept)
            if small:
                break
        else:
            share *= _SHORTER
            if share < _SHORTEST:
                break
    if share != 1.0:
        for k in range(1, size):
            drift[k], prices[k] = kept[k] - prices[k], kept[k]
        revise(weights, prices, drift, width, at, second, margins, best)
        _, imbalance = _weigh(capacities, prices, at, excess)
    return imbalance


@compiled(ROW(MATRIX, ROW, ROW, ROW, ROW))
def strays(weights, prices, at, margins, drift):
    """Requests that no longer like node `at` best after prices moved by `drift` (M + 1,) to `prices`.

    A margin that exceeds all that the drift could do to it needs no second look.
    """
    lowest, count = drift.min(), 0
    found = np.empty(at.size, np.int64)
    for i in range(at.size):
        j = at[i]
        if margins[i] < drift[j] - lowest:
            found[count] = i
            count += best_offer(weights[i], prices, np.int64(0)) > weight(weights, i, j) - prices[j]
    return found[:count]
