"""Designs for one's own goal, constraints and prior: checked by known optima and by a Bayesian audit."""

from fractions import Fraction

import pytest

from allocation import Allocation, Market
from mechanisms import Prior
from proofs import AuditError, Grid, audit, design
from proofs.payments.goals import AtLeast, Goal
from proofs.properties.bayesian import BayesianTruthful, InterimRational

pytestmark = pytest.mark.usefixtures("replayed_here")

ONE, PAIR = Grid(1, 1, range(4)), Grid(2, 1, (1, 2))


@pytest.mark.parametrize(("word", "goal"), [("revenue", Goal(cost=-1, charge=1)), ("welfare", Goal(value=1, cost=-1))])
def test_words_are_goals(word: str, goal: Goal) -> None:
    grid = Grid(2, 1, range(3), costs=1)
    word_value = design(grid, "revenue" if word == "revenue" else "welfare", no_deficit=True).value
    assert design(grid, goal, no_deficit=True).value == word_value
    half = Goal(Fraction(goal.value) / 3, Fraction(goal.cost) / 3, Fraction(goal.charge) / 3)  # type: ignore[arg-type]
    assert design(grid, half, no_deficit=True).value == word_value / 3


def test_a_function_of_the_allocation_counts_by_share() -> None:
    def idle(market: Market, allocation: Allocation) -> Fraction:
        return Fraction(int((~allocation.served).sum()), 2)

    assert design(ONE, Goal(allocation=idle), no_deficit=True).value == Fraction(1, 2)
    served = AtLeast(
        Goal(allocation=lambda market, allocation: int(allocation.served.sum())), Fraction(1, 3), "average"
    )
    assert design(ONE, Goal(allocation=idle), no_deficit=True, constraints=[served]).value == Fraction(1, 3)


def test_constraints_hold_and_cost_something() -> None:
    best = design(ONE, "revenue", constraints=[AtLeast(Goal(charge=-1), -1)])
    assert best.value == Fraction(3, 4) < design(ONE, "revenue").value
    with pytest.raises(AuditError, match="infeasible"):
        design(ONE, "revenue", constraints=[AtLeast(Goal(charge=1), 5)])


def test_correlated_types_leave_nothing_to_bidders() -> None:
    # Cremer and McLean 1988: with correlated types the auctioneer takes the whole welfare, interim.
    weights = [3, 1, 1, 3]
    prior = Prior.over([PAIR.market(profile) for profile in range(4)], weights)
    taken = design(PAIR, "revenue", prior=prior, truthful="bayesian", deterministic=True)
    assert taken.value == Fraction(3 * 1 + 2 + 2 + 3 * 2, 8) > design(PAIR, "revenue", prior=prior).value
    fine = Prior.over([taken.grid.market(profile) for profile in range(4)], weights)
    report = audit(
        taken.mechanism, taken.grid, [BayesianTruthful(fine), InterimRational(fine), "individually-rational"]
    )
    assert report["bayesian-truthful"] and report["interim-rational"] and not report["individually-rational"]


def test_independent_types_earn_what_dominant_strategies_earn() -> None:
    # Myerson 1981: with one good and independent types nothing is lost by dominant strategies.
    grid = Grid(2, 1, range(3))
    assert design(grid, "revenue", truthful="bayesian").value == design(grid, "revenue").value


def test_questions_without_sense_are_refused() -> None:
    for wrong in ({"value": 0.5}, {"cost": True}, {"charge": (1, 0.1)}):
        with pytest.raises(AuditError, match="not exact"):
            Goal(**wrong)  # type: ignore[arg-type]
    with pytest.raises(AuditError, match="one each"):
        design(PAIR, Goal(charge=(1, 1, 1)))
    with pytest.raises(AuditError, match="always or average"):
        AtLeast(Goal(), 0, "sometimes")  # type: ignore[arg-type]
    with pytest.raises(AuditError, match="dominant or bayesian"):
        design(ONE, truthful="maybe")  # type: ignore[arg-type]
    with pytest.raises(AuditError, match="not on"):
        design(ONE, prior=Prior.over([Grid(1, 1, [9]).market(0)]))
