"""Everything that ships is held to its promises, and to no fewer than it keeps: the matrix is true both ways."""

from dataclasses import replace

import pytest

from experiments.matrix import TABLES, Row, examined, rows, smallest
from experiments.matrix.played import RoundsRow
from experiments.matrix.rules import RuleRow
from experiments.matrix.settled import SettledRow
from experiments.matrix.spaces import AVERAGE, SPACES, TWO_SIDED
from mechanisms import VCG, Mechanism, MechanismError, PostedPrice, find_mechanism
from mechanisms.catalogue import AWAY, HOME, RULES, SETTLEMENTS, WHOLE
from mechanisms.promises import Domain, entailed
from proofs import Grid


@pytest.fixture(autouse=True)
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replays here: a fresh process takes seconds, and a test of `audit_rounds` has one."""
    monkeypatch.setattr("proofs.rounds.evaluated_afresh", lambda expression, amount: f"{eval(expression) - amount} off")


@pytest.mark.parametrize("row", rows(), ids=str)
def test_promises_hold_and_nothing_else_does(row: Row) -> None:
    for cell in row.examine(lambda steps: None):
        broken = [smallest(replace(cell, trials=(trial,))) for trial in cell.broken]
        assert not broken, f"{row} promises {cell.prop} on {cell.promise}: {broken[0]}"
        if not row.few:
            assert not cell.untried, f"{row} promises {cell.prop} on {cell.promise}, and no space of the matrix is one"
            assert not cell.too_modest, f"{row}: {cell.prop} holds wherever it was tried; promise it, or add a space"


def test_the_matrix_has_every_rule_and_every_pair_of_the_catalogue() -> None:
    auctions = [row for row in rows() if isinstance(row, RuleRow)]
    listed = {(row.rule, row.beside) for row in auctions}
    assert {rule for rule, _ in listed} == {*RULES, *WHOLE, "local-vcg", "expected-externality"}
    assert set(AWAY) <= listed and set(HOME.items()) <= listed
    assert {row.rule for row in rows() if isinstance(row, SettledRow)} == set(SETTLEMENTS)
    assert {row.rule for row in rows() if isinstance(row, RoundsRow)} == {"per-round", "dynamic-pivot"}
    assert len({str(row) for row in rows()}) == len(rows())
    with pytest.raises(MechanismError, match="no rule 'vgc' in the matrix; it has vcg"):
        rows("vgc")


def test_only_slow_solvers_are_excused_from_the_second_half() -> None:
    few = [row for row in rows() if row.few]
    assert {row.rule for row in few} == {"vcg"} and len(few) == 4


def test_every_property_of_every_row_is_in_a_table() -> None:
    shown = {name for table in TABLES for name in table.properties}
    [settled] = (replace(row, spaces=row.spaces[3:4]) for row in rows("on-delivery") if isinstance(row, SettledRow))
    small = replace(pay_as_bid(), spaces=SPACES[:1], two_sided=TWO_SIDED[2:3], average=AVERAGE[:1])
    asked = {cell.prop for row in (small, settled) for cell in row.examine(lambda steps: None)}
    assert asked <= shown and all(cell.trials for cell in small.examine())


def pay_as_bid() -> RuleRow:
    [row] = [row for row in rows("pay-as-bid") if isinstance(row, RuleRow) and row.beside == "min-cost-flow"]
    return replace(row, two_sided=(), average=())


def test_a_broken_promise_and_a_missing_one_are_both_caught() -> None:
    honest = pay_as_bid()
    braggart = replace(honest, promises={**honest.promises, "truthful": Domain.EVERYWHERE}, spaces=SPACES[:1])
    truthful = braggart.examine()[0]
    assert truthful.broken and not truthful.too_modest
    shy = replace(honest, promises={}, spaces=SPACES[:1])
    assert [cell.too_modest for cell in shy.examine()[:5]] == [False, True, True, False, True]


def test_agents_are_held_to_promises_too() -> None:
    [row] = [row for row in rows("vcg") if isinstance(row, RuleRow) and row.beside == "min-cost-flow"]
    boast = replace(row, promises={**row.promises, "truthful-agents": Domain.EVERYWHERE}, spaces=(), average=())
    cells = {cell.prop: cell for cell in boast.examine()}
    assert cells["truthful-agents"].broken
    # Truthful for bidders and for agents would be truthful for both: the promise entails another that breaks.
    assert cells["truthful-both"].promise is Domain.EVERYWHERE and cells["truthful-both"].broken
    found = smallest(cells["truthful-agents"])
    assert found is not None and found.data["truth"]["values"] == [[2]]  # type: ignore[index]
    assert "agent 0 reports costs [1] and capacity 1 instead of [0] and 1, and gains 1" in found.text


def test_smallest_counterexamples_are_simple() -> None:
    cells = replace(pay_as_bid(), spaces=SPACES[:2]).examine()
    found = smallest(cells[0])
    assert found is not None and found.data["truth"]["values"] == [[2]]  # type: ignore[index]
    assert smallest(cells[1]) is None


def test_several_processes_find_what_one_finds() -> None:
    chosen = [*rows("vickrey"), *rows("trade-reduction")]
    told: list[int] = []
    alone, together = list(examined(chosen, 1)), list(examined(chosen, 2, told.append))
    assert alone == together and sum(told) == sum(row.steps for row in chosen)
    assert alone[0].cells[-2].refuted and alone[0].evidence[-2] is not None


def test_what_follows_by_definition_is_promised_with_its_reasons() -> None:
    both = entailed({"truthful": Domain.SINGLE_REQUEST, "truthful-agents": Domain.EVERYWHERE})
    assert both["truthful-both"] is both["bayesian-truthful"] is Domain.SINGLE_REQUEST
    assert "truthful-both" not in entailed({"truthful": Domain.FREE, "truthful-agents": Domain.SINGLE_REQUEST})
    assert entailed({"balanced": Domain.FREE})["no-deficit"] is Domain.FREE
    assert Domain.ONE_AGENT.meet(Domain.SINGLE_REQUEST) is Domain.ONE_AGENT
    assert Domain.SINGLE_REQUEST.meet(Domain.ONE_AGENT_EQUAL_COSTS) is Domain.ONE_AGENT_EQUAL_COSTS
    assert "balanced" in PostedPrice().promises and "balanced" not in PostedPrice(1).promises


def test_domains_read_the_public_part_alone() -> None:
    two_agents = Grid(bidders=2, agents=2, costs=[[1, 1], [2, 2]]).template
    shared = Grid(bidders=2, agents=2, requests_per_bidder=2).template
    apart = Grid(bidders=2, agents=2, costs=[[1, 9], [9, 1]], feasible=[[True, False], [False, True]]).template
    assert Domain.EVERYWHERE.covers(shared) and not Domain.SINGLE_REQUEST.covers(shared)
    assert Domain.UNIT_ODDS.covers(shared) and not Domain.SINGLE_UNIT_ODDS.covers(shared)
    assert Domain.EQUAL_COSTS.covers(two_agents) and not Domain.ONE_AGENT.covers(two_agents)
    assert Domain.ONE_AGENT.covers(apart) and Domain.ONE_AGENT_EQUAL_COSTS.covers(apart)
    assert Domain.EQUAL_COSTS.covers(apart) and not Domain.EQUAL_COSTS.covers(Grid(2, 2, costs=(0, 1)).template)
    assert not Domain.ONE_AGENT_EQUAL_COSTS.covers(Grid(2, 1, costs=[[0], [1]]).template)
    assert Domain.FREE.covers(shared) and not Domain.FREE.covers(two_agents)
    assert find_mechanism("vcg") == Mechanism(find_mechanism("vcg").allocator, VCG())  # type: ignore[attr-defined]
