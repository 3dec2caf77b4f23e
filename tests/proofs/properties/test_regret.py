"""A claim of a stranger's that says who may misreport, and how much is allowed, is examined like those that ship."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from allocation import Market, MinCostFlow
from mechanisms import VCG, Mechanism, Outcome, PayAsBid
from proofs import AuditError, Grid, Sample, Status, Truthful, Violation, audit
from proofs.claims.property import Players, RegretProperty, gain_of
from proofs.misreports.coalition import AgentMisreport
from proofs.misreports.misreport import Misreport
from proofs.samples.guided_search import Guided

FIRST_PRICE, EXACT = Mechanism(MinCostFlow(), PayAsBid()), Mechanism(MinCostFlow(), VCG())


@dataclass(frozen=True)
class OnlyThese:
    """Nobody of `who` gains more than `slack`."""

    who: tuple[int, ...]
    slack: int | None = None
    name: ClassVar[str] = "only-these"

    def players(self, scope: Players) -> Sequence[int]:
        return self.who

    def compare(
        self, truth: Market, misreport: Misreport | AgentMisreport, honest: Outcome, deviating: Outcome
    ) -> Violation | None:
        gain = gain_of(truth, misreport, honest, deviating)
        return Violation(gain, str(misreport)) if gain is not None and gain > (self.slack or 0) else None


@pytest.mark.usefixtures("replayed_here")
@pytest.mark.parametrize(("ties", "most"), [("first", 1), ("all", 2)])
def test_only_the_players_named_are_looked_at_and_only_beyond_the_slack(ties: str, most: int) -> None:
    # Bidder 1 may not be served. Bidder 0 shades; down to 0 where a tie with staying out is won.
    grid = Grid(bidders=2, agents=1, values=range(3), feasible=[[True], [False]], ties=ties)
    assert isinstance(OnlyThese((0,)), RegretProperty)
    other, allowed, first, truthful = (
        audit(FIRST_PRICE, grid, [prop])[prop.name]
        for prop in (OnlyThese((1,)), OnlyThese((0,), 9), OnlyThese((0,)), Truthful())
    )
    assert other and "worst regret" not in other.note
    assert allowed and f"worst regret on the scope: {most}" in allowed.note
    assert first.worst == truthful.worst == most and first.counterexample is not None
    assert first.counterexample.truth.shape == (1, 1)


@pytest.mark.usefixtures("replayed_here")
def test_agents_are_looked_at_where_their_terms_are_private() -> None:
    grid = Grid(bidders=1, agents=1, values=range(3), private_costs=range(3))
    # Agents are paid the cost that they report.
    assert not audit(EXACT, grid, [OnlyThese((1,))])["only-these"]
    assert audit(EXACT, grid, [OnlyThese((0,))])["only-these"]
    with pytest.raises(AuditError, match="only-these: costs and capacities are public"):
        audit(EXACT, Grid(bidders=1, agents=1), [OnlyThese((1,))])


@pytest.mark.usefixtures("replayed_here")
def test_samples_try_the_players_named_alone() -> None:
    sample = Sample(bidders=3, agents=2, values=(0, 50), draws=20, private_costs=(0, 5))
    for engines in ({}, {"engines": [Guided()]}):
        found = audit(FIRST_PRICE, sample, [OnlyThese((2,))], **engines)["only-these"]  # type: ignore[arg-type]
        assert found.status is Status.REFUTED and found.counterexample is not None
        agents = audit(EXACT, sample, [OnlyThese((3, 4))], **engines)["only-these"]  # type: ignore[arg-type]
        assert agents.cases > 0
    truth = Market(np.array([[5]]), [[0]], [1])
    overfull = AgentMisreport(0, (0,), 3)
    assert gain_of(truth, overfull, FIRST_PRICE.run(truth), FIRST_PRICE.run(overfull.applied(truth))) == 0
