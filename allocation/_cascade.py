"""From a sample to the whole: how `MinCostFlow` finds prices, and how few requests it looks at twice.

1. A random sample is solved exactly, recursively, with capacities in proportion; its prices nearly fit the whole.
2. Newton's method on the dual balances supply and demand on the whole (`_prices`).
3. Requests whose favourite is far ahead stay there. The others are a market of their own, with the capacity that is
   left: solved the same way, recursively, and exactly at the bottom (`_repair`).
4. Where the final prices moved further than a margin, the request is looked at again, and joins the others if it
   strays. The result is exact whatever the sample was: it ends only when every request has its favourite.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allocation._prices import newton, strays, window
from allocation._repair import repair

Integers = NDArray[np.int64]

#: Work in entries touched, per arc that a network for another solver would have: a fifth of what it would take.
_EFFORT = 90

#: The same per pair, forbidden or not, for our own passes read them all.
_EFFORT_DENSE = 24
_ROUNDS = 30

#: Fewer requests than this are not worth dividing.
_NARROW = 4000

#: Margin of a request that needs no second look, for it was looked at.
_SEEN = 2**62


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
        left = newton(weights, capacities, prices, goal, m // 4, _ROUNDS, at, second, margins)
        if 0 < left <= narrow:
            before = prices.copy()
            with suppress(BudgetSpent):
                if self._settle_undecided(weights, capacities, prices, at, margins, left):
                    return at
            prices[:] = before
            newton(weights, capacities, prices, 0, 0, 0, at, second, margins)
        if not repair(weights, capacities, prices, at, margins, self.effort, self.central):
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
    effort = _effort(weights)
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


def _effort(weights: Integers) -> int:
    """The work that is worth it: handing over costs time in proportion to requests and pairs with a positive weight."""
    n, m = weights.shape
    rows = weights if n <= 256 else weights[sample_rows(n, 128)]
    positive = np.count_nonzero(rows > 0) * n * m // max(1, rows.size)
    return int(_EFFORT * (positive + 2 * n) + _EFFORT_DENSE * n * m) + 1_000_000
