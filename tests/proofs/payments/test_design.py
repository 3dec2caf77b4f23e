"""Designed mechanisms: exact, optimal by hand-made oracles, and audited again by the menu engine."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from allocation import Greedy, MinCostFlow, Random
from mechanisms import VCG, Mechanism
from proofs import AuditError, Grid, Status, audit, audit_lotteries, design
from proofs.payments.design import Design, DesignedMechanism
from proofs.payments.exact_programs import Program, Row, solved_exactly
from proofs.payments.supporting_prices import SupportingPrices

pytestmark = pytest.mark.usefixtures("replayed_here")

SQUARE = Grid(bidders=2, agents=2, values=range(3))
PROMISED = ["truthful", "individually-rational"]

#: One bidder, two agents, and a prior under which selling lots earns more than any menu of sure things.
LUCKY, ODDS = Grid(bidders=1, agents=2, values=(1, 2, 4)), [2, 2, 4, 3, 3, 0, 1, 4, 1]


def average(design: Design, rule: VCG | SupportingPrices) -> Fraction:
    """Mean surplus of the auctioneer under a rule over MinCostFlow, in micro-units."""
    surplus = [
        Mechanism(MinCostFlow(), rule).run(design.grid.market(profile)).surplus
        for profile in range(design.grid.profiles)
    ]
    return Fraction(sum(surplus), len(surplus))


@pytest.mark.parametrize("solver", ["pulp", "cvxpy"])
@pytest.mark.parametrize("bidders", [1, 2])
def test_revenue_of_one_slot_is_what_virtual_values_say(solver: str, bidders: int) -> None:
    # Myerson 1981 for values 0..3, uniform: the virtual value of v is 2 v - 3, and the best positive one wins.
    grid = Grid(bidders, 1, range(4))
    virtual = [max(0, 2 * int(grid.market(profile).values.max()) - 3) for profile in range(grid.profiles)]
    best = design(grid, "revenue", solver="pulp" if solver == "pulp" else "cvxpy")
    assert best.value == Fraction(sum(virtual), grid.profiles) and best.proved
    assert audit(best.mechanism, best.grid, [*PROMISED, "no-deficit"]).passed


def test_both_front_ends_agree_at_two_by_two() -> None:
    first, second = design(SQUARE), design(SQUARE, solver="cvxpy")
    assert first.value == second.value == Fraction(164, 81)
    for best in (first, second):
        if best.deterministic:
            assert audit(best.mechanism, best.grid, PROMISED).passed


def test_the_most_welfare_is_the_optimum_and_needs_no_deficit() -> None:
    grid = Grid(2, 1, range(4), costs=1)
    best = design(grid, "welfare", no_deficit=True)
    weights = [max(0, int(grid.market(profile).values.max()) - 1) for profile in range(grid.profiles)]
    assert best.value == Fraction(sum(weights), grid.profiles)
    assert audit(best.mechanism, best.grid).passed


def test_the_most_revenue_over_a_given_allocator_is_that_of_the_highest_prices() -> None:
    best = design(SQUARE, "revenue", allocator=MinCostFlow())
    assert best.unit == 1 and best.deterministic
    assert best.value == average(best, SupportingPrices(MinCostFlow(), best.grid, "highest")) > average(best, VCG())
    rule = Mechanism(MinCostFlow(), best.mechanism)
    assert audit(rule, best.grid).passed


def test_bidders_may_keep_what_the_house_does_not_need() -> None:
    grid = Grid(2, 1, range(3), costs=1)
    best = design(grid, "utility", allocator=MinCostFlow(), no_deficit=True)
    report = audit(best.mechanism, best.grid)
    assert report.passed
    vcg = [sum(Mechanism(MinCostFlow(), VCG()).run(grid.market(p)).bidder_utilities().values()) for p in range(9)]
    assert best.value >= Fraction(sum(vcg), 9)


def test_serving_at_a_loss_leaves_a_least_deficit() -> None:
    best = design(Grid(2, 1, range(3), costs=2), "deficit", allocator=Random(0))
    # Somebody is served whatever is said, so no report moves what they pay, and their value may be 0.
    assert best.value == -2
    report = audit(best.mechanism, best.grid, [*PROMISED, "no-deficit"])
    assert report["no-deficit"].status is Status.REFUTED and report["no-deficit"].worst == 2
    assert report["truthful"] and report["individually-rational"]


def test_lots_earn_more_than_certainty_and_keep_every_promise_exactly() -> None:
    probabilities = design(LUCKY, prior=ODDS)
    assert probabilities.value == Fraction(31, 15) and probabilities.unit == 3 and not probabilities.deterministic
    types, owned = LUCKY.types(0)[:, 0], [[row.index(share) for share in row if share] for row in probabilities.shares]
    assert any(len(outcomes) > 1 for outcomes in owned)
    worth = np.pad(types, ((0, 0), (0, 1)))[:, probabilities.outcomes[:, 0]]
    utility = [
        [
            sum(share * int(value) for share, value in zip(row, true, strict=True))
            - Fraction(int(paid), probabilities.unit)
            for row, (paid,) in zip(probabilities.shares, probabilities.charges, strict=True)
        ]
        for true in worth
    ]
    for true, row in enumerate(utility):
        assert row[true] == max(row) and row[true] >= 0
    with pytest.raises(AuditError, match="draws lots in profile"):
        _ = probabilities.mechanism
    report = audit_lotteries(probabilities.lottery_mechanism, probabilities.grid)
    assert report["truthful-in-expectation"].cases == 72 and report["truthful-in-expectation"]
    assert report["individually-rational-in-expectation"] and report["no-deficit-in-every-draw"]
    surplus = [
        weight * probabilities.lottery_mechanism.draw(probabilities.grid.market(profile)).surplus
        for profile, weight in enumerate(ODDS)
    ]
    assert sum(surplus) / (sum(ODDS) * probabilities.unit) == probabilities.value


def test_a_designed_lottery_with_another_price_is_refuted() -> None:
    found = design(LUCKY, prior=ODDS)
    for profile in range(LUCKY.profiles):
        cheap = found.charges.copy()
        cheap[profile] -= 100
        report = audit_lotteries(
            dataclasses.replace(found.lottery_mechanism, charges=cheap), found.grid, ["truthful-in-expectation"]
        )
        assert report["truthful-in-expectation"].status is Status.REFUTED


@pytest.mark.parametrize("solver", ["pulp", "cvxpy"])
def test_a_deterministic_design_runs_and_says_that_its_optimality_is_not_proved(solver: str) -> None:
    sure = design(LUCKY, prior=ODDS, deterministic=True, solver="pulp" if solver == "pulp" else "cvxpy")
    assert sure.value == 2 and not sure.proved
    assert audit(sure.mechanism, sure.grid, PROMISED).passed


def test_owners_of_two_requests_are_one_player() -> None:
    grid = Grid(2, 1, range(2), capacities=2, requests_per_bidder=2)
    best = design(grid, "revenue", allocator=MinCostFlow())
    assert audit(best.mechanism, best.grid, PROMISED).passed


def test_a_wrong_answer_of_a_solver_cannot_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(1, {0: 1}, (Row({0: 2}, 1),), frozenset({0}))
    assert solved_exactly(program, "pulp") == [Fraction(1, 2)]
    monkeypatch.setattr(
        "proofs.payments.exact_programs._FRONT_ENDS", {"pulp": lambda asked, integral: [0.75] * asked.size}
    )
    with pytest.raises(AuditError, match="could not be made exact"):
        solved_exactly(program, "pulp")
    monkeypatch.setattr(
        "proofs.payments.exact_programs._FRONT_ENDS", {"pulp": lambda asked, integral: [0.0 if asked is program else 1]}
    )
    with pytest.raises(AuditError, match="not optimal"):
        solved_exactly(program, "pulp")


def test_designs_refuse_other_questions() -> None:
    best = design(Grid(1, 1, range(3)))
    with pytest.raises(AuditError, match="off"):
        best.mechanism.run(Grid(1, 1, (7,)).market(0))
    free = DesignedMechanism(best.grid, np.full((3, 1), -1), np.zeros((3, 1), np.int64))
    with pytest.raises(AuditError, match="payments were designed for"):
        Mechanism(MinCostFlow(), free).run(best.grid.market(2))
    with pytest.raises(AuditError, match="expected welfare, revenue"):
        design(SQUARE, "fame")  # type: ignore[arg-type]
    with pytest.raises(AuditError, match="expected 81 integers"):
        design(SQUARE, prior=[1, 2])
    with pytest.raises(AuditError, match="no integers"):
        design(SQUARE, prior=[0.5] * 81)  # type: ignore[list-item]
    with pytest.raises(AuditError, match="private agents"):
        design(Grid(1, 1, range(2), private_costs=range(2)))
    with pytest.raises(AuditError, match="exceed 50000 variables"):
        design(Grid(3, 2, range(4)))
    with pytest.raises(AuditError, match="expected one of pulp, cvxpy"):
        design(SQUARE, solver="abacus")  # type: ignore[arg-type]
    with pytest.raises(AuditError, match="unbounded"):
        design(Grid(1, 1, range(2)), "utility")
    with pytest.raises(AuditError, match="infeasible"):
        design(Grid(2, 2, range(4)), "revenue", allocator=Greedy())
