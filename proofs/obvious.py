"""`ObviouslyTruthful`: honesty at its worst is at least as good as any lie at its best."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocation import Market
from mechanisms import Outcome
from proofs.appearances import Elsewhere
from proofs.lies import Lie
from proofs.menu import Menu
from proofs.played import Played, Sweep
from proofs.properties import Violation


@dataclass(frozen=True, slots=True)
class ObviouslyTruthful:
    """Truth-telling is obviously dominant in the sealed-bid game itself (Li 2017, definition of obvious dominance).

    All bidders report at once, so each has one information set and leaves the path of honesty at it: what honesty
    yields against the worst reports of the others must be no less than what a lie yields against the best ones. This
    speaks of the direct mechanism played as it stands. A rule that fails may still be obviously truthful when its
    bidders are asked one after another, as a serial dictatorship is.
    """

    name: ClassVar[str] = "obviously-truthful"

    def compare(self, truth: Market, lie: Elsewhere, honest: Outcome, lying: Outcome) -> Violation | None:
        """By how much the lie there beats honesty here; the liar's true values are those of `truth` in both."""
        bidder = lie.lie.bidder
        mine = truth.requests_of(bidder)
        if lie.lie.rows == Lie.of(bidder, truth.values[mine]).rows:
            return None
        here, there = honest.bidder_utilities(truth)[bidder], lying.bidder_utilities(truth)[bidder]
        if there <= here:
            return None
        true = Lie.of(bidder, truth.values[mine])
        return Violation(there - here, f"{true}, the truth, and ends with {here}; {lie}: {there}")

    def sweep(self, played: Played) -> Sweep:
        """Every type against every lie of every bidder, with the others at their worst and at their best."""
        grid, worst = played.grid, Sweep(0)
        for bidder in range(grid.bidders):
            menu = Menu.of(played.table, grid, bidder)
            own = np.arange(grid.sizes[bidder])
            utilities = menu.worth[own, menu.options] - menu.payments
            floor, worst_others = utilities.min(axis=0), utilities.argmin(axis=0)
            for true in own.tolist():
                earned = menu.worth[true][menu.options] - menu.payments
                earned[:, true] = floor[true]
                others, report = np.unravel_index(int(earned.argmax()), earned.shape)
                gain = int(earned[others, report] - floor[true])
                if gain > worst.worst:
                    truth = grid.market(menu.profile(int(worst_others[true]), true))
                    elsewhere = grid.market(menu.profile(int(others), int(report)))
                    lie = Lie.of(bidder, grid.types(bidder)[report])
                    worst = Sweep(0, gain, truth, _among(lie, elsewhere, private=bool(grid.agent_types)))
        cases = sum(grid.sizes[bidder] * (grid.sizes[bidder] - 1) for bidder in range(grid.bidders))
        return Sweep(cases, worst.worst, worst.truth, worst.deviation)


def _among(lie: Lie, others: Market, *, private: bool) -> Elsewhere:
    """The lie in the market of the others; agents are among them where their terms are `private`."""
    values = tuple(map(tuple, others.values.tolist()))
    if not private:
        return Elsewhere(lie, values)
    return Elsewhere(lie, values, tuple(map(tuple, others.costs.tolist())), tuple(others.capacities.tolist()))
