"""Prices from bids: where requests are few per agent, for Newton's method has no curvature there to go by.

All bid with an increment, which ends wars of prices, in rounds of falling increments (the epsilon scaling of Bertsekas
1988). The first rounds are among small samples of the requests, and read all pairs. Between rounds all prices are
balanced: raised or lowered alike until demand fits.
"""

from collections.abc import Iterable
from contextlib import suppress

import numpy as np

from allocation.kernels.pairs.offers import best_offers, spread
from allocation.kernels.pairs.rows import Integers, Rows, sample, shape, worth
from allocation.kernels.pairs.shortlists import BudgetSpent, Shortlists, promise
from allocation.kernels.prices.auction import compete

#: What bids exceed indifference by, round by round: a share of how much more the best agent is worth than the mean. And
#: the share of the requests that bid, one per agent at least.
_INCREMENTS = (0.2, 0.05, 0.01, 0.002)
_SHARES = (0.25, 0.5, 1.0, 1.0)

#: The same among samples, and how many requests per agent these have.
_ROUGH = (0.3, 0.1)
_TIMES = (0.625, 1.25)

#: Bids for each request in each round; fewer where prices are balanced afterwards.
_BIDS = 30
_FEW_BIDS = 20

#: Increments that bids make up for soon: where all prices are further off they rise alike first.
_REACH = 32

#: Requests to a slot that an agent should be promising to.
_ENOUGH = 8


def increments(rows: Rows, shares: Iterable[float]) -> list[int]:
    """Shares of how much more its best agent is worth to a request than the mean, but at least 1."""
    unit = spread(rows)
    return [1 + int(share * unit) for share in shares]


def opening(rows: Rows, capacities: Integers) -> Integers:
    """Rough prices (M + 1,) from bids among small samples."""
    _, m = shape(rows)
    prices = np.zeros(m + 1, np.int64)
    balance(*sample(rows, capacities, m), prices)
    for step, times in zip(increments(rows, _ROUGH), _TIMES, strict=True):
        some, room = sample(rows, capacities, int(times * m))
        refine(some, room, prices, step)
    _entice(some, room, prices)
    return prices


def refine(rows: Rows, capacities: Integers, prices: Integers, step: int) -> None:
    """A round of bids from prices (M + 1,) that are nearly right, with increment `step`; they change in place."""
    _give_back(prices, step)
    _catch_up(rows, capacities, prices, step)
    _bid(rows, capacities, prices, step, _FEW_BIDS)
    balance(rows, capacities, prices)


def bid_up(rows: Rows, capacities: Integers, prices: Integers) -> None:
    """Let everybody bid anew from `prices` (M + 1,), in place, in rounds of falling increments."""
    n, m = shape(rows)
    steps = increments(rows, _INCREMENTS)
    _catch_up(rows, capacities, prices, steps[0])
    overshot = 0
    for step, share in zip(steps, _SHARES, strict=True):
        _give_back(prices, overshot)
        _bid(*sample(rows, capacities, max(m, int(share * n))), prices, step, _BIDS)
        overshot = step


def balance(rows: Rows, capacities: Integers, prices: Integers) -> None:
    """Raise or lower all `prices` (M + 1,) alike until as many requests want to be served as there is room for."""
    _lift(prices, _lacking(rows, capacities, prices))


def _catch_up(rows: Rows, capacities: Integers, prices: Integers, step: int) -> None:
    """Raise all `prices` alike to where demand fits, if bids of increment `step` would take long to get there."""
    if (rise := _lacking(rows, capacities, prices)) > _REACH * step:
        _lift(prices, rise)


def _lift(prices: Integers, rise: int) -> None:
    prices[1:] = np.maximum(prices[1:] + rise, 0)


def _lacking(rows: Rows, capacities: Integers, prices: Integers) -> int:
    """How much all `prices` (M + 1,) are to rise alike for no more to want to be served than there is room for.

    Less than 0 where they are to fall, but 0 where there is room for all.
    """
    excess = shape(rows)[0] - int(capacities.sum())
    return int(np.partition(best_offers(rows, prices), excess - 1)[excess - 1]) if excess > 0 else 0


def level(
    rows: Rows, capacities: Integers, prices: Integers, at: Integers, second: Integers, margins: Integers
) -> None:
    """Raise or lower all prices alike until as many want to be served as there is room for: Newton in one direction.

    Args:
        rows: N requests, M agents.
        capacities: (M,).
        prices: (M + 1,) of nodes; changed in place, as `at` and `margins` follow.
        at: (N,) a favourite node of each request.
        second: (N,) its second favourite.
        margins: (N,) how far the one is ahead of the other.
    """
    room = int(capacities.sum())
    wanting = np.flatnonzero(at)
    if wanting.size > room:
        gains = worth(rows, at)[wanting] - prices[at[wanting]]
        rise = np.partition(gains, gains.size - room - 1)[gains.size - room - 1]
        prices[1:] += rise
        margins[at == 0] += rise
        margins[wanting] = np.where(gains > rise, np.minimum(margins[wanting], gains - rise), rise - gains)
        at[wanting[gains <= rise]] = 0
    elif min(at.size, room) > wanting.size and (least := prices[1:].min()) > 0:
        staying = np.flatnonzero(at == 0)
        short = min(at.size, room) - wanting.size
        fall = min(least, np.partition(margins[staying], short - 1)[short - 1])
        prices[1:] -= fall
        tempted = staying[margins[staying] <= fall]
        at[tempted], margins[tempted] = second[tempted], 0
        margins[staying] = np.maximum(margins[staying] - fall, 0)


def _bid(rows: Rows, capacities: Integers, prices: Integers, step: int, bids: int) -> None:
    n, _ = shape(rows)
    nowhere, margins = np.full(n, -1), np.zeros(n, np.int64)
    compete(rows, capacities, prices, nowhere, margins, np.arange(n), n, step, bids * n)


def _give_back(prices: Integers, step: int) -> None:
    """Lower prices by twice what one bid may overshoot: where they are too high nobody comes to lower them."""
    prices[1:] = np.maximum(prices[1:] - 2 * step, 0)


def _entice(rows: Rows, capacities: Integers, prices: Integers) -> None:
    """Lower prices (M + 1,) of agents that are promising to too few, until they are second best to some."""
    n, _ = shape(rows)
    width = promise(rows, prices)
    with suppress(BudgetSpent):
        lists = Shortlists.near(rows.weights, prices, width)
        wanted = np.minimum(_ENOUGH * np.maximum(capacities, 1), n)
        for k in np.flatnonzero((lists.listed() < wanted) & (prices[1:] > 0)):
            offers = rows.weights[:, k] - lists.floor - width
            prices[k + 1] = max(0, min(prices[k + 1], np.partition(offers, n - wanted[k])[n - wanted[k]]))
