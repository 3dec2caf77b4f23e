"""`ObviouslyTruthful`: honesty at its worst is at least as good as any misreport at its best."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocation import Market
from mechanisms import Outcome
from proofs.claims.property import Violation
from proofs.grids.exhaustive import Menu
from proofs.grids.sweep import GridOutcomes, SweepResult
from proofs.misreports.identity import OtherReports
from proofs.misreports.misreport import Misreport


@dataclass(frozen=True, slots=True)
class ObviouslyTruthful:
    """Truth-telling is obviously dominant in the sealed-bid game itself (Li 2017, definition of obvious dominance).

    All bidders report at once, so each has one information set and leaves the path of honesty at it: what honesty
    yields against the worst reports of the others must be no less than what a misreport yields against the best ones.
    This speaks of the direct mechanism played as it stands. A rule that fails may still be obviously truthful when its
    bidders are asked one after another, as a serial dictatorship is.
    """

    name: ClassVar[str] = "obviously-truthful"

    def compare(self, truth: Market, misreport: OtherReports, honest: Outcome, deviating: Outcome) -> Violation | None:
        """By how much the misreport there beats honesty here; `truth` has the deviator's true values for both."""
        bidder = misreport.misreport.bidder
        mine = truth.requests_of(bidder)
        if misreport.misreport.rows == Misreport.of(bidder, truth.values[mine]).rows:
            return None
        here, there = honest.bidder_utilities(truth)[bidder], deviating.bidder_utilities(truth)[bidder]
        if there <= here:
            return None
        true = Misreport.of(bidder, truth.values[mine])
        return Violation(there - here, f"{true}, the truth, and ends with {here}; {misreport}: {there}")

    def sweep(self, played: GridOutcomes) -> SweepResult:
        """Every type against every misreport of every bidder, with the others at their worst and at their best."""
        grid, worst = played.grid, SweepResult(0)
        for bidder in range(grid.bidders):
            menu = Menu.of(played.table, grid, bidder)
            own = np.arange(grid.sizes[bidder])
            utilities = menu.values[own, menu.options] - menu.payments
            floor, worst_others = utilities.min(axis=0), utilities.argmin(axis=0)
            for true in own.tolist():
                earned = menu.values[true][menu.options] - menu.payments
                earned[:, true] = floor[true]
                others, report = np.unravel_index(int(earned.argmax()), earned.shape)
                gain = int(earned[others, report] - floor[true])
                if gain > worst.worst:
                    truth = grid.market(int(menu.profiles[worst_others[true], true]))
                    elsewhere = grid.market(int(menu.profiles[others, report]))
                    misreport = Misreport.of(bidder, grid.types(bidder)[report])
                    worst = SweepResult(0, gain, truth, _among(misreport, elsewhere, private=bool(grid.agent_types)))
        cases = sum(grid.sizes[bidder] * (grid.sizes[bidder] - 1) for bidder in range(grid.bidders))
        return SweepResult(cases, worst.worst, worst.truth, worst.deviation)


def _among(misreport: Misreport, others: Market, *, private: bool) -> OtherReports:
    """The misreport in the market of the others; agents are among them where their terms are `private`."""
    values = tuple(map(tuple, others.values.tolist()))
    if not private:
        return OtherReports(misreport, values)
    return OtherReports(misreport, values, tuple(map(tuple, others.costs.tolist())), tuple(others.capacities.tolist()))
