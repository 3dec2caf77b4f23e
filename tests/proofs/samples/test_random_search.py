import numpy as np
import pytest

from allocation import Greedy, MinCostFlow
from mechanisms import VCG, Mechanism, PayAsBid
from proofs import AuditError, Sample, Status, Truthful, audit, shrink
from proofs.misreports.misreport import tempting_misreports
from tests.proofs.helpers import examined
from tests.proofs.rules import EXACT, Forgetful, PerRequest, Spoiled

FIRST_PRICE = Mechanism(MinCostFlow(), PayAsBid())
LARGE = Sample(bidders=10, agents=4, values=(0, 1000), capacities=2, draws=8)


def test_sampling_never_refutes_vcg_and_never_verifies_it() -> None:
    for sample in (LARGE, Sample(bidders=4, agents=3, requests_per_bidder=2, costs=(5, 100, 0), draws=6, seed=2)):
        report = audit(EXACT, sample)
        assert {finding.status for finding in report.findings} == {Status.UNKNOWN}
        assert not report.passed and not report.refuted
        assert report["truthful"].cases > 100 and report["efficient"].cases == sample.draws


@pytest.mark.parametrize("rule", [FIRST_PRICE, Spoiled("half the externality")], ids=str)
def test_sampling_refutes_rules_that_reward_misreports(rule: Mechanism | Spoiled) -> None:
    scope = Sample(bidders=6, agents=2, draws=30, capacities=1)
    finding = examined(rule, scope, [Truthful()])["truthful"]
    assert finding.status is Status.REFUTED and finding.counterexample is not None
    assert finding.counterexample.replay(rule) == finding.worst


def test_sampling_refutes_greedy_and_shrinks_it_to_two_by_two() -> None:
    greedy = Mechanism(Greedy(), VCG())
    found = examined(greedy, Sample(bidders=8, agents=4, draws=60))["truthful"].counterexample
    assert found is not None and found.truth.shape == (8, 4)
    assert shrink(found, greedy).truth.shape == (2, 2)


def test_sampling_refutes_prices_per_request_for_owners_of_two() -> None:
    scope = Sample(bidders=3, agents=2, requests_per_bidder=2, draws=40)
    finding = examined(Mechanism(MinCostFlow(), PerRequest()), scope, [Truthful()])["truthful"]
    assert finding.status is Status.REFUTED


def test_samples_are_repeatable() -> None:
    first, second = (examined(FIRST_PRICE, LARGE, [Truthful()])["truthful"] for _ in range(2))
    assert (first.cases, first.worst) == (second.cases, second.worst)


def test_a_mechanism_with_a_memory_is_refused() -> None:
    with pytest.raises(AuditError, match="differently"):
        audit(Forgetful(), Sample(bidders=3, agents=2, draws=3))


def test_misreports_stay_within_the_values_of_the_scope() -> None:
    truth = Sample(values=(10, 20)).market(0)
    misreports = list(tempting_misreports(np.random.default_rng(0), truth, 3, 10, 20))
    assert len(misreports) > 20
    assert all(10 <= value <= 20 for misreport in misreports for row in misreport.rows for value in row)
