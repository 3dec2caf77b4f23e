"""Option graphs against their definition, cycles as evidence, and the prices that come out, audited again."""

import subprocess
import sys

import numpy as np
import pytest

from allocation import Allocator, BruteForce, Greedy, Market, MinCostFlow, Random
from allocation.money import Money
from mechanisms import VCG, FirstCome, Mechanism, PayAsBid
from proofs import (
    AuditError,
    Grid,
    IndividuallyRational,
    ReplayError,
    Sample,
    Status,
    Truthful,
    audit,
    implementability,
    shrink,
)
from proofs.evidence.evidence import replay_fresh
from proofs.payments.cycle import Cycle
from proofs.payments.implementable import Options, WeaklyMonotone
from proofs.payments.supporting_prices import SupportingPrices
from tests.proofs.allocators import Against, Everybody, Fickle, MaxMin

SQUARE = Grid(bidders=2, agents=2, values=range(4))
COARSE = Grid(bidders=2, agents=2, values=range(3))
ROTATION = Against(MaxMin(), ((0, 1, 2), (1, 2, 0)))


def type_graph(chosen: Money, worth: Money) -> tuple[bool, bool]:
    """(weakly, cyclically monotone) by the definition: Bellman and Ford over types, edge by edge, in plain integers."""
    types = range(len(chosen))
    length = [[int(worth[t, chosen[t]] - worth[t, chosen[s]]) for t in types] for s in types]
    weakly = all(length[s][t] + length[t][s] >= 0 for s in types for t in types)
    distance = [0 for _ in types]
    for _ in types:
        distance = [min(distance[s] + length[s][t] for s in types) for t in types]
    settled = all(distance[s] + length[s][t] >= distance[t] for s in types for t in types)
    return weakly, settled


def test_option_graphs_agree_with_type_graphs_on_hundreds_of_random_tables() -> None:
    rng = np.random.default_rng(5)
    seen = {(True, True): 0, (False, False): 0}
    shapes = [
        Grid(1, 2, range(4)),
        Grid(1, 3, range(3)),
        Grid(1, 3, (0, 1, 5)),
        Grid(1, 2, range(2), capacities=2, owners=[0, 0]),
    ]
    for trial in range(800):
        grid = shapes[trial % len(shapes)]
        n, m = grid.template.shape
        bundles = rng.integers(-1, m, (4, n))
        types = np.pad(grid.types(0), ((0, 0), (0, 0), (0, 1)))
        worth = types[:, np.arange(n), bundles].sum(axis=2)
        # The favourite at random prices is implementable; a few answers changed make it nearly so, or not.
        chosen = (worth - rng.integers(0, 4, 4)).argmax(axis=1)
        spoiled = rng.random(len(chosen)) < rng.choice([0.0, 0.05, 0.2, 1.0])
        chosen[spoiled] = rng.integers(0, 4, int(spoiled.sum()))
        weak, cyclic = Options.of(bundles[chosen], grid, 0).broken
        expected = type_graph(chosen, worth)
        assert (not weak[0], not cyclic[0]) == expected
        seen[expected] += 1
    assert seen[True, True] > 150 and seen[False, False] > 150, seen


@pytest.mark.parametrize("allocator", [MinCostFlow(), BruteForce(), Random(3), FirstCome(), FirstCome(1)])
@pytest.mark.parametrize("which", ["lowest", "highest"])
def test_what_is_implementable_gets_prices_that_the_menu_engine_verifies(allocator: Allocator, which: str) -> None:
    grid = Grid(2, 2, range(3), costs=(0, 1))
    assert implementability(allocator, grid).status is Status.VERIFIED
    rule = SupportingPrices(allocator, grid, "lowest" if which == "lowest" else "highest")
    report = audit(Mechanism(allocator, rule), grid, [Truthful(), IndividuallyRational()])
    assert report.passed, str(report)


def test_greedy_fails_on_a_grid_and_a_coarser_grid_hides_it() -> None:
    coarse, fine = implementability("greedy", COARSE), implementability("greedy", SQUARE)
    assert coarse and (coarse.graphs, coarse.weak, coarse.cyclic) == (18, 0, 0)
    assert not fine and (fine.graphs, fine.weak, fine.cyclic) == (32, 7, 7)
    assert fine.cycle is not None and len(fine.cycle.types) == 2 and fine.note == "replayed in a fresh process"
    with pytest.raises(AuditError, match="no payments make Greedy truthful"):
        _ = SupportingPrices(Greedy(), SQUARE).tables


def test_on_a_grid_weak_monotonicity_is_not_enough() -> None:
    found = implementability(ROTATION, Grid(1, 3, range(3)))
    assert (found.graphs, found.weak, found.cyclic) == (1, 0, 1)
    assert found.cycle is not None and len(found.cycle.types) == 3 and found.cycle.amount == 1


def test_a_cycle_reads_in_two_lines_and_travels() -> None:
    cycle = implementability("greedy", SQUARE).cycle
    assert cycle is not None
    assert str(cycle).splitlines() == [
        "no payments help: if each of these types of bidder 0 reports as the next, together they gain 1, and payments "
        "cancel",
        "[3, 3] gets agent 0; [2, 1] gets agent 1; others report [[3, 0]], capacities 1,1, costs 0",
    ]
    again = Cycle.from_json(cycle.to_json())
    assert again.replay(Greedy()) == cycle.amount == eval(cycle.expression("greedy"))
    with pytest.raises(ReplayError, match="nothing fails now"):
        again.replay(MinCostFlow())
    with pytest.raises(ReplayError, match="fresh process says"):
        replay_fresh(again, Random())
    with pytest.raises(AuditError, match="not a cycle"):
        Cycle.from_json("{}")
    with pytest.raises(AuditError, match="at least 2 types"):
        Cycle.of(Greedy(), cycle.market, 0, [[[1, 2]]])


def test_cycles_shrink_and_stay_cycles() -> None:
    market = Market([[0, 0], [12, 1], [0, 1]], np.ones((3, 2), int), [1, 1])
    big = Cycle.of(Greedy(), market, 0, [[[13, 12]], [[9, 6]]])
    assert big is not None
    small = shrink(big, Greedy())
    assert small.simplicity < big.simplicity and small.replay(Greedy()) == small.amount
    assert small.market.shape == (2, 2) and not small.market.costs.any()


def test_expressions_run_in_a_fresh_interpreter() -> None:
    found = implementability(ROTATION, Grid(1, 3, range(3)))
    assert found.cycle is not None
    child = subprocess.run(
        [sys.executable, "-c", f"print({found.cycle.expression(ROTATION)})"], capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == "1"


@pytest.mark.parametrize(
    "grid", [Grid(2, 2, range(3), costs=[[0, 1]] * 2), Grid(3, 1, range(4)), Grid(2, 2, (0, 3, 4))]
)
def test_vcg_lies_between_the_lowest_and_the_highest_prices(grid: Grid) -> None:
    low, high = (SupportingPrices(MinCostFlow(), grid, "lowest"), SupportingPrices(MinCostFlow(), grid, "highest"))
    apart = 0
    for profile in range(grid.profiles):
        market = grid.market(profile)
        allocation = MinCostFlow().allocate(market)
        charges = [rule.charge(market, allocation, MinCostFlow()).charges for rule in (low, VCG(), high)]
        assert (charges[0] <= charges[1]).all() and (charges[1] <= charges[2]).all()
        assert (charges[0] >= 0).all()
        apart += int((charges[0] < charges[2]).sum())
    assert apart > 0


def test_prices_of_an_owner_of_two_requests_are_prices_of_bundles() -> None:
    grid = Grid(2, 2, range(2), requests_per_bidder=2)
    mechanism = Mechanism(MinCostFlow(), SupportingPrices(MinCostFlow(), grid))
    assert audit(mechanism, grid, [Truthful(), IndividuallyRational()]).passed


def test_bidders_can_be_priced_where_costs_are_private_too() -> None:
    grid = Grid(2, 1, range(3), private_costs=range(2), private_capacities=(0, 1, 2))
    rule = SupportingPrices(MinCostFlow(), grid, "highest")
    for profile in range(grid.profiles):
        truth = grid.market(profile)
        honest = Mechanism(MinCostFlow(), rule).run(truth).bidder_utilities(truth)
        assert min(honest.values()) >= 0
        for bidder in range(grid.bidders):
            for index in range(grid.sizes[bidder]):
                deviated = grid.misreport(bidder, index).applied(truth)
                assert Mechanism(MinCostFlow(), rule).run(deviated).bidder_utilities(truth)[bidder] <= honest[bidder]


def test_prices_refuse_what_they_were_not_made_for() -> None:
    grid = Grid(2, 1, range(3))
    rule = SupportingPrices(MinCostFlow(), grid)
    run = Mechanism(MinCostFlow(), rule).run
    with pytest.raises(AuditError, match="player 1 reports something off"):
        run(Market([[1], [5]], [[0], [0]], [1]))
    with pytest.raises(AuditError, match="other public terms"):
        run(Market([[1], [2]], [[0], [0]], [2]))
    with pytest.raises(AuditError, match="never gives them here"):
        Mechanism(Against(MaxMin(), ((9,),)), SupportingPrices(Random(0), grid)).run(
            Market([[0], [1]], [[0], [0]], [1])
        )
    with pytest.raises(AuditError, match="expected 'lowest' or 'highest'"):
        SupportingPrices(MinCostFlow(), grid, "middle")  # type: ignore[arg-type]


def test_weak_monotonicity_is_looked_for_far_beyond_any_grid() -> None:
    report = audit(Mechanism(Greedy(), PayAsBid()), Sample(5, 3, values=(0, 100), draws=200), [WeaklyMonotone()])
    found = report["weakly-monotone"]
    assert found.status is Status.REFUTED and found.note == "replayed in a fresh process"
    assert found.counterexample is not None and "together by swapping" in found.counterexample.text
    assert found.counterexample.truth.shape == (2, 2)
    exact = audit(Mechanism(MinCostFlow(), PayAsBid()), Sample(5, 3, values=(0, 100), draws=20), [WeaklyMonotone()])
    assert exact["weakly-monotone"].status is Status.UNKNOWN


@pytest.mark.parametrize(("allocator", "message"), [(Fickle(), "differently"), (Everybody(), "infeasible")])
def test_allocators_that_misbehave_are_named(allocator: Allocator, message: str) -> None:
    with pytest.raises(AuditError, match=message):
        implementability(allocator, COARSE)
