"""From a sample to the whole: how `MinCostFlow` finds an optimum while it looks at few requests twice.

1. A random sample is solved, roughly and recursively, with capacities in proportion; its prices nearly fit the whole.
2. Newton's method on the dual balances loads and capacities on the whole (`prices.newton`). Where it cannot, because
   requests are few per agent or nearly all are indifferent, requests bid for prices instead (`prices.bidding`).
3. Requests whose favourite is far ahead stay there. The others are a market of their own, with the capacity that is
   left: solved the same way, recursively, and exactly at the bottom (`paths.augment`).
4. Where the final prices moved further than a margin, the request is looked at again, and joins the others if it
   strays. The result is exact whatever the sample was: it ends only when every request has its favourite.

All work is counted. Where it is more than handing the market over to another solver costs, it is given up.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from allocation.kernels.pairs.offers import FAR
from allocation.kernels.pairs.samples import Integers, sample, sample_rows
from allocation.kernels.paths.augment import finish
from allocation.kernels.prices.bidding import balance, bid_up
from allocation.kernels.prices.newton import newton, strays, window

#: Work in entries touched, per arc that a network for another solver would have: what finishing may take.
_EFFORT = 600

#: The same per pair, forbidden or not, for our own passes read them all.
_EFFORT_DENSE = 96

#: Rounds of Newton's method, if there may be any.
_ROUNDS = 30

#: Requests per agent that a sample needs to say anything.
_SAMPLED = 1.5

#: Requests per agent from which Newton's method has a curvature to go by, and from which nothing else is tried.
_SMOOTH = 4
_PLENTY = 8

#: Imbalance, as a share of the requests, up to which Newton's method has done its work.
_BALANCED = 0.6

#: Requests too many or too few for the capacity at which prices need not all rise or fall.
_BEYOND = 8

#: Imbalance, as a share of the requests, that will do in a sample: chance makes more of it.
_ROUGH = 0.05

#: Requests that are undecided: so many for each too many or too few, so many per agent, and so many more.
_PER_EXCESS = 8
_PER_AGENT = 8
_MORE = 1000

#: Share of the requests that may be undecided for it to pay that they are solved alone.
_FEW = 0.7

#: Share of the requests that may wait for a search each before all bid anew, and pairs up to which all may.
_CROWD = 0.3
_SOON = 4000


class BudgetSpent(Exception):  # noqa: N818
    """The market is harder than its size suggests; another solver should take over."""


@dataclass(frozen=True, slots=True)
class Solver:
    """Solves one market; a `rough` one ends near the optimum, which will do for a sample."""

    effort: int
    rough: bool = False

    def settle(self, weights: Integers, capacities: Integers, prices: Integers) -> Integers:
        """Nodes (N,) of an optimum near `prices` (M + 1,), which change to some that support it.

        Raises:
            BudgetSpent: it took too much work.
        """
        n, m = weights.shape
        before = prices.copy()
        at, margins, left = _favourites(weights, capacities, prices, self._goal(n, m))
        if n >= _PLENTY * m or (n >= _SMOOTH * m and left <= _BALANCED * n):
            return self._settle_near(weights, capacities, prices, at, margins, left)
        crowd = int(n * _CROWD) if n * m > _SOON else FAR
        if finish(weights, capacities, prices, at, margins, crowd, self.effort // 4):
            return at
        prices[:] = before
        bid_up(weights, capacities, prices)
        at, margins, left = _favourites(weights, capacities, prices, self._goal(n, m))
        return self._settle_near(weights, capacities, prices, at, margins, left)

    def _settle_near(
        self, weights: Integers, capacities: Integers, prices: Integers, at: Integers, margins: Integers, left: int
    ) -> Integers:
        n, m = weights.shape
        if self.rough and left <= n * _ROUGH:
            return at
        before = prices.copy()
        if 0 < left <= _narrow(n, m):
            if self._settle_undecided(weights, capacities, prices, at, margins, left):
                return at
            prices[:] = before
            at, margins, _ = _favourites(weights, capacities, prices, n)
        if not finish(weights, capacities, prices, at, margins, FAR, self.effort):
            raise BudgetSpent
        return at

    def _goal(self, n: int, m: int) -> int:
        """The imbalance that is small enough to go on."""
        return max(2, m // 4, _narrow(n, m), int(n * _ROUGH) if self.rough else 0)

    def _settle_undecided(
        self, weights: Integers, capacities: Integers, prices: Integers, at: Integers, margins: Integers, left: int
    ) -> bool:
        """Settle the requests of smallest margin among themselves, until the others agree; False if they do not."""
        n, m = weights.shape
        before = prices.copy()
        undecided = margins < window(margins, _PER_EXCESS * left + _PER_AGENT * m + _MORE)
        among_themselves = Solver(self.effort // 3)
        for _ in range(5):
            chosen = np.flatnonzero(undecided)
            free = capacities - (np.bincount(at, minlength=m + 1) - np.bincount(at[chosen], minlength=m + 1))[1:]
            if chosen.size > _FEW * n:
                return False
            if free.min() < 0:  # an agent that the others overfill: those that are to leave it must be undecided
                undecided |= margins < window(margins, 2 * chosen.size)
                continue
            try:
                at[chosen] = among_themselves.settle(weights.take(chosen, axis=0), free, prices)
            except BudgetSpent:
                return False
            margins[chosen] = FAR  # need no second look
            found = strays(weights, prices, at, margins, prices - before)
            if found.size == 0:
                return True
            undecided[found] = True
        return False


def optimum(weights: Integers, capacities: Integers, start: Integers | None) -> Integers | None:
    """Nodes (N,) of an optimal allocation, or None if that takes too much work.

    Args:
        weights: (N, M).
        capacities: (M,) at most N each.
        start: (M,) prices of a similar market, or None.
    """
    n, m = weights.shape
    effort = _effort(weights)
    try:
        if start is not None:
            with suppress(BudgetSpent):
                return Solver(effort // 3).settle(weights, capacities, np.concatenate(([0], start)))
        prices = np.zeros(m + 1, np.int64)
        for count in _sizes(n, m):
            Solver(effort // 2, rough=True).settle(*sample(weights, capacities, count), prices)
        return Solver(effort).settle(weights, capacities, prices)
    except BudgetSpent:
        return None


def _favourites(weights: Integers, capacities: Integers, prices: Integers, goal: int) -> tuple[Integers, Integers, int]:
    """Improve `prices` (M + 1,) in place: each request's favourite node and its margin there (N,), and the imbalance.

    Where Newton's method has nothing to go by all prices rise or fall alike.
    """
    n, m = weights.shape
    at, second, margins = (np.empty(n, np.int64) for _ in range(3))
    rounds = _ROUNDS if n >= _SMOOTH * m else 0
    left = newton(weights, capacities, prices, goal, m // 4, rounds, at, second, margins)
    if left > goal and abs(np.count_nonzero(at) - min(n, int(capacities.sum()))) > _BEYOND:
        balance(weights, capacities, prices)
        left = newton(weights, capacities, prices, goal, m // 4, 0, at, second, margins)
    return at, margins, left


def _narrow(n: int, m: int) -> int:
    """The imbalance up to which half of the requests at most are undecided."""
    return (n // 2 - _PER_AGENT * m - _MORE) // _PER_EXCESS


def _sizes(n: int, m: int) -> list[int]:
    """Sample sizes, smallest first."""
    sizes = []
    while n // 4 >= _SAMPLED * m:
        n //= 8 if n >= 64 * m else 4
        sizes.append(n)
    return sizes[::-1]


def _effort(weights: Integers) -> int:
    """The work an attempt may take: handing over costs time in proportion to the pairs of positive welfare."""
    n, m = weights.shape
    some = weights if n <= 256 else weights[sample_rows(n, 128)]
    arcs = int(np.count_nonzero(some > 0) * n * m // max(1, some.size)) + 2 * n
    effort: int = _EFFORT * arcs + _EFFORT_DENSE * n * m + 1_000_000
    return effort
