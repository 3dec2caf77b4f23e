"""From a sample to the whole: how `MinCostFlow` finds prices, and how few requests it looks at twice.

1. A random sample is solved exactly, recursively, with capacities in proportion; its prices nearly fit the whole.
2. Newton's method on the dual balances supply and demand on the whole (`_prices`); among few requests per agent, which
   have no curvature to speak of, all prices rise alike until demand fits.
3. Requests whose favourite is far ahead stay there. The others are a market of their own, with the capacity that is
   left: solved the same way, recursively, and exactly at the bottom (`_repair`), where most of those that find no room
   outbid each other (`_auction`). Where too many are left over even so, everybody bids anew, in larger steps.
4. Where the final prices moved further than a margin, the request is looked at again, and joins the others if it
   strays. The result is exact whatever the sample was: it ends only when every request has its favourite.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allocation._auction import compete
from allocation._prices import newton, strays, window
from allocation._repair import repair

Integers = NDArray[np.int64]

#: Work in entries touched, per arc that a network for another solver would have: what finishing may be worth.
_EFFORT = 150

#: The same per pair, forbidden or not, for our own passes read them all.
_EFFORT_DENSE = 24
_ROUNDS = 30

#: Fewer requests than this are not worth dividing.
_NARROW = 4000

#: Margin of a request that needs no second look, for it was looked at.
_SEEN = 2**62

#: Requests per agent from which Newton's method has a curvature to go by.
_SMOOTH = 4

#: Share of the requests that may wait for a search each before all bid anew.
_CROWD = 0.3

#: What bids exceed indifference by: a share of how much more the best agent is worth than the mean.
_INCREMENT = 0.02

#: Bids for each request where all bid anew.
_BIDS = 100


class BudgetSpent(Exception):  # noqa: N818
    """The market is harder than its size suggests; another solver should take over."""


@dataclass(frozen=True, slots=True)
class Solver:
    """Solves one market. `central` asks for prices in the middle of the supporting ones, and proves nothing."""

    effort: int
    central: bool = False

    def settle(self, weights: Integers, capacities: Integers, prices: Integers) -> Integers:
        """The optimum near `prices` (M + 1,), which become the lowest supporting ones: nodes (N,).

        Raises:
            BudgetSpent: the work was not worth it.
        """
        n, m = weights.shape
        at, second, margins = (np.empty(n, np.int64) for _ in range(3))
        narrow = (n // 2 - 60 * m) // 8 if n >= _NARROW else 0
        goal = max(2, m // 4, narrow)
        rounds = _ROUNDS if n >= _SMOOTH * m else 0
        left = newton(weights, capacities, prices, goal, m // 4, rounds, at, second, margins)
        before = prices.copy()
        if 0 < left <= narrow:
            with suppress(BudgetSpent):
                if self._settle_undecided(weights, capacities, prices, at, margins, left):
                    return at
            prices[:] = before
            newton(weights, capacities, prices, 0, 0, 0, at, second, margins)
        if rounds == 0:
            level(weights, capacities, prices, at, margins)
        crowd = int(n * _CROWD)
        waiting = repair(weights, capacities, prices, at, margins, crowd, self.effort, self.central)
        if waiting > crowd:
            prices[:] = before
            bid_up(weights, capacities, prices)
            newton(weights, capacities, prices, goal, m // 4, rounds, at, second, margins)
            waiting = repair(weights, capacities, prices, at, margins, n, self.effort, self.central)
        if waiting > 0:
            raise BudgetSpent
        return at

    def _settle_undecided(
        self, weights: Integers, capacities: Integers, prices: Integers, at: Integers, margins: Integers, left: int
    ) -> bool:
        """Settle the requests of smallest margin among themselves, until the others agree; False if they do not."""
        n, m = weights.shape
        before = prices.copy()
        undecided = margins < window(margins, 8 * left + 60 * m)
        among_themselves = Solver(self.effort // 3, self.central)
        for _ in range(5):
            rows = np.flatnonzero(undecided)
            room = capacities - np.bincount(at[~undecided], minlength=m + 1)[1:]
            if rows.size > 0.7 * n or room.min() < 0:
                return False
            at[rows] = among_themselves.settle(weights[rows], room, prices)
            margins[rows] = _SEEN
            found = strays(weights, prices, at, margins, prices - before)
            if found.size == 0:
                return True
            undecided[found] = True
        return False


def optimum(weights: Integers, capacities: Integers, start: Integers | None) -> tuple[Integers, Integers] | None:
    """Nodes (N,) of an optimal allocation and the lowest supporting prices (M + 1,), or None if not worth the work.

    Args:
        weights: (N, M).
        capacities: (M,) at most N each.
        start: (M,) prices of a similar market, or None.
    """
    n, m = weights.shape
    positive = _positive(weights)
    if positive == 0 and weights.max(initial=0) <= 0:
        return np.zeros(n, np.int64), np.zeros(m + 1, np.int64)
    effort = _effort(positive, n, m)
    if start is not None:
        prices = np.concatenate(([0], start))
        with suppress(BudgetSpent):
            return Solver(effort // 3).settle(weights, capacities, prices), prices
    prices = np.zeros(m + 1, np.int64)
    with suppress(BudgetSpent):
        for count in _sizes(n, m):
            rows = sample_rows(n, count)
            scaled = np.diff(np.cumsum(capacities) * count // n, prepend=0)
            Solver(effort // 2, central=True).settle(weights[rows], scaled, prices)
        return Solver(effort).settle(weights, capacities, prices), prices
    return None


def level(weights: Integers, capacities: Integers, prices: Integers, at: Integers, margins: Integers) -> None:
    """Raise all prices alike until no more requests want to be served than there is room for: Newton in one direction.

    Args:
        weights: (N, M).
        capacities: (M,).
        prices: (M + 1,) of nodes; raised in place, as `at` and `margins` follow.
        at: (N,) a favourite node of each request.
        margins: (N,) how far it is ahead of the second favourite.
    """
    room = int(capacities.sum())
    wanting = np.flatnonzero(at)
    if wanting.size <= room:
        return
    gains = weights[wanting, at[wanting] - 1] - prices[at[wanting]]
    rise = np.partition(gains, gains.size - room - 1)[gains.size - room - 1]
    prices[1:] += rise
    margins[at == 0] += rise
    margins[wanting] = np.where(gains > rise, np.minimum(margins[wanting], gains - rise), rise - gains)
    at[wanting[gains <= rise]] = 0


def bid_up(weights: Integers, capacities: Integers, prices: Integers) -> None:
    """Let everybody bid anew from `prices` (M + 1,), which rise in place, with an increment that ends price wars."""
    n = weights.shape[0]
    rows = np.maximum(weights[sample_rows(n, min(n, 64))], 0)
    increment = 1 + int(_INCREMENT * np.mean(rows.max(axis=1) - rows.mean(axis=1)))
    nowhere = np.full(n, -1)
    compete(weights, capacities, prices, nowhere, np.zeros(n, np.int64), np.arange(n), n, increment, _BIDS * n)


def sample_rows(n: int, count: int) -> NDArray[np.intp]:
    """`count` of n rows, one at random in each of `count` equal strata; always the same ones."""
    stride = n // count
    rows = np.arange(count, dtype=np.intp)
    picked: NDArray[np.intp] = rows * stride + ((rows * 2654435761) >> 15) % stride
    return picked


def _sizes(n: int, m: int) -> list[int]:
    """Sample sizes, smallest first."""
    sizes = []
    while n // 4 >= m:
        n //= 8 if n >= 64 * m else 4
        sizes.append(n)
    return sizes[::-1]


def _positive(weights: Integers) -> int:
    """About how many pairs have a positive weight: handing over costs time in proportion."""
    n, m = weights.shape
    rows = weights if n <= 256 else weights[sample_rows(n, 128)]
    return int(np.count_nonzero(rows > 0) * n * m // max(1, rows.size))


def _effort(positive: int, n: int, m: int) -> int:
    """The work that is worth it."""
    return _EFFORT * (positive + 2 * n) + _EFFORT_DENSE * n * m + 1_000_000
