"""What each bidder of a round would have gained by another report: a grid around the one they made.

All their requests are reported otherwise together: worth, delay cost and stake times each of some factors, or a worth
of their own where it was nothing. Odds of keeping a deadline are kept for the deadline as stated alone, so that other
deadlines are not tried. Where values are kept and not what they follow from, their rows are scaled.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from allocation.money import MAX_AMOUNT, Money
from mechanisms import DirectMechanism, Mechanism, Outcomes
from mechanisms.mechanism import run_each
from runtime.referees.kept import Auctioned, Kept
from runtime.referees.verdict import Fault

Requests = NDArray[np.intp]

WORTHS = (0.0, 0.5, 0.8, 0.95, 1.05, 1.25, 2.0, 10.0)
DELAYS = (0.0, 0.5, 1.0, 2.0)
#: A stake counts with certainty: it is scaled as the worth is, and left as it was.
STAKES = (False, True)


def check_misreports(kept: Kept, mechanism: DirectMechanism, where: str) -> tuple[int, list[Fault]]:
    """How many misreports were tried on a round, and those that pay."""
    auction = kept.auction
    assert auction is not None
    market, tried, faults = auction.priced, 0, []
    for number, name in enumerate(dict.fromkeys(kept.bidders)):
        mine = np.flatnonzero(market.bidders == number)
        tables, reports = _tables(kept, auction, mine)
        outcomes = _run(mechanism, tables, auction)
        gains = _utilities(auction, outcomes, mine)
        tried += len(reports)
        best = int(gains[1:].argmax()) + 1
        if gains[best] > gains[0]:
            said = f"bidder {name} would gain {gains[best] - gains[0]} micro-units by {reports[best - 1]}"
            faults.append(Fault("misreport", where, said))
    return tried, faults


def _tables(kept: Kept, auction: Auctioned, mine: Requests) -> tuple[Money, list[str]]:
    """(1 + R, N, C) values: as stated, then under each report of the bidder whose requests are `mine`; the reports."""
    values, basis = auction.market.values, auction.basis
    if basis is None:
        factors = WORTHS
        tables = np.repeat(values[None], 1 + len(factors), axis=0)
        for k, factor in enumerate(factors, 1):
            tables[k, mine] = np.clip(np.rint(values[mine] * factor), -MAX_AMOUNT, MAX_AMOUNT).astype(np.int64)
        return tables, [f"values times {factor:g}" for factor in factors]
    worth, delay, _, stake = kept.stated.T
    grid = [(a, b, c) for a, b, c in product(WORTHS, DELAYS, STAKES if stake[mine].any() else (False,))]
    reported = np.repeat(np.stack([worth, delay, stake])[None], 1 + len(grid), axis=0)
    for k, (a, b, scaled) in enumerate(grid, 1):
        # Who stated no worth may state one credit for each, and more.
        reported[k, 0, mine] = np.where(worth[mine] > 0, worth[mine] * a, a)
        reported[k, 1, mine] = delay[mine] * b
        reported[k, 2, mine] = stake[mine] * (a if scaled else 1.0)
    told = [f"worth times {a:g}, delay cost times {b:g}{', stake too' if c else ''}" for a, b, c in grid]
    return basis.values(reported[:, 0], reported[:, 1], reported[:, 2]), told


def _run(mechanism: DirectMechanism, tables: Money, auction: Auctioned) -> Outcomes:
    template = auction.priced
    return (
        mechanism.run_many(tables, template)
        if isinstance(mechanism, Mechanism)
        else run_each(mechanism, tables, template)
    )


def _utilities(auction: Auctioned, outcomes: Outcomes, mine: Requests) -> Money:
    """(1 + R,) what the bidder has of it by the values that they stated."""
    agents = outcomes.agents[:, mine]
    worth = auction.market.values[mine[None], np.maximum(agents, 0)]
    gains: Money = (np.where(agents >= 0, worth, 0) - outcomes.charges[:, mine]).sum(axis=1)
    return gains
