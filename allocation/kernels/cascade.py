"""From a sample to the whole: how `MinCostFlow` finds prices, and how few requests it looks at twice.

1. A random sample is solved, roughly and recursively, with capacities in proportion; its prices nearly fit the whole,
   and show which pairs are promising there: no others are looked at in what follows, but once at the end
   (`_shortlist`). Where requests are few per agent a sample shows little: there all bid for rough prices first
   (`_bidding`). Where agents form a ladder it is read off instead (`_ladder`).
2. Newton's method on the dual balances supply and demand on the whole (`_prices`).
3. Requests whose favourite is far ahead stay there. The others are a market of their own, with the capacity that is
   left: solved the same way, recursively, and exactly at the bottom (`_repair`), where most of those that find no room
   outbid each other (`_auction`).
4. Where the final prices moved further than a margin, the request is looked at again, and joins the others if it
   strays. The result is exact whatever the sample was: it ends only when every request has its favourite.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from allocation.kernels.pairs.offers import best_offers
from allocation.kernels.pairs.rows import Integers, Rows, dense, sample, sample_rows, shape, take, worth
from allocation.kernels.pairs.shortlists import BudgetSpent, Shortlists, packed, promise
from allocation.kernels.paths.augment import finish, repair
from allocation.kernels.prices.bidding import bid_up, increments, level, opening, refine
from allocation.kernels.prices.ladder import climb
from allocation.kernels.prices.newton import newton, strays, window

#: Work in entries touched, per arc that a network for another solver would have: what finishing may be worth.
_EFFORT = 300

#: The same per pair, forbidden or not, for our own passes read them all.
_EFFORT_DENSE = 48
_ROUNDS = 30

#: Share of the pairs worth something below which only these are looked at.
_SPARSE = 0.5

#: Pairs from which it pays to look at the promising ones first, and agents from which lists are enough shorter.
_LARGE = 200_000
_WIDE = 48

#: Requests per agent from which prices of a sample show which pairs are promising; where they are fewer bids do.
_MANY = 16

#: Increments of the rounds of bids for promising pairs, as a share of how much more the best agent is worth than the
#: mean. Where lists end nearer than two bids may overshoot they are not to be trusted.
_FINE = (0.02, 0.005)

#: Agents from which a ladder is high enough for paths along it to be long, and pairs from which one is looked for.
_HIGH = 16
_MANY_PAIRS = 10_000

#: Share of the requests that may be misplaced on a ladder and be moved one by one.
_MISPLACED = 0.05

#: Share of the slots needed that must be on some list.
_COVERED = 0.9

#: Requests per agent that a sample needs to say anything: where slots are fewer than agents some go without a price.
_SAMPLED = 1.5

#: How often lists may be widened before the pairs are thought too many.
_WIDENINGS = 6

#: Requests that are undecided however near to balance the others are: so many per agent, and so many more.
_UNDECIDED = (8, 1000)

#: Margin of a request that needs no second look, for it was looked at.
_SEEN = 2**62

#: Requests per agent that show whether prices fit, and the imbalance, as a share of the requests, from which they do
#: not. Prices of the round before leave 0.4 of it at most, those of another market more than 0.7.
_SHOWING = 16
_UNFIT = 0.55

#: Imbalance at prices of zero, as a share of the requests, up to which Newton's method gets along from there.
_NEARLY = 0.45

#: Requests too many or too few for the room for which it is not worth it that all prices rise or fall.
_BEYOND = 8

#: Imbalance, as a share of the requests, that will do in a sample: chance makes more of it.
_ROUGH = 0.05

#: Requests per agent from which Newton's method has a curvature to go by, and from which nothing else is tried.
_SMOOTH = 4
_PLENTY = 8

#: Imbalance, as a share of the requests, up to which Newton's method has done its work; where it fails all is left.
_BALANCED = 0.6

#: Share of the requests that may wait for a search each, and slots that may be free of agents that have a price, before
#: all bid anew; and of requests that may prefer a pair that was not listed, for there all pairs nearly tie.
_CROWD = 0.3
_MISLED = 0.5

#: Pairs up to which a search each for all takes less than bids.
_SOON = 4000


@dataclass(frozen=True, slots=True)
class Solver:
    """Solves one market. `central` asks for prices alone, amid the supporting ones or near: it will do for a sample."""

    effort: int
    central: bool = False

    def settle(self, rows: Rows, capacities: Integers, prices: Integers) -> Integers:
        """The optimum near `prices` (M + 1,), which become the lowest supporting ones: nodes (N,).

        Raises:
            BudgetSpent: the work was not worth it.
        """
        n, m = shape(rows)
        if n >= _PLENTY * m:
            return self._settle_near(rows, capacities, prices)
        before = prices.copy()
        at, second, margins = (np.empty(n, np.int64) for _ in range(3))
        left = newton(rows, capacities, prices, m // 4, m // 4, _rounds(n, m), at, second, margins)
        if n >= _SMOOTH * m and left <= _BALANCED * n:
            return self._settle_near(rows, capacities, prices)
        level(rows, capacities, prices, at, second, margins)
        crowd = int(n * _CROWD) if n * m > _SOON else n
        if repair(rows, capacities, prices, at, margins, crowd, self.effort // 4, self.central) == 0:
            return at
        prices[:] = before
        bid_up(rows, capacities, prices)
        return self._settle_near(rows, capacities, prices)

    def settle_listed(self, rows: Rows, capacities: Integers, prices: Integers) -> Integers:
        """`settle`, but looking only at pairs that are promising at `prices`, and at the others to see who prefers one.

        Raises:
            BudgetSpent: the work was not worth it, or prices so far off that too many pairs would be needed.
        """
        return self._settle_among(Shortlists.near(rows.weights, prices, promise(rows, prices)), capacities, prices)

    def settle_from_bids(self, rows: Rows, capacities: Integers, prices: Integers) -> Integers:
        """The same from prices that all bid for, first in samples, then for promising pairs; `prices` are overwritten.

        Raises:
            BudgetSpent: as above, or rows have so many pairs that nearly tie that lists would say nothing.
        """
        n, _ = shape(rows)
        steps = increments(rows, _FINE)
        if promise(rows, np.zeros_like(prices)) < 2 * steps[0]:
            raise BudgetSpent
        prices[:] = opening(rows, capacities)
        width = promise(rows, prices)
        if width < 2 * steps[0]:
            raise BudgetSpent
        lists = Shortlists.near(rows.weights, prices, width)
        if np.minimum(lists.listed(), capacities).sum() < min(n, capacities.sum()) * _COVERED:
            raise BudgetSpent
        for step in steps:
            refine(lists.rows, capacities, prices, step)
        return Solver(self.effort // 4, self.central)._settle_among(lists, capacities, prices)

    def settle_on_ladder(self, rows: Rows, capacities: Integers, prices: Integers) -> Integers:
        """The same where agents form a ladder, or nearly so; `prices` are overwritten.

        Raises:
            BudgetSpent: they do not, or the work was not worth it.
        """
        at, prices[:] = climb(rows, capacities)
        with suppress(BudgetSpent):
            self._amend(rows, capacities, prices, at, int(_MISPLACED * at.size))
            return at
        return self.settle_listed(rows, capacities, prices)

    def _settle_among(self, lists: Shortlists, capacities: Integers, prices: Integers) -> Integers:
        at = self._settle_near(lists.rows, capacities, prices)
        for _ in range(_WIDENINGS):
            if not lists.widen(prices):
                return at
            self._amend(lists.rows, capacities, prices, at, int(_MISLED * at.size))
        raise BudgetSpent

    def _amend(self, rows: Rows, capacities: Integers, prices: Integers, at: Integers, crowd: int) -> None:
        """An optimum from one that at most `crowd` requests would change, given `at` (N,) and `prices`; in place."""
        gains = worth(rows, at) - prices[at]
        pending = np.flatnonzero(np.maximum(best_offers(rows, prices), 0) > gains)
        if pending.size > crowd:
            raise BudgetSpent
        at[pending] = -1
        if finish(rows, capacities, prices, at, pending, pending.size, self.effort, self.central) > 0:
            raise BudgetSpent

    def _settle_near(self, rows: Rows, capacities: Integers, prices: Integers) -> Integers:
        n, m = shape(rows)
        at, second, margins = (np.empty(n, np.int64) for _ in range(3))
        narrow = (n // 2 - _undecided(0, m)) // 8
        rough = int(n * _ROUGH) if self.central else 0
        goal = max(2, m // 4, narrow, rough)
        left = newton(rows, capacities, prices, goal, m // 4, _rounds(n, m), at, second, margins)
        if self.central and left <= rough:
            return at
        if 0 < left <= narrow:
            before = prices.copy()
            with suppress(BudgetSpent):
                if self._settle_undecided(rows, capacities, prices, at, margins, left):
                    return at
            prices[:] = before
            newton(rows, capacities, prices, 0, 0, 0, at, second, margins)
        if abs(np.count_nonzero(at) - min(n, int(capacities.sum()))) > _BEYOND:
            level(rows, capacities, prices, at, second, margins)
        if repair(rows, capacities, prices, at, margins, n, self.effort, self.central) > 0:
            raise BudgetSpent
        return at

    def _settle_undecided(
        self, rows: Rows, capacities: Integers, prices: Integers, at: Integers, margins: Integers, left: int
    ) -> bool:
        """Settle the requests of smallest margin among themselves, until the others agree; False if they do not."""
        n, m = shape(rows)
        before = prices.copy()
        undecided = margins < window(margins, _undecided(left, m))
        among_themselves = Solver(self.effort // 3, self.central)
        for _ in range(5):
            chosen = np.flatnonzero(undecided)
            room = capacities - (np.bincount(at, minlength=m + 1) - np.bincount(at[chosen], minlength=m + 1))[1:]
            if chosen.size > 0.7 * n:
                return False
            if room.min() < 0:  # who is to make room must be among them
                undecided |= margins < window(margins, 2 * chosen.size)
                continue
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
    worthy = _worthy(weights)
    if worthy == 0 and weights.max(initial=0) <= 0:
        return np.zeros(n, np.int64), np.zeros(m + 1, np.int64)
    effort = _effort(worthy, n, m)
    rows = packed(weights, worthy) if worthy < _SPARSE * n * m else dense(weights)
    if rows.first.size == 0 and rows.weights.size >= _MANY_PAIRS and m >= _HIGH:
        prices = np.zeros(m + 1, np.int64)
        with suppress(BudgetSpent):
            return Solver(effort // 8).settle_on_ladder(rows, capacities, prices), prices
    if start is not None and fit(rows, capacities, prices := np.concatenate(([0], start)), _UNFIT):
        with suppress(BudgetSpent):
            return Solver(effort // 3).settle(rows, capacities, prices), prices
    with suppress(BudgetSpent):
        if _listable(rows) and _PLENTY * m <= n < _MANY * m:
            prices = np.zeros(m + 1, np.int64)
            with suppress(BudgetSpent):
                return Solver(effort).settle_from_bids(rows, capacities, prices), prices
        prices = np.zeros(m + 1, np.int64)
        sizes, fewer = _sizes(n, m, _SAMPLED), _sizes(n, m, _SMOOTH)
        if sizes != fewer and fit(rows, capacities, prices, _NEARLY):
            sizes = fewer
        for count in sizes:
            Solver(effort // 2, central=True).settle(*sample(rows, capacities, count), prices)
        if _listable(rows) and n >= _MANY * m:
            before = prices.copy()
            with suppress(BudgetSpent):
                return Solver(effort).settle_listed(rows, capacities, prices), prices
            prices[:] = before
        return Solver(effort).settle(rows, capacities, prices), prices
    return None


def fit(rows: Rows, capacities: Integers, prices: Integers, most: float) -> bool:
    """Whether the imbalance of demand at prices (M + 1,) and capacities (M,) is at most this share of the requests."""
    _, m = shape(rows)
    some, room = sample(rows, capacities, _SHOWING * m)
    count, _ = shape(some)
    at, second, margins = (np.empty(count, np.int64) for _ in range(3))
    return bool(newton(some, room, prices.copy(), 0, 0, 0, at, second, margins) <= most * count)


def _rounds(n: int, m: int) -> int:
    """Rounds of Newton's method, if there may be any."""
    return _ROUNDS if n >= _SMOOTH * m else 0


def _listable(rows: Rows) -> bool:
    """Whether lists of promising pairs would be much shorter than the rows."""
    return rows.first.size == 0 and rows.weights.size >= _LARGE and rows.weights.shape[1] >= _WIDE


def _undecided(left: int, m: int) -> int:
    """How many requests are undecided where the imbalance is `left`."""
    each, more = _UNDECIDED
    return 8 * left + each * m + more


def _sizes(n: int, m: int, least: float) -> list[int]:
    """Sample sizes, smallest first, of at least so many requests per agent."""
    sizes = []
    while n // 4 >= least * m:
        n //= 8 if n >= 64 * m else 4
        sizes.append(n)
    return sizes[::-1]


def _worthy(weights: Integers) -> int:
    """About how many pairs are worth something."""
    n, m = weights.shape
    rows = weights if n <= 256 else weights[sample_rows(n, 128)]
    return int(np.count_nonzero(rows > 0) * n * m // max(1, rows.size))


def _effort(worthy: int, n: int, m: int) -> int:
    """The work that is worth it where about `worthy` pairs are: handing over costs time in proportion."""
    return _EFFORT * (worthy + 2 * n) + _EFFORT_DENSE * n * m + 1_000_000
