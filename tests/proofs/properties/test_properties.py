import numpy as np
import pytest

from allocation import Allocation, BruteForce, Market, MinCostFlow
from mechanisms import Outcome, Payments
from proofs import AuditError, Efficient, Finding, Grid, IndividuallyRational, NoDeficit, Status, Truthful, Violation
from proofs.claims.optimum import optimum
from proofs.claims.property import find_property
from tests.markets import random_market

MARKET = Market([[5, 3], [4, 1], [2, 2]], [[1, 0]] * 3, [1, 1], bidders=[0, 1, 1])


def outcome(agents: list[int], charges: list[int], receipts: list[int]) -> Outcome:
    return Outcome(MARKET, Allocation(np.array(agents)), Payments(np.array(charges), np.array(receipts)))


def test_the_optimum_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(1)
    for _ in range(150):
        market = random_market(rng, int(rng.integers(0, 6)), int(rng.integers(1, 4)))
        assert optimum(market) == market.welfare(BruteForce().allocate(market))


def test_the_optimum_of_a_large_market_is_proven_by_its_prices() -> None:
    market = random_market(np.random.default_rng(2), 40, 12)
    assert optimum(market) == market.welfare(MinCostFlow().allocate(market))


def test_rationality_names_the_greatest_loser_over_all_his_requests() -> None:
    assert IndividuallyRational().check(outcome([0, -1, 1], [5, 1, 1], [0, 0]), MARKET) is None
    found = IndividuallyRational().check(outcome([0, -1, 1], [6, 2, 2], [0, 0]), MARKET)
    assert found is not None and found.amount == 2 and found.text == "bidder 1 tells the truth and loses 2"


def test_deficits_are_what_the_house_pays_beyond_what_it_takes() -> None:
    assert NoDeficit().check(outcome([0, -1, 1], [1, 0, 0], [1, 0]), MARKET) is None
    found = NoDeficit().check(outcome([0, -1, 1], [1, 0, 0], [2, 2]), MARKET)
    assert found is not None and found.amount == 3


def test_efficiency_is_measured_in_missing_welfare() -> None:
    assert Efficient().check(outcome([1, 0, -1], [0, 0, 0], [0, 0]), MARKET) is None
    found = Efficient().check(outcome([-1, -1, 1], [0, 0, 0], [0, 0]), MARKET)
    assert found is not None and found.text == "welfare is 2, the optimum 6"


def test_a_violation_is_by_something() -> None:
    with pytest.raises(AuditError, match="return None where the property holds"):
        Violation(0, "all is well")


def test_only_refuted_findings_carry_a_counterexample() -> None:
    with pytest.raises(AuditError, match="REFUTED without a counterexample"):
        Finding(Truthful(), Status.REFUTED, Grid(), 1, 0.0)


def test_only_established_findings_are_true() -> None:
    assert Finding(Truthful(), Status.VERIFIED, Grid(), 1, 0.0)
    assert not Finding(Truthful(), Status.UNKNOWN, Grid(), 1, 0.0)


@pytest.mark.parametrize(
    "name", ["group-truthful(3)", "group-truthful(members=x)", "group-truthful(members=2", "truthful()x"]
)
def test_parameters_in_names_are_literals_with_names(name: str) -> None:
    with pytest.raises(AuditError, match=r"expected .*\(parameter=literal, \.\.\.\)"):
        find_property(name)


def test_parameters_may_stand_in_the_name() -> None:
    assert find_property("group-truthful(members=3, transfers=True)").name == "group-truthful(3, transfers)"
    assert find_property("truthful()").name == "truthful"
