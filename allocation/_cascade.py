"""From a sample to the whole: how `MinCostFlow` finds prices, and how few requests it looks at twice.

1. A random sample is solved exactly, recursively, with capacities in proportion; its prices nearly fit the whole, and
   show which pairs are promising there. Where requests are many per agent, no others are looked at in what follows, but
   once at the end (`_shortlist`).
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
from functools import partial

import numpy as np
from numpy.typing import NDArray

from allocation._auction import compete
from allocation._prices import newton, strays, window
from allocation._repair import repair
from allocation._rows import NEVER, Rows, dense, spread, take, worth
from allocation._shortlist import overlooked, packed, promising, widened

Integers = NDArray[np.int64]

#: Work in entries touched, per arc that a network for another solver would have: what finishing may be worth.
_EFFORT = 150

#: The same per pair, forbidden or not, for our own passes read them all.
_EFFORT_DENSE = 24
_ROUNDS = 30

#: Share of the pairs worth something below which only these are looked at.
_SPARSE = 0.5

#: Pairs from which it pays to look at the promising ones first, and requests per agent: prices of a sample of fewer are
#: too rough to tell which these are.
_LARGE = 200_000
_MANY = 16

#: Agents from which a list is enough shorter than the row.
_WIDE = 48

#: How many of them a request has on average: a share of the agents, but not less than this.
_SHORTER = 16
_SHORTEST = 10

#: Requests that stand for all where a mean will do.
_PILOT = 64

#: Fewer requests than this are not worth dividing.
_NARROW = 4000

#: Margin of a request that needs no second look, for it was looked at.
_SEEN = 2**62

#: Requests per agent from which Newton's method has a curvature to go by.
_SMOOTH = 4

#: Share of the requests, where they are few per agent, that may wait for a search each before all bid anew.
_CROWD = 0.3

#: What bids exceed indifference by, round by round: a share of how much more the best agent is worth than the mean.
#: Where prices went too high no request comes, so each round but the last gives back twice what one bid may overshoot.
_INCREMENTS = (0.3, 0.08, 0.02)

#: Bids for each request in each round.
_BIDS = 100


class BudgetSpent(Exception):  # noqa: N818
    """The market is harder than its size suggests; another solver should take over."""


@dataclass(frozen=True, slots=True)
class Solver:
    """Solves one market. `central` asks for prices in the middle of the supporting ones, and proves nothing."""

    effort: int
    central: bool = False

    def settle(self, rows: Rows, capacities: Integers, prices: Integers) -> Integers:
        """The optimum near `prices` (M + 1,), which become the lowest supporting ones: nodes (N,).

        Raises:
            BudgetSpent: the work was not worth it.
        """
        n, m = _shape(rows)
        at, second, margins = (np.empty(n, np.int64) for _ in range(3))
        narrow = (n // 2 - 60 * m) // 8 if n >= _NARROW else 0
        goal = max(2, m // 4, narrow)
        rounds = _ROUNDS if n >= _SMOOTH * m else 0
        left = newton(rows, capacities, prices, goal, m // 4, rounds, at, second, margins)
        before = prices.copy()
        if 0 < left <= narrow:
            with suppress(BudgetSpent):
                if self._settle_undecided(rows, capacities, prices, at, margins, left):
                    return at
            prices[:] = before
            newton(rows, capacities, prices, 0, 0, 0, at, second, margins)
        if rounds == 0:
            level(rows, capacities, prices, at, margins)
        crowd = n if rounds else int(n * _CROWD)
        waiting = repair(rows, capacities, prices, at, margins, crowd, self.effort, self.central)
        if waiting > crowd:
            prices[:] = before
            bid_up(rows, capacities, prices)
            newton(rows, capacities, prices, goal, m // 4, rounds, at, second, margins)
            waiting = repair(rows, capacities, prices, at, margins, n, self.effort, self.central)
        if waiting > 0:
            raise BudgetSpent
        return at

    def _settle_undecided(
        self, rows: Rows, capacities: Integers, prices: Integers, at: Integers, margins: Integers, left: int
    ) -> bool:
        """Settle the requests of smallest margin among themselves, until the others agree; False if they do not."""
        n, m = _shape(rows)
        before = prices.copy()
        undecided = margins < window(margins, 8 * left + 60 * m)
        among_themselves = Solver(self.effort // 3, self.central)
        for _ in range(5):
            chosen = np.flatnonzero(undecided)
            room = capacities - np.bincount(at[~undecided], minlength=m + 1)[1:]
            if chosen.size > 0.7 * n or room.min() < 0:
                return False
            at[chosen] = among_themselves.settle(take(rows, chosen), room, prices)
            margins[chosen] = _SEEN
            found = strays(rows, prices, at, margins, prices - before)
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
    rows = packed(weights) if positive < _SPARSE * n * m else dense(weights)
    if start is not None:
        prices = np.concatenate(([0], start))
        with suppress(BudgetSpent):
            return Solver(effort // 3).settle(rows, capacities, prices), prices
    prices = np.zeros(m + 1, np.int64)
    with suppress(BudgetSpent):
        sizes = _sizes(n, m)
        for count in sizes:
            scaled = np.diff(np.cumsum(capacities) * count // n, prepend=0)
            Solver(effort // 2, central=True).settle(take(rows, sample_rows(n, count)), scaled, prices)
        settle = partial(_settle_shortlisted, Solver(effort)) if sizes else Solver(effort).settle
        return settle(rows, capacities, prices), prices
    return None


def _settle_shortlisted(solver: Solver, rows: Rows, capacities: Integers, prices: Integers) -> Integers:
    """`settle`, but looking only at pairs that are promising at `prices`, and at the others once, to be sure.

    Raises:
        BudgetSpent: the work was not worth it.
    """
    n, m = _shape(rows)
    if rows.first.size > 0 or n * m < _LARGE or m < _WIDE or n < _MANY * m:
        return solver.settle(rows, capacities, prices)
    before = prices.copy()
    size = max(_SHORTEST, m // _SHORTER)
    offers = -np.partition(prices[1:] - rows.weights[sample_rows(n, _PILOT)], (1, size), axis=1)
    width = max(0, int(np.mean(offers[:, 1] - offers[:, size])))
    found = promising(rows.weights, prices, width, n * m // 4)
    if found is None:
        return solver.settle(rows, capacities, prices)
    some, floor = found
    for _ in range(2):
        at = solver.settle(some, capacities, prices)
        missing = overlooked(rows.weights, some, prices, at, (before - prices).max(), floor)
        if missing.size == 0:
            return at
        if missing.size > n // 4:
            break
        some = widened(some, rows.weights, missing)
        floor[missing] = NEVER
    prices[:] = before
    return solver.settle(rows, capacities, prices)


def level(rows: Rows, capacities: Integers, prices: Integers, at: Integers, margins: Integers) -> None:
    """Raise all prices alike until no more requests want to be served than there is room for: Newton in one direction.

    Args:
        rows: N requests, M agents.
        capacities: (M,).
        prices: (M + 1,) of nodes; raised in place, as `at` and `margins` follow.
        at: (N,) a favourite node of each request.
        margins: (N,) how far it is ahead of the second favourite.
    """
    room = int(capacities.sum())
    wanting = np.flatnonzero(at)
    if wanting.size <= room:
        return
    gains = worth(rows, at)[wanting] - prices[at[wanting]]
    rise = np.partition(gains, gains.size - room - 1)[gains.size - room - 1]
    prices[1:] += rise
    margins[at == 0] += rise
    margins[wanting] = np.where(gains > rise, np.minimum(margins[wanting], gains - rise), rise - gains)
    at[wanting[gains <= rise]] = 0


def bid_up(rows: Rows, capacities: Integers, prices: Integers) -> None:
    """Let everybody bid anew from `prices` (M + 1,), which rise in place, with increments that end price wars."""
    n, _ = _shape(rows)
    unit = spread(take(rows, sample_rows(n, min(n, _PILOT))))
    for share in _INCREMENTS:
        increment = 1 + int(share * unit)
        nowhere, margins = np.full(n, -1), np.zeros(n, np.int64)
        compete(rows, capacities, prices, nowhere, margins, np.arange(n), n, increment, _BIDS * n)
        if share != _INCREMENTS[-1]:
            prices[1:] = np.maximum(prices[1:] - 2 * increment, 0)


def sample_rows(n: int, count: int) -> NDArray[np.intp]:
    """`count` of n rows, one at random in each of `count` equal strata; always the same ones."""
    stride = n // count
    rows = np.arange(count, dtype=np.intp)
    picked: NDArray[np.intp] = rows * stride + ((rows * 2654435761) >> 15) % stride
    return picked


def _shape(rows: Rows) -> tuple[int, int]:
    return rows.weights.shape[0] + rows.first.size, rows.weights.shape[1]


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
