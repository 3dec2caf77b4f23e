"""Every shipped pair is held to its promises, and to no fewer than it keeps: the matrix is true both ways."""

from dataclasses import replace

import pytest

from experiments.matrix import SPACES, Row, examine, rows, smallest
from mechanisms import VCG, Mechanism, MechanismError, PayAsBid, find_mechanism
from mechanisms.catalogue import AWAY, HOME, RULES, WHOLE
from mechanisms.promises import Domain
from proofs import Grid


@pytest.mark.parametrize("row", rows(), ids=str)
def test_promises_hold_and_nothing_else_does(row: Row) -> None:
    for cell in examine(row):
        name = cell.prop.name
        assert not cell.broken, f"{row} promises {name} on {cell.promise}: {cell.broken[0].counterexample}"
        assert not cell.untried, f"{row} promises {name} on {cell.promise}, and no space of the matrix is one"
        if len(row.spaces) > 1:
            assert not cell.too_modest, f"{row}: {name} holds wherever it was tried; promise it, or add a space"


def test_the_matrix_has_every_rule_and_every_pair_of_the_catalogue() -> None:
    listed = {(row.rule, row.allocator) for row in rows()}
    assert {rule for rule, _ in listed} == {*RULES, *WHOLE, "local-vcg"}
    assert set(AWAY) <= listed and set(HOME.items()) <= listed
    with pytest.raises(MechanismError, match="no rule 'vgc' in the matrix; it has vcg"):
        rows("vgc")


def test_a_broken_promise_and_a_missing_one_are_both_caught() -> None:
    [honest] = [row for row in rows("pay-as-bid") if row.allocator == "min-cost-flow"]
    braggart = replace(honest, promises={**honest.promises, "truthful": Domain.EVERYWHERE}, spaces=SPACES[:1])
    truthful = examine(braggart)[0]
    assert truthful.broken and not truthful.too_modest
    shy = replace(honest, promises={}, spaces=SPACES[:1])
    assert [cell.too_modest for cell in examine(shy)] == [False, True, True, True]


def test_smallest_counterexamples_are_simple_and_happen_again() -> None:
    [row] = [row for row in rows("pay-as-bid") if row.allocator == "min-cost-flow"]
    cells = examine(replace(row, spaces=SPACES[:2]))
    found = smallest(cells[0], row.mechanism)
    assert found is not None and found.truth.values.tolist() == [[2]] and found.lie is not None
    assert found.replay(Mechanism(row.mechanism.allocator, PayAsBid())) == 1  # type: ignore[attr-defined]
    assert smallest(cells[1], row.mechanism) is None


def test_domains_read_the_public_part_alone() -> None:
    two_agents = Grid(bidders=2, agents=2, costs=[[1, 1], [2, 2]]).template
    shared = Grid(bidders=2, agents=2, requests_per_bidder=2).template
    apart = Grid(bidders=2, agents=2, costs=[[1, 9], [9, 1]], feasible=[[True, False], [False, True]]).template
    assert Domain.EVERYWHERE.covers(shared) and not Domain.SINGLE_REQUEST.covers(shared)
    assert Domain.EQUAL_COSTS.covers(two_agents) and not Domain.ONE_AGENT.covers(two_agents)
    assert Domain.ONE_AGENT.covers(apart) and Domain.ONE_AGENT_EQUAL_COSTS.covers(apart)
    assert Domain.EQUAL_COSTS.covers(apart) and not Domain.EQUAL_COSTS.covers(Grid(2, 2, costs=(0, 1)).template)
    assert not Domain.ONE_AGENT_EQUAL_COSTS.covers(Grid(2, 1, costs=[[0], [1]]).template)
    assert Domain.FREE.covers(shared) and not Domain.FREE.covers(two_agents)
    assert find_mechanism("vcg") == Mechanism(find_mechanism("vcg").allocator, VCG())  # type: ignore[attr-defined]
