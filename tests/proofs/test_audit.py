"""What an audit says of the mechanisms that ship, and of questions that make no sense."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from allocation import BruteForce, Greedy, Market, MinCostFlow
from allocation.money import Money
from mechanisms import VCG, FirstCome, Mechanism, MechanismError, Outcome, Outcomes, PayAsBid, PostedPrice
from mechanisms.settlement import ExecutionContingent, OnMeasurement
from proofs import (
    ALL,
    AuditError,
    Finding,
    Grid,
    IndividuallyRational,
    NoDeficit,
    Sample,
    Status,
    Truthful,
    Violation,
    assert_holds,
    assert_truthful,
    audit,
)
from proofs.properties.budget import NoDeficitRealised
from tests.proofs.helpers import examined
from tests.proofs.rules import EXACT, Dictators, Nobody, PerRequest, Whisper

SQUARE = Grid(bidders=2, agents=2, values=range(3))


def statuses(report: Mapping[str, Finding]) -> dict[str, str]:
    return {name: str(finding.status) for name, finding in report.items()}


def test_vcg_is_all_it_promises_on_three_bidders() -> None:
    report = audit(Mechanism(MinCostFlow(), VCG()))
    assert report.passed and list(report) == [prop.name for prop in ALL]
    assert report["truthful"].cases == 3 * 4096 * 15
    assert report["efficient"].cases == 4096


def test_vcg_over_brute_force_is_all_it_promises() -> None:
    assert audit(Mechanism(BruteForce(), VCG()), SQUARE).passed


def test_pay_as_bid_punishes_honesty() -> None:
    report = examined(Mechanism(MinCostFlow(), PayAsBid()), SQUARE)
    assert statuses(report) == {
        "truthful": "REFUTED",
        "individually-rational": "VERIFIED",
        "no-deficit": "VERIFIED",
        "efficient": "VERIFIED",
    }


def test_coarse_grids_deceive_about_pay_as_bid() -> None:
    assert_truthful(Mechanism(MinCostFlow(), PayAsBid()), Grid(2, 2, range(2)))
    assert not examined(Mechanism(MinCostFlow(), PayAsBid()), Grid(2, 2, range(3)))["truthful"]


def test_vcg_payments_do_not_rescue_greedy() -> None:
    report = examined(Mechanism(Greedy(), VCG()), SQUARE)
    assert report["truthful"].status is report["efficient"].status is Status.REFUTED


@pytest.mark.parametrize("markup", [0, 1])
def test_posted_prices_are_truthful_but_not_efficient(markup: int) -> None:
    report = examined(Mechanism(FirstCome(markup), PostedPrice(markup)), Grid(2, 2, range(3), costs=(0, 1)))
    assert report["truthful"] and report["individually-rational"] and report["no-deficit"]
    assert report["efficient"].status is Status.REFUTED


def test_dictators_and_nobody_are_truthful_but_not_efficient() -> None:
    for mechanism in (Dictators(), Nobody()):
        assert [name for name, finding in examined(mechanism, SQUARE).items() if not finding] == ["efficient"]


def test_an_owner_of_two_requests_is_priced_as_one_player() -> None:
    grid = Grid(bidders=2, agents=2, values=range(2), requests_per_bidder=2)
    assert audit(EXACT, grid).passed
    report = examined(Mechanism(MinCostFlow(), PerRequest()), grid)
    assert report["truthful"].status is Status.REFUTED


def test_utilities_never_read_the_report_in_the_outcome() -> None:
    for inner in (EXACT, Mechanism(MinCostFlow(), PayAsBid()), Mechanism(Greedy(), VCG())):
        plain, whispered = examined(inner, SQUARE), examined(Whisper(inner), SQUARE)
        assert statuses(plain) == statuses(whispered)
        assert [finding.worst for finding in plain.values()] == [finding.worst for finding in whispered.values()]


def test_one_subprocess_serves_the_whole_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    real = subprocess.run

    def counted(*args: Any, **kwargs: Any) -> Any:
        started.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(subprocess, "run", counted)
    report = audit("vcg", SQUARE, allocator="greedy")
    assert len(report.refuted) == 2 and len(started) == 1
    assert all(finding.note == "replayed in a fresh process" for finding in report.refuted)
    audit("vcg", SQUARE)
    assert len(started) == 1


@dataclass(frozen=True)
class AtMost:
    """A stranger's property, with a parameter."""

    served: int
    name: ClassVar[str] = "at-most"

    def check(self, outcome: Outcome, truth: Market) -> Violation | None:
        excess = int(outcome.allocation.served.sum()) - self.served
        return Violation(excess, f"{excess} too many are served") if excess > 0 else None


def test_a_strangers_property_goes_through_the_same_door() -> None:
    report = audit(EXACT, SQUARE, [AtMost(2), Truthful()])
    assert report.passed
    refuted = audit(EXACT, SQUARE, [AtMost(1)])["at-most"]
    assert refuted.worst == 1 and refuted.note == "replayed in a fresh process"
    assert refuted.counterexample is not None and refuted.counterexample.truth.values.tolist() == [[0, 1], [1, 0]]
    assert eval(refuted.counterexample.expression(EXACT)) == 1


def test_properties_by_name() -> None:
    assert list(audit(EXACT, SQUARE, ["no-deficit", Truthful()])) == ["no-deficit", "truthful"]


def test_progress_reaches_the_end() -> None:
    seen: list[tuple[int, int]] = []
    audit(EXACT, SQUARE, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen) and seen[-1] == (81, 81)


def test_a_report_is_readable_and_travels(replayed_here: None) -> None:
    report = audit("pay-as-bid", SQUARE, ["truthful", "efficient"])
    lines = str(report).splitlines()
    assert lines[:2] == ["PayAsBid over MinCostFlow", str(SQUARE)]
    assert lines[3].split()[:4] == ["truthful", "REFUTED", "1,296", "cases"]
    assert "truthful fails: bidder 0 reports [1] instead of [2] and gains 1" in lines
    data = json.loads(report.to_json())
    assert data["mechanism"] == {"is": "PayAsBid over MinCostFlow", "name": "pay-as-bid", "allocator": None}
    assert [finding["status"] for finding in data["findings"]] == ["REFUTED", "VERIFIED"]
    with pytest.raises(KeyError):
        report["no-deficit"]


def test_assertions_show_the_counterexample(replayed_here: None) -> None:
    with pytest.raises(AssertionError, match=r"reports .* instead of .* and gains"):
        assert_truthful(Mechanism(MinCostFlow(), PayAsBid()), SQUARE)
    assert_holds(EXACT, [NoDeficit(), "efficient"], SQUARE)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: audit(VCG(), SQUARE), AuditError, "payment rule alone"),
        (lambda: audit(Mechanism, SQUARE), AuditError, "audit an instance"),
        (lambda: audit(3, SQUARE), AuditError, "no run"),
        (lambda: audit(EXACT, SQUARE, allocator="greedy"), AuditError, "has its own"),
        (lambda: audit("vcc", SQUARE), MechanismError, "shipped"),
        (lambda: audit("vcg", SQUARE, ["fair"]), AuditError, "no property 'fair'; shipped: truthful"),
        (lambda: audit("vcg", SQUARE, ["json:loads"]), AuditError, "json:loads"),
        (lambda: audit("vcg", SQUARE, ["json:nothing"]), AuditError, "nothing"),
        (lambda: audit("vcg", SQUARE, [Truthful(), Truthful()]), AuditError, "share a name"),
        (lambda: audit("vcg", "everything"), AuditError, "no engine examines 'truthful' over a str"),
    ],
)
def test_questions_that_make_no_sense_are_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_an_error_of_the_mechanism_shows_the_market() -> None:
    class Broken:
        def run(self, market: Market) -> Outcome:
            raise ZeroDivisionError("no demand")

    with pytest.raises(ZeroDivisionError) as caught:
        audit(Broken(), SQUARE)
    assert "Market(values=[[0, 0], [0, 0]]" in caught.value.__notes__[0]


@dataclass(frozen=True)
class Forger:
    """VCG whose outcome is told about another market, with utilities of its own making."""

    def run(self, market: Market) -> Outcome:
        outcome = Mechanism(MinCostFlow(), VCG()).run(market)
        return Forged(market.replace(costs=market.costs + 5), outcome.allocation, outcome.payments)


class Forged(Outcome):
    def bidder_utilities(self, truth: Market | None = None) -> dict[int, int]:
        return dict.fromkeys(self.reported.players, -1)


@pytest.mark.parametrize("scope", [Grid(2, 1, range(3)), Sample(2, 1, (0, 9), draws=9)], ids=["grid", "sample"])
@pytest.mark.parametrize("settlement", [OnMeasurement(), ExecutionContingent()], ids=["measured", "contingent"])
def test_no_property_reads_what_a_mechanism_writes_into_its_outcome(
    scope: Grid | Sample, settlement: OnMeasurement | ExecutionContingent
) -> None:
    asked = [IndividuallyRational(), NoDeficitRealised(over=1, settlement=settlement)]
    forged, honest = examined(Forger(), scope, asked), examined(EXACT, scope, asked)
    assert {name: (found.status, found.worst) for name, found in forged.items()} == {
        name: (found.status, found.worst) for name, found in honest.items()
    }


class Scribbler:
    """Writes into the market after it has run."""

    def run(self, market: Market) -> Outcome:
        outcome = EXACT.run(market)
        market.values.setflags(write=True)
        market.values[:] = 0
        return outcome


class Eager:
    """Works in place on the values of its batch path."""

    def run(self, market: Market) -> Outcome:
        return EXACT.run(market)

    def run_many(self, values: Money, template: Market) -> Outcomes:
        outcomes = EXACT.run_many(values, template)
        values -= 3
        return outcomes


def test_a_mechanism_may_not_write_into_the_truth() -> None:
    for scope in (Grid(2, 1, range(2)), Sample(2, 1, (0, 9), draws=2)):
        with pytest.raises(AuditError, match="Scribbler writes into the market"):
            examined(Scribbler(), scope)
    with pytest.raises(ValueError, match="read-only"):
        examined(Eager(), Grid(2, 1, range(2)))


class Quitter:
    """Ends the process, and would take the audit with it."""

    def run(self, market: Market) -> Outcome:
        sys.exit(0)


def test_a_mechanism_that_ends_the_process_is_an_error() -> None:
    for scope in (Grid(2, 1, range(2)), Sample(2, 1, (0, 9), draws=2)):
        with pytest.raises(AuditError, match="Quitter ends the process"):
            examined(Quitter(), scope)


def test_a_mechanism_must_return_an_outcome() -> None:
    class Vague:
        def run(self, market: Market) -> None:
            return None

    with pytest.raises(AuditError, match="Vague returned NoneType"):
        audit(Vague(), SQUARE)  # type: ignore[arg-type]
