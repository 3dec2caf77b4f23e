"""Everything that ships is held to its promises, and to no fewer than it keeps: the matrix is true both ways."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from allocation import Allocation, Allocator, BruteForce, Greedy, Market, Random
from experiments.studies.matrix import TABLES, Row, examined, rows, smallest
from experiments.studies.matrix.refused import RefusedRow
from experiments.studies.matrix.rounds import RoundsRow
from experiments.studies.matrix.rules import RuleRow, auctions, pairs
from experiments.studies.matrix.scopes import AVERAGE, SCOPES, TWO_SIDED
from experiments.studies.matrix.settlements import SettledRow
from mechanisms import VCG, FirstCome, Mechanism, MechanismError, PostedPrice, find_allocator, find_mechanism
from mechanisms.catalogue import ALLOCATORS, HOME, RULES, SETTLEMENTS, WHOLE, promised, refuses
from mechanisms.pairs import AWAY, EXACT
from mechanisms.promises import Domain, entailed
from mechanisms.rules.critical import ByValue
from mechanisms.rules.sharing import RandomPriority
from proofs import Grid

INEXACT = {name for name in ALLOCATORS if not getattr(find_allocator(name), "exact", False)}


@pytest.fixture(autouse=True)
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replays here: a fresh process takes seconds, and a test of `audit_rounds` has one."""
    monkeypatch.setattr(
        "proofs.evidence.evidence.evaluated_afresh", lambda expression, amount: f"{eval(expression) - amount} off"
    )


@pytest.fixture(scope="module", autouse=True)
def each_market_once() -> Iterator[None]:
    """Allocators written in Python answer a market once: every rule asks them about the same ones again and again."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in (BruteForce, Greedy, Random, FirstCome, ByValue, RandomPriority):
            patch.setattr(kind, "allocate", once(kind.allocate))
        yield


def once(allocate: Callable[[Allocator, Market], Allocation]) -> Callable[[Allocator, Market], Allocation]:
    known: dict[object, Allocation] = {}

    def remembered(allocator: Allocator, market: Market) -> Allocation:
        parts = (market.values, market.costs, market.capacities, market.bidders, market.weights)
        key = (allocator, market.shape, *(part.tobytes() for part in parts))
        if key not in known:
            known[key] = allocate(allocator, market)
        return known[key]

    return remembered


def tiered(row: Row) -> object:
    """Rules away from home, over what does not maximise, are the slow tier's, but for VCG's."""
    away = isinstance(row, RuleRow) and row.beside in INEXACT and row.rule != "vcg"
    return pytest.param(row, id=str(row), marks=[pytest.mark.slow] if away else [])


@pytest.mark.parametrize("row", [tiered(row) for row in rows(every_pair=True)])
def test_promises_hold_and_nothing_else_does(row: Row) -> None:
    cells = (replace(row, brief=True) if isinstance(row, RuleRow) else row).examine(lambda steps: None)
    assert any(cell.trials for cell in cells), f"{row} is refused on every scope; the table of pairs should say so"
    for cell in cells:
        broken = [smallest(replace(cell, trials=(trial,))) for trial in cell.broken]
        assert not broken, f"{row} promises {cell.prop} on {cell.promise}: {broken[0]}"
        if not row.few:
            assert not cell.untried, f"{row} promises {cell.prop} on {cell.promise}, and no scope of the matrix is one"
            assert not cell.too_modest, f"{row}: {cell.prop} holds wherever it was tried; promise it, or add a scope"


def test_the_matrix_has_every_rule_over_every_allocator() -> None:
    takers = [name for name in WHOLE if hasattr(find_mechanism(name), "allocator")]
    product = [(rule, allocator) for rule in (*RULES, *takers) for allocator in ALLOCATORS]
    assert [(row.rule, row.beside) for row in pairs()] == product and {"vcg-reserve", "affine"} == set(takers)
    every = rows(every_pair=True)
    assert all(row in every for row in (*pairs(), *rows())) and len({str(row) for row in every}) == len(every)
    assert {row.rule for row in auctions()} == {*RULES, *WHOLE, "local-vcg", "expected-externality"}
    assert {row.rule for row in rows() if isinstance(row, SettledRow)} == set(SETTLEMENTS)
    assert {row.rule for row in rows() if isinstance(row, RoundsRow)} == {"per-round", "dynamic-pivot"}


def test_every_pair_away_from_home_has_a_word_said_about_it() -> None:
    for rule, table in AWAY.items():
        assert {HOME.get(rule, EXACT), *table} == {EXACT, *INEXACT} and HOME.get(rule, EXACT) not in table
    assert set(AWAY) == {row.rule for row in pairs()}


def test_what_is_refused_is_refused_with_a_reason_and_promises_nothing() -> None:
    refused = {(row.rule, row.beside): row for row in pairs() if isinstance(row, RefusedRow)}
    assert set(refused) == {(row.rule, row.beside) for row in pairs() if refuses(row.rule, row.beside)}
    for names, row in refused.items():
        [cell] = replace(row, scopes=SCOPES[:1]).examine()
        assert not promised(*names) and not cell.broken
        assert len(cell.why) > 40 and ("take an exact allocator" in cell.why or "use VCG" in cell.why), cell.why
    kept = RuleRow("clearing-price", "greedy", lambda grid: refused["clearing-price", "greedy"].mechanism, {})
    assert not any(cell.trials for cell in kept.examine())


def test_only_slow_solvers_are_excused_from_the_second_half() -> None:
    few = {row.beside for row in rows(every_pair=True) if row.few and isinstance(row, RuleRow)}
    assert few == {"linear-program", "convex-program", "network-flow", "or-tools"}


def test_every_property_of_every_row_is_in_a_table() -> None:
    shown = {name for table in TABLES for name in table.properties}
    [settled] = (replace(row, scopes=row.scopes[3:4]) for row in rows("on-delivery") if isinstance(row, SettledRow))
    small = replace(pay_as_bid(), scopes=SCOPES[:1], two_sided=TWO_SIDED[2:3], average=AVERAGE[:1])
    asked = {cell.prop for row in (small, settled) for cell in row.examine(lambda steps: None)}
    assert asked <= shown and all(cell.trials for cell in small.examine())


def pay_as_bid() -> RuleRow:
    return replace(pair("pay-as-bid", "min-cost-flow"), two_sided=(), average=())


def test_a_broken_promise_and_a_missing_one_are_both_caught() -> None:
    honest = pay_as_bid()
    braggart = replace(honest, promises={**honest.promises, "truthful": Domain.EVERYWHERE}, scopes=SCOPES[:1])
    truthful = braggart.examine()[0]
    assert truthful.broken and not truthful.too_modest
    shy = replace(honest, promises={}, scopes=SCOPES[:1])
    assert [cell.too_modest for cell in shy.examine()[:5]] == [False, True, True, False, True]


def pair(rule: str, allocator: str) -> RuleRow:
    [row] = [row for row in pairs() if (row.rule, row.beside) == (rule, allocator)]
    assert isinstance(row, RuleRow)
    return row


@pytest.mark.parametrize(
    ("rule", "allocator", "dropped", "added"),
    [
        ("vcg", "random", "truthful", "no-deficit"),
        ("procurement-vcg", "by-value", "individually-rational", "no-deficit"),
        ("free", "greedy", "individually-rational", "truthful"),
        ("vcg", "first-come", "no-deficit", "interim-rational"),
    ],
)
def test_a_promise_dropped_from_the_table_and_a_false_one_are_both_caught(
    rule: str, allocator: str, dropped: str, added: str
) -> None:
    honest = replace(pair(rule, allocator), two_sided=(), brief=True)
    shy = replace(honest, promises={name: domain for name, domain in honest.promises.items() if name != dropped})
    # A promise on part of the markets alone may be left out: elsewhere it is refuted.
    partial = honest.promises[dropped] is not Domain.EVERYWHERE
    assert {cell.prop for cell in shy.examine() if cell.too_modest} >= (set() if partial else {dropped})
    boast = replace(honest, promises={**honest.promises, dropped: Domain.EVERYWHERE, added: Domain.EVERYWHERE})
    broken = {cell.prop for cell in boast.examine() if cell.broken}
    assert broken == ({dropped, added} if partial else {added})


def test_a_pair_that_is_said_to_be_refused_and_is_not_is_caught() -> None:
    [cell] = RefusedRow("vcg", "greedy", Mechanism(Greedy(), VCG()), SCOPES[:2]).examine()
    assert len(cell.broken) == 2 and not cell.why
    found = smallest(cell)
    assert found is not None and found.text.startswith("refused fails: it answers Market(values=[[2, 2], [2, 2]]")


def test_a_brief_look_comes_to_the_same_verdicts() -> None:
    row = pair("vcg", "by-value")
    full, brief = row.examine(), replace(row, brief=True).examine()
    assert [(one.prop, bool(one.broken), one.untried, one.too_modest) for one in full] == [
        (one.prop, bool(one.broken), one.untried, one.too_modest) for one in brief
    ]
    assert sum(len(cell.trials) for cell in brief) < sum(len(cell.trials) for cell in full) / 2
    assert {len(one.trials) for one in full if one.prop == "agents-rational"} == {
        len(one.trials) for one in brief if one.prop == "agents-rational"
    }


def test_rows_are_chosen_by_rule_and_by_allocator() -> None:
    assert [str(row) for row in rows("vcg", "random")] == ["vcg over random"]
    assert [row.rule for row in rows(allocator="random")] == [*RULES, "vcg-reserve", "affine"]
    assert len(rows("vcg", every_pair=True)) == len(ALLOCATORS) and len(rows("vcg")) == 8
    assert rows("on-delivery", every_pair=True) == rows("on-delivery")
    with pytest.raises(MechanismError, match="no rule 'vgc' in the matrix; it has vcg"):
        rows("vgc")
    with pytest.raises(MechanismError, match="no allocator 'gredy' in the matrix; it has min-cost-flow"):
        rows("vcg", "gredy")
    with pytest.raises(MechanismError, match=r"trade-reduction takes no allocator \(greedy\); those that do are vcg"):
        rows("trade-reduction", "greedy")


def test_agents_are_held_to_promises_too() -> None:
    row = pair("vcg", "min-cost-flow")
    boast = replace(row, promises={**row.promises, "truthful-agents": Domain.EVERYWHERE}, scopes=(), average=())
    cells = {cell.prop: cell for cell in boast.examine()}
    assert cells["truthful-agents"].broken
    # Truthful for bidders and for agents would be truthful for both: the promise entails another that breaks.
    assert cells["truthful-both"].promise is Domain.EVERYWHERE and cells["truthful-both"].broken
    found = smallest(cells["truthful-agents"])
    assert found is not None and found.data["truth"]["values"] == [[2]]  # type: ignore[index]
    assert "agent 0 reports costs [1] and capacity 1 instead of [0] and 1, and gains 1" in found.text


def test_smallest_counterexamples_are_simple() -> None:
    cells = replace(pay_as_bid(), scopes=SCOPES[:2]).examine()
    found = smallest(cells[0])
    assert found is not None and found.data["truth"]["values"] == [[2]]  # type: ignore[index]
    assert smallest(cells[1]) is None


def test_several_processes_find_what_one_finds() -> None:
    chosen = [*rows("vickrey"), *rows("trade-reduction"), *rows("vickrey", "greedy")]
    steps: list[int] = []
    alone, together = list(examined(chosen, 1)), list(examined(chosen, 2, steps.append))
    assert alone == together and sum(steps) == sum(row.steps for row in chosen)
    assert alone[0].cells[-2].refuted and alone[0].evidence[-2] is not None


def test_what_follows_by_definition_is_promised_with_its_reasons() -> None:
    both = entailed({"truthful": Domain.SINGLE_REQUEST, "truthful-agents": Domain.EVERYWHERE})
    assert both["truthful-both"] is both["bayesian-truthful"] is Domain.SINGLE_REQUEST
    assert "truthful-both" not in entailed({"truthful": Domain.FREE, "truthful-agents": Domain.SINGLE_REQUEST})
    assert Domain.FREE.meet(Domain.NO_NEGATIVE_COST) is Domain.FREE
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
    assert Domain.NO_NEGATIVE_COST.covers(two_agents) and not Domain.NO_NEGATIVE_COST.covers(
        Grid(2, 1, costs=-1).template
    )
    assert Domain.FREE.covers(shared) and not Domain.FREE.covers(two_agents)
    assert find_mechanism("vcg") == Mechanism(find_mechanism("vcg").allocator, VCG())  # type: ignore[attr-defined]
