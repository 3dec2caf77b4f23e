import json
import subprocess
import sys
from pathlib import Path

import pytest

from allocation import Allocation, Greedy, Market, MinCostFlow
from mechanisms import VCG, DirectMechanism, Mechanism, Outcome, PayAsBid, Payments
from proofs import (
    AuditError,
    Counterexample,
    Grid,
    Misreport,
    NoDeficit,
    ReplayError,
    Truthful,
    audit,
    find_property,
    shrink,
    violation,
)
from proofs.replay import DIFFERS, OUT_OF_REACH, REPLAYED, main
from tests.proofs.helpers import examined
from tests.proofs.rules import EXACT, Parochial, PerRequest, SmallOnly, Spoiled

FIRST_PRICE = Mechanism(MinCostFlow(), PayAsBid())
GREEDY = Mechanism(Greedy(), VCG())
PER_REQUEST = Mechanism(MinCostFlow(), PerRequest())
SQUARE = Grid(bidders=2, agents=2, values=range(3))


def found(mechanism: DirectMechanism, scope: Grid = SQUARE, name: str = "truthful") -> Counterexample:
    """What an audit would report, without its fresh process."""
    finding = examined(mechanism, scope, [find_property(name)])[name]
    assert finding.counterexample is not None
    return shrink(finding.counterexample, mechanism)


def test_pay_as_bid_shrinks_to_one_bidder_and_one_agent() -> None:
    small = found(FIRST_PRICE, Grid(bidders=2, agents=2, values=(4, 7, 9), costs=1, capacities=2))
    assert small.truth.values.tolist() == [[2]] and small.misreport == Misreport(0, ((1,),))
    assert small.truth.costs.tolist() == [[0]] and small.truth.capacities.tolist() == [1]
    assert small.amount == 1


def test_vcg_over_greedy_shrinks_to_two_bidders_and_two_agents() -> None:
    small = found(GREEDY, Grid(bidders=3, agents=2, values=(0, 3, 5), capacities=1))
    assert small.truth.shape == (2, 2)
    assert small.truth.values.tolist() == [[1, 1], [1, 0]] and small.misreport == Misreport(0, ((0, 1),))


def test_shrinking_is_deterministic_and_never_worse() -> None:
    rng_free = Market([[40, 31, 5], [77, 12, 60], [8, 33, 90]], [[3, 1, 2]] * 3, [1, 2, 1])
    big = Counterexample.of(Truthful(), FIRST_PRICE, rng_free, Misreport(1, ((60, 0, 0),)))
    assert big is not None
    first, second = shrink(big, FIRST_PRICE), shrink(big, FIRST_PRICE)
    assert first.to_json() == second.to_json()
    assert first.simplicity < big.simplicity
    assert first.replay(FIRST_PRICE) == first.amount


def test_a_budget_ends_shrinking_early() -> None:
    market = Market([[40, 31], [77, 12]], [[3, 1]] * 2, [1, 2])
    big = Counterexample.of(Truthful(), FIRST_PRICE, market, Misreport(1, ((50, 12),)))
    assert big is not None
    assert shrink(big, FIRST_PRICE, budget=0) is big


def test_several_requests_shrink_with_their_owner() -> None:
    small = found(PER_REQUEST, Grid(2, 2, range(2), requests_per_bidder=2))
    assert small.truth.values.tolist() == [[1], [1]] and small.truth.bidders.tolist() == [0, 0]
    assert "requests owned by [0, 0]" in str(small)
    assert Counterexample.from_json(small.to_json()).truth.bidders.tolist() == [0, 0]


def test_a_mechanism_may_refuse_smaller_markets() -> None:
    assert found(SmallOnly(), Grid(2, 1, range(4))).truth.shape == (2, 1)


def test_a_counterexample_reads_in_three_lines() -> None:
    assert str(found(FIRST_PRICE)).splitlines() == [
        "truthful fails: bidder 0 reports [1] instead of [2] and gains 1",
        "true values [[2]], capacities 1, costs 0",
        "honest: agents [0], charges [2]; deviating: agents [0], charges [1]",
    ]


class FirstBidderPays:
    """Takes a micro-unit from bidder 0, whichever request is theirs."""

    def run(self, market: Market) -> Outcome:
        idle = Allocation([-1] * market.shape[0])
        return Outcome(market, idle, Payments((market.bidders == 0).astype(int), [0] * market.shape[1]))


def test_owners_travel_however_they_are_numbered() -> None:
    rule, grid = FirstBidderPays(), Grid(bidders=2, agents=1, values=range(2), owners=[1, 0])
    small = found(rule, grid, "individually-rational")
    big = Counterexample.of(find_property("individually-rational"), rule, grid.market(0))
    assert big is not None
    assert big.honest.charges == (0, 1) and small.honest.charges == (1,)
    again = Counterexample.from_json(big.to_json())
    assert again.truth.bidders.tolist() == [1, 0] and again.replay(rule) == 1
    assert "owners=[1, 0]" in big.expression("vcg") and "owned by [1, 0]" in str(big)
    assert "bidders=[1, 0]" in repr(big.truth)


def test_replay_against_another_mechanism_fails() -> None:
    counterexample = found(FIRST_PRICE)
    with pytest.raises(ReplayError, match="nothing fails now; recorded was: truthful fails"):
        counterexample.replay(EXACT)
    boast = Counterexample.from_json(counterexample.to_json().replace('"amount": 1', '"amount": 5'))
    with pytest.raises(ReplayError, match="amount was 5, now 1"):
        boast.replay(FIRST_PRICE)


@pytest.mark.parametrize("name", ["truthful", "efficient"])
def test_json_round_trip(name: str) -> None:
    counterexample = found(GREEDY, name=name)
    again = Counterexample.from_json(counterexample.to_json())
    assert again.to_json() == counterexample.to_json()
    assert again.replay(GREEDY) == counterexample.amount


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"property": {"name": "fair", "parameters": {}}, "misreport": null}']
)
def test_text_that_is_no_counterexample_is_refused(text: str) -> None:
    with pytest.raises(AuditError):
        Counterexample.from_json(text)


@pytest.mark.parametrize(
    ("part", "damage"),
    [
        ("property", {"name": None, "parameters": {}}),
        ("property", {"name": "truthful", "parameters": []}),
        ("property", {"name": "approximation", "parameters": {"ratio": {"kind": "Fraction", "denominator": 0}}}),
        ("truth", {"values": [[1, []]], "costs": [[0, 0]], "capacities": [1, 1]}),
        ("misreport", 7),
        ("misreport", {"kind": "Fraction", "numerator": 1, "denominator": 0}),
        ("amount", "much"),
    ],
)
def test_a_damaged_file_is_refused_in_words(part: str, damage: object) -> None:
    whole = found(FIRST_PRICE).as_dict()
    with pytest.raises(AuditError, match=r"expected|property|not a counterexample"):
        Counterexample.from_json(json.dumps({**whole, part: damage}))


def test_a_misreport_goes_with_truthfulness_alone() -> None:
    market = Market([[1]], [[0]], [1])
    with pytest.raises(AuditError, match="truthful needs a misreport"):
        Counterexample.of(Truthful(), EXACT, market)
    with pytest.raises(AuditError, match="no-deficit takes no misreport"):
        Counterexample.of(NoDeficit(), EXACT, market, Misreport(0, ((0,),)))


def test_expressions_give_the_amount_in_a_fresh_interpreter() -> None:
    greedy, spoiled = found(GREEDY), found(Spoiled("tip for agents"), name="no-deficit")
    owners = found(PER_REQUEST, Grid(1, 1, range(2), requests_per_bidder=2))
    expressions = [
        greedy.expression(GREEDY),
        greedy.expression("vcg", "greedy"),
        spoiled.expression(Spoiled("tip for agents")),
        owners.expression("tests.proofs.rules:PerRequest"),
    ]
    code = f"assert [{', '.join(expressions)}] == {[greedy.amount, greedy.amount, spoiled.amount, owners.amount]}"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert child.returncode == 0, child.stderr


def test_what_cannot_be_written_down_is_refused() -> None:
    counterexample = found(FIRST_PRICE)

    class Local:
        run = FIRST_PRICE.run

    with pytest.raises(AuditError, match="cannot be imported"):
        counterexample.expression(Local())


def test_violation_is_zero_where_the_property_holds() -> None:
    market = {"values": [[2]], "costs": [[0]], "capacities": [1]}
    assert violation("truthful", "vcg", bidder=0, misreport=[[1]], **market) == 0
    assert violation("truthful", "pay-as-bid", bidder=0, misreport=[[1]], **market) == 1
    assert violation("efficient", "vcg", **market) == 0


def test_objects_that_cannot_travel_are_replayed_here_and_the_note_says_so() -> None:
    class Local:
        run = FIRST_PRICE.run

    assert "in this process only" in audit(Local(), SQUARE, ["truthful"])["truthful"].note


def test_an_object_from_main_is_replayed_there_and_the_note_says_so() -> None:
    code = (
        "from mechanisms import *; from allocation import *; from proofs import *\n"
        "class Mine:\n"
        "    def run(self, market): return Mechanism(MinCostFlow(), PayAsBid()).run(market)\n"
        "print(audit(Mine(), Grid(1, 1, range(3)), ['truthful'])['truthful'].note)\n"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert "in this process only" in child.stdout, child.stderr


def test_a_mechanism_that_changes_with_its_process_is_found_out() -> None:
    with pytest.raises(ReplayError, match="in a fresh process the mechanism answers differently"):
        audit(Parochial(), SQUARE, ["truthful"])


def test_the_command_replays_reports_and_single_counterexamples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = audit("vcg", SQUARE, ["truthful", "no-deficit"], allocator="greedy")
    file = tmp_path / "report.json"
    file.write_text(report.to_json())
    assert main([str(file)]) == REPLAYED
    assert capsys.readouterr().out == "truthful: happens again, by 1\n"
    assert main([str(file), "--mechanism", "vcg"]) == DIFFERS
    assert "ReplayError: nothing fails now" in capsys.readouterr().err
    single = tmp_path / "single.json"
    single.write_text(json.dumps(json.loads(report.to_json())["findings"][0]["counterexample"]))
    assert main([str(single)]) == OUT_OF_REACH
    assert "add --mechanism NAME" in capsys.readouterr().err
    assert main([str(single), "--mechanism", "vcg", "--allocator", "greedy"]) == REPLAYED
