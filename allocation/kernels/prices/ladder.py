"""Markets whose agents form a ladder: an optimum can be read off, where paths would be as long as there are agents.

Where each step up the ladder is worth more to one request than to another, the same way for all steps (single crossing;
Milgrom and Shannon 1994), requests with more taste for it belong higher up (Becker 1973), and the first request below a
step sets what it costs (Mussa and Rosen 1978). Products of what a request would pay and how good an agent is are such a
market; so are sums, minima and maxima. Neither order is known: both are guessed from a few requests and agents, and
nothing here is trusted before all pairs have been looked at.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from allocation.kernels.pairs.rows import Integers, Rows, pilot, sample_rows
from allocation.kernels.pairs.shortlists import BudgetSpent

#: Agents, evenly spread on the ladder, that show a request's taste.
_SHOWN = 32

#: How much neighbouring steps and requests may cross the wrong way, as a share of all that they cross: half of it is
#: wrong where there is no ladder.
_CROSSING = 0.3

#: How often who is served is guessed, and the share of requests for which the last guess may be wrong: noise does that.
_GUESSES = 4
_WRONG = 0.05

#: Requests that show at a glance whether there may be a ladder, and the share of what depends on both request and agent
#: that one component must explain: the root of the sum of squares of all components, as a share of their sum.
_GLANCE = 8
_PLAIN = 0.85

#: Iterations of the power method: it need not tell components apart that are nearly as large.
_ITERATIONS = 3

#: Positions on the ladder are rounded, so that equal agents come out equal.
_FINE = 2.0**30

#: No pair is worth more.
_HIGHEST = 2**41


class Ladder(NamedTuple):
    """What few requests and agents show.

    Agents (K,) that are worth something to somebody, the highest first; how much each request tastes the difference
    (N,), 0 where all are worth the same; what agents are worth to it on average (N,).
    """

    agents: NDArray[np.intp]
    tastes: Integers
    means: Integers


def climb(rows: Rows, capacities: Integers) -> tuple[Integers, Integers]:
    """Nodes (N,), and prices (M + 1,) that support them where agents form a ladder and nothing was guessed wrong.

    Args:
        rows: all pairs of N requests and M agents.
        capacities: (M,) at least 1 each.

    Raises:
        BudgetSpent: agents form no ladder, or too many requests would rather be elsewhere.
    """
    n = rows.weights.shape[0]
    ladder = _ladder(rows, slack=int(capacities.sum()) > n)
    room, gains = int(capacities[ladder.agents].sum()), ladder.means
    for _ in range(_GUESSES):
        served = _most(gains, room)
        nodes, prices = _rungs(rows.weights, capacities, ladder, served)
        gains = rows.weights[np.arange(n), nodes - 1] - prices[nodes]
        if np.count_nonzero(served) == room:
            rise = max(gains[~served].max(initial=-_HIGHEST), -prices[1 + ladder.agents].min())
            prices[1 + ladder.agents] += rise
            gains -= rise
        wrong = np.count_nonzero(np.where(served, gains < 0, gains > 0)) + capacities[prices[1:] < 0].sum()
        if wrong <= _WRONG * n:
            return np.where(served, nodes, 0), np.clip(prices, 0, _HIGHEST)
    raise BudgetSpent


def _ladder(rows: Rows, slack: bool) -> Ladder:
    """The ladder that a few requests show; a free slot is like one to whom nothing is worth anything."""
    n = rows.weights.shape[0]
    if not _plain(_known(rows.weights[sample_rows(n, min(n, _GLANCE))])):
        raise BudgetSpent
    some = _known(pilot(rows).weights)
    agents = np.argsort(-_positions(np.vstack((some, np.zeros_like(some[:1]))) if slack else some), kind="stable")
    agents = agents[some[:, agents].max(axis=0) > 0]
    some = some[:, agents]
    mixed = np.diff(np.diff(some[np.argsort(-_tastes(some), kind="stable")], axis=0), axis=1)
    if agents.size == 0 or -mixed[mixed < 0].sum() > _CROSSING * np.abs(mixed).sum():
        raise BudgetSpent
    shown = agents[np.unique(np.linspace(0, agents.size - 1, _SHOWN).astype(np.intp))]
    weights = np.maximum(rows.weights[:, shown], -_HIGHEST)
    return Ladder(agents, _tastes(weights), weights.sum(axis=1) // shown.size)


def _known(weights: Integers) -> NDArray[np.float64]:
    """The same, forbidden pairs not too far below the others."""
    return np.maximum(weights, -_HIGHEST).astype(np.float64)


def _mixed(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """What depends on both request and agent: what is left without the means of either."""
    rest: NDArray[np.float64] = weights - weights.mean(axis=0)
    rest -= rest.mean(axis=1, keepdims=True)
    return rest


def _plain(weights: NDArray[np.float64]) -> bool:
    """Whether what depends on both request and agent is nearly one product, or nothing."""
    rest = _mixed(weights)
    squares = rest @ rest.T
    return bool(np.vdot(squares, squares) >= (_PLAIN * squares.trace()) ** 2)


def _positions(weights: NDArray[np.float64]) -> Integers:
    """(M,) where each agent stands: the first principal component of what depends on both request and agent.

    Where nothing does, what agents are worth on average.
    """
    rest = _mixed(weights)
    axis = rest[np.argmax(np.abs(rest).sum(axis=1))]
    for _ in range(_ITERATIONS):
        axis = rest.T @ (rest @ axis)
    if not axis.any():
        axis = weights.mean(axis=0)
    positions: Integers = np.rint(axis * (_FINE / max(np.abs(axis).max(), 1.0))).astype(np.int64)
    return positions


def _tastes(weights: NDArray[Any]) -> NDArray[Any]:
    """(N,) how much more agents to the left are worth, for `weights` (N, K) in the order of the ladder."""
    size = weights.shape[1]
    tastes: NDArray[Any] = weights @ np.arange(size - 1, -size, -2, dtype=weights.dtype)
    return tastes


def _most(gains: Integers, room: int) -> NDArray[np.bool_]:
    """(N,) the `room` requests that gain most, the first among equals, but none that gains nothing."""
    served: NDArray[np.bool_] = gains > 0
    if np.count_nonzero(served) > room:
        least = np.partition(gains, gains.size - room)[gains.size - room]
        served = gains > least
        served[np.flatnonzero(gains == least)[: room - np.count_nonzero(served)]] = True
    return served


def _rungs(
    weights: Integers, capacities: Integers, ladder: Ladder, served: NDArray[np.bool_]
) -> tuple[Integers, Integers]:
    """Who belongs where by taste, and what that costs.

    Returns:
        nodes (N,), those of requests that are not served being where they would go; prices (M + 1,), 0 where a slot
        stays free, and less below.
    """
    agents, tastes = ladder.agents, np.append(ladder.tastes, 0)
    line = np.flatnonzero(served)
    line = line[np.argsort(-tastes[line], kind="stable")]
    slots = np.repeat(agents, capacities[agents])
    free = slots.size - line.size
    below = np.searchsorted(-tastes[line], 0)
    line = np.concatenate((line[:below], np.full(free, -1), line[below:]))

    leaders = line[np.cumsum(capacities[agents])[:-1]]
    steps = np.where(leaders >= 0, weights[leaders, agents[:-1]] - weights[leaders, agents[1:]], 0)
    prices = np.zeros(weights.shape[1] + 1, np.int64)
    prices[1 + agents[:-1]] = np.cumsum(np.clip(steps, -_HIGHEST, _HIGHEST)[::-1])[::-1]
    if free > 0:
        prices[1 + agents] -= prices[1 + slots[below]]

    nodes = 1 + agents[np.searchsorted(-tastes[leaders], -tastes[:-1])]
    nodes[line[line >= 0]] = 1 + slots[line >= 0]
    return nodes, prices
