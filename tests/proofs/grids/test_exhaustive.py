"""The menu engine against the definition, on mechanisms of every kind."""

import numpy as np
import pytest

from allocation import Allocation, BruteForce, Greedy, Market, MinCostFlow
from mechanisms import VCG, DirectMechanism, Mechanism, Outcome, PayAsBid, Payments
from proofs import AuditError, Grid, Status, Truthful, audit
from proofs.grids.exhaustive import regrets
from tests.proofs.helpers import examined, worst_gain
from tests.proofs.rules import SPOILED, Dice, Dictators, Forgetful, Overbooked, PerRequest, Spoiled, Whisper

SQUARE = Grid(bidders=2, agents=2, values=range(3))


def menu(mechanism: DirectMechanism, grid: Grid) -> tuple[int, int]:
    finding = examined(mechanism, grid, [Truthful()])["truthful"]
    if finding.counterexample is not None:
        assert finding.counterexample.replay(mechanism) == finding.worst
    assert (finding.status is Status.REFUTED) == (finding.worst > 0)
    return finding.worst, finding.cases


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "grid",
    [
        Grid(2, 2, range(2)),
        Grid(3, 1, (-1, 0, 2), capacities=2),
        Grid(2, 1, (0, 3), owners=(0, 1, 0), capacities=2),
        Grid(1, 2, (0, 4), requests_per_bidder=2),
    ],
    ids=str,
)
def test_random_mechanisms_have_the_worst_gain_of_the_definition(seed: int, grid: Grid) -> None:
    assert menu(Dice(seed), grid) == worst_gain(Dice(seed), grid)


@pytest.mark.parametrize(
    "mechanism",
    [
        Mechanism(MinCostFlow(), VCG()),
        Mechanism(MinCostFlow(), PayAsBid()),
        Mechanism(Greedy(), VCG()),
        Mechanism(Greedy(), PayAsBid()),
        Dictators(),
        Whisper(Mechanism(Greedy(), VCG())),
        Spoiled("half the externality"),
        Spoiled("rebate"),
    ],
    ids=str,
)
def test_honest_and_broken_rules_have_the_worst_gain_of_the_definition(mechanism: DirectMechanism) -> None:
    assert menu(mechanism, SQUARE) == worst_gain(mechanism, SQUARE)


def test_bidders_of_several_requests_have_the_worst_gain_of_the_definition() -> None:
    grid = Grid(bidders=2, agents=2, values=range(2), owners=(0, 1, 0))
    for rule in (VCG(), PerRequest()):
        mechanism = Mechanism(MinCostFlow(), rule)
        assert menu(mechanism, grid) == worst_gain(mechanism, grid)


def test_regrets_of_a_menu_by_hand() -> None:
    options = np.array([[0, 1, 1]])
    payments = np.array([[0, 5, 3]])
    worth = np.array([[0, 4], [0, 4], [0, 9]])
    assert regrets(options, payments, worth).tolist() == [[1, 2, 0]]


@pytest.mark.parametrize("how", SPOILED)
def test_every_spoiled_rule_is_caught(how: str) -> None:
    grid = Grid(bidders=2, agents=2, values=range(4), costs=(0, 1))
    assert Status.REFUTED in {finding.status for finding in examined(Spoiled(how), grid).values()}


@pytest.mark.parametrize(
    "grid",
    [
        Grid(2, 2, range(3), costs=[[0, 1], [2, 0]], capacities=(1, 0)),
        Grid(3, 1, range(5), costs=1, capacities=2),
        Grid(2, 3, range(2), feasible=[[True, False, True], [True, True, False]]),
        Grid(2, 2, (-2, 0, 3), costs=-1),
        Grid(2, 1, range(3), requests_per_bidder=2, capacities=3, costs=1),
        Grid(2, 2, range(2), owners=(1, 0, 1)),
        Grid(1, 1, (0,)),
        Grid(2, 1, (0, 2**40)),
    ],
    ids=str,
)
@pytest.mark.parametrize("allocator", [MinCostFlow(), BruteForce()], ids=lambda a: type(a).__name__)
def test_the_right_rule_is_never_refuted(grid: Grid, allocator: MinCostFlow | BruteForce) -> None:
    report = examined(Mechanism(allocator, VCG()), grid)
    names = ["truthful", "individually-rational", "efficient"]
    if np.min(grid.template.costs) >= 0:
        names.append("no-deficit")
    assert [name for name in names if report[name].status is Status.REFUTED] == []
    assert report["truthful"].status is (Status.VERIFIED if report["truthful"].cases else Status.UNKNOWN)


def test_a_crowd_without_choices_is_one_profile() -> None:
    report = examined(Mechanism(MinCostFlow(), VCG()), Grid(70, 1, (3,), capacities=9))
    assert (report["truthful"].cases, report["efficient"].cases) == (0, 1)
    assert (report["truthful"].status, report["efficient"].status) == (Status.UNKNOWN, Status.VERIFIED)


def test_a_mechanism_with_a_memory_is_refused() -> None:
    with pytest.raises(AuditError, match=r"Forgetful answers Market.* differently"):
        audit(Forgetful(), SQUARE)


def test_an_infeasible_mechanism_is_refused() -> None:
    with pytest.raises(AuditError, match=r"Overbooked is infeasible on Market.*capacity is 1"):
        audit(Overbooked(), SQUARE)


def test_payments_that_could_overflow_are_refused() -> None:
    class Astronomical:
        def run(self, market: Market) -> Outcome:
            return Outcome(market, Allocation([-1, -1]), Payments(np.array([2**62, -(2**62)]), np.zeros(2, int)))

    with pytest.raises(AuditError, match="rescale"):
        audit(Astronomical(), SQUARE)
