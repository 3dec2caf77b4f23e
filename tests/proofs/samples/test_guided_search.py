"""Hypothesis as a searcher: it meets coincidences that uniform draws do not, and says no more than it saw."""

from dataclasses import dataclass

import pytest

from allocation import Greedy, Market, MinCostFlow
from mechanisms import VCG, DirectMechanism, Mechanism, Outcome, PayAsBid, Payments, TwoSidedVCG
from proofs import AuditError, Efficient, Finding, Grid, NoDeficit, Property, Sample, Status, Truthful, audit
from proofs.properties.agents import EpsilonTruthful, TruthfulAgents, TruthfulBoth
from proofs.samples.guided_search import Guided
from proofs.samples.random_search import Search
from tests.proofs.rules import EXACT, Forgetful

pytestmark = pytest.mark.usefixtures("replayed_here")

WIDE = Sample(bidders=4, agents=2, values=(0, 10**6), costs=1, draws=100, seed=3)


@dataclass(frozen=True)
class LavishToEquals:
    """Exact VCG, but where all reports are alike the auctioneer tips every agent."""

    def run(self, market: Market) -> Outcome:
        right = EXACT.run(market)
        alike = bool((market.values == market.values[:1, :1]).all())
        return Outcome(market, right.allocation, Payments(right.payments.charges, right.payments.receipts + alike))


def searched(mechanism: DirectMechanism, prop: Property, sample: Sample = WIDE) -> Finding:
    return audit(mechanism, sample, [prop], engines=[Guided()])[prop.name]


@pytest.mark.parametrize(
    ("mechanism", "prop"),
    [
        (Mechanism(MinCostFlow(), PayAsBid()), Truthful()),
        (Mechanism(MinCostFlow(), PayAsBid()), EpsilonTruthful(5)),
        (Mechanism(Greedy(), VCG()), Truthful()),
        (Mechanism(Greedy(), VCG()), Efficient()),
    ],
    ids=str,
)
def test_violations_are_found_and_replayed(mechanism: DirectMechanism, prop: Property) -> None:
    finding = searched(mechanism, prop)
    assert finding.status is Status.REFUTED and finding.counterexample is not None
    assert finding.counterexample.replay(mechanism) > 0
    assert finding.note == "guided by Hypothesis; replayed in a fresh process"


def test_coincidences_are_met_that_uniform_draws_miss() -> None:
    [uniform] = Search().examine(LavishToEquals(), WIDE, [NoDeficit()], lambda done, total: None)
    assert uniform.status is Status.UNKNOWN and searched(LavishToEquals(), NoDeficit()).status is Status.REFUTED


def test_agents_misreport_too() -> None:
    private = Sample(bidders=2, agents=2, values=(0, 50), private_costs=(0, 9), private_capacities=(0, 2), draws=60)
    assert searched(EXACT, TruthfulAgents(), private).status is Status.REFUTED
    for prop in (TruthfulAgents(), TruthfulBoth()):
        finding = searched(Mechanism(MinCostFlow(), TwoSidedVCG()), prop, private)
        assert finding.status is Status.UNKNOWN and finding.cases > 60


def test_nothing_found_proves_nothing() -> None:
    finding = searched(EXACT, Truthful())
    assert finding.status is Status.UNKNOWN and not finding
    assert "proves nothing beyond them" in finding.note and finding.cases > WIDE.draws


def test_the_same_seed_draws_the_same_cases() -> None:
    engine = Guided()
    one, two = (
        engine.examine(Mechanism(Greedy(), VCG()), WIDE, [Truthful()], lambda done, total: None)[0] for _ in range(2)
    )
    assert one.counterexample is not None and two.counterexample is not None
    assert one.counterexample.as_dict() == two.counterexample.as_dict() and one.cases == two.cases


def test_progress_ends_at_the_total() -> None:
    seen: list[tuple[int, int]] = []
    Guided().examine(EXACT, WIDE, [NoDeficit(), Efficient()], lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen) and seen[-1] == (200, 200)


def test_what_cannot_be_guided_is_refused() -> None:
    with pytest.raises(AuditError, match="no engine examines"):
        audit(EXACT, Grid(2, 1, range(2)), [Truthful()], engines=[Guided()])
    with pytest.raises(AuditError, match=r"Forgetful answers Market.* differently"):
        searched(Forgetful(), Truthful())
