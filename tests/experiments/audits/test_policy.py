"""The shipped auction passes, and each of its faulty relatives is refuted for its own fault."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.audits import AgentLaw, Asked, PolicyFinding, State, audit_policy, find_policy, lessons, suite
from experiments.audits.one_round import truthful
from experiments.audits.play import Table
from mechanisms import MechanismError, Preferences
from proofs import AuditError, Status
from tests.experiments.audits import mutants

STATES = {state.name: state for state in suite()}
IDLE, HASTE = "idle fleet, two bidders", "haste: what is served makes others wait"
HURRIED = replace(STATES["something at stake"], name="at stake and in haste", delays=(0.0, 2.0))
PLACE, WALL = "one agent, one place at a time", "a wall: three requests, two places"


def test_the_shipped_auction_keeps_every_claim_of_one_round() -> None:
    report = audit_policy(mutants.Plain(budget=100.0), list(suite()))
    assert report.passed, report
    assert {name: one.status for name, one in report.items()} == dict.fromkeys(report, Status.VERIFIED)
    # The states are such that nothing is left to excuse.
    assert report.error < 1e-9
    assert report["truthful"].cases > 50_000
    assert len(report.states) >= 9


def test_nobody_is_told_a_later_place_than_theirs() -> None:
    """Who does not care when they are served must not be given a place behind nobody."""
    table = Table(mutants.Plain(), HURRIED)
    table.arrays()
    for profile in table.profiles():
        decided = table.decided(profile)
        served = decided.agents >= 0
        assert decided.places[served].tolist() == decided.stated_places[served].tolist(), profile


def test_no_place_is_worth_more_for_being_late() -> None:
    """A stake outweighs an answer that is a loss on time: being late must not look better than that."""
    report = audit_policy(mutants.Plain(), [HURRIED])
    assert report.passed, report
    assert report.error < 1e-9


@pytest.mark.parametrize(
    ("mutant", "state", "claim"),
    [
        (mutants.PayAsBid, IDLE, "truthful"),
        (mutants.GreedyVcg, WALL, "truthful"),
        (mutants.GreedyPosted, WALL, "truthful"),
        (mutants.Optimistic, IDLE, "individually-rational"),
        (mutants.OptimisticForecast, IDLE, "predictions"),
        (mutants.RowMinimum, HASTE, "socially-efficient"),
        (mutants.Recomputed, IDLE, "individually-rational"),
        (mutants.ReadsReport, IDLE, "truthful"),
        (mutants.ReadsReport, IDLE, "non-interference"),
        (mutants.ReadsOthers, IDLE, "non-interference"),
        (mutants.Shared, IDLE, "truthful"),
        (mutants.EagerForTheRich, IDLE, "non-interference"),
        (mutants.OwnPast, IDLE, "own-past"),
        (mutants.FirstWins, IDLE, "order-independent"),
        (mutants.Learning, IDLE, "order-independent"),
    ],
)
def test_a_fault_is_refuted_with_a_counterexample(mutant: type, state: str, claim: str) -> None:
    found = audit_policy(mutant(), [STATES[state]])[claim]
    assert found.status is Status.REFUTED, found
    assert found.case is not None and found.worst >= found.case.amount > 0


def test_a_deficit_is_forgiven_within_the_budget_alone() -> None:
    state = [STATES[IDLE]]
    explored = audit_policy(mutants.Plain(budget=0.6), state)
    assert explored["no-deficit"] and "costs the auctioneer" in explored["no-deficit"].said
    assert explored["within-budget"].cases > 1
    none = audit_policy(mutants.Plain(budget=0.0), state)
    assert none.passed and not none["no-deficit"].note
    found = audit_policy(mutants.Subsidy(budget=1.0), [*state, STATES[HASTE]])["no-deficit"]
    assert found.status is Status.REFUTED and "credits at most" in found.said
    assert audit_policy(mutants.Forgetful(budget=0.6), state)["within-budget"].status is Status.REFUTED


def test_fees_that_are_recomputed_cost_more_than_they_earn() -> None:
    """Two bidders worth 5 net, a fee of 3 for each other: each is charged 6 beyond its cost."""
    agents = (AgentLaw(slowness=0.1), AgentLaw(slowness=0.1))
    state = State(
        "two alike",
        agents,
        (Asked("a", tuple(range(1, 9))), Asked("b", tuple(range(101, 109)))),
        lessons(agents, [("p", Preferences(6.0, 1.0))]),
        worths=(11.6,),
        delays=(0.0,),
    )
    found = audit_policy(mutants.Recomputed(), [state])["individually-rational"]
    # Value 5.8, cost 0.8: worth 5 net. Alone each would earn 5, both together 4: each is charged 6 and its cost.
    assert found.worst == 1_000_000


def test_normalised_fees_serve_at_a_loss_to_society() -> None:
    found = audit_policy(mutants.RowMinimum(), [STATES[HASTE]])["socially-efficient"]
    assert found.case is not None and "it costs others" in found.case.text
    assert audit_policy(mutants.Plain(), [STATES[HASTE]])["socially-efficient"]


def test_no_case_is_no_verdict() -> None:
    report = audit_policy(mutants.Nobody, [STATES[IDLE]])
    assert report["socially-efficient"].status is Status.UNKNOWN
    assert report["truthful"] and not report.passed
    assert PolicyFinding.over("truthful", 0, 0.0, []).status is Status.UNKNOWN
    assert not audit_policy(mutants.Plain, [])


def test_the_smallest_counterexample_is_worked_out_in_the_report() -> None:
    report = audit_policy(mutants.PayAsBid(), [STATES[IDLE]])
    case = report["truthful"].case
    assert case is not None
    # One bidder is enough, and one field of the report.
    assert case.size[:2] == (1, 1)
    played = Table(mutants.PayAsBid(), next(replace(STATES[IDLE], asked=STATES[IDLE].asked[:1]) for _ in "1")).arrays()
    assert truthful(played).status is Status.REFUTED
    assert "reports worth" in case.text and "gains" in str(report)
    assert json.loads(report.to_json())["findings"][0]["counterexample"]["amount"] == case.amount


def test_the_reference_is_what_a_pencil_says() -> None:
    law = AgentLaw()
    state = State("one", (law,), (Asked("a", tuple(range(1, 17))), Asked("b", tuple(range(101, 117)))))
    reference = state.reference(state.begin(mutants.Plain()))
    # 4 * (0.1 + 0.006 * 16 + 0.000003 * 16 * 16 / 2 + 0.015) seconds, and again for whoever stands behind.
    service = 4 * (0.1 + 0.096 + 3e-6 * 128 + 0.015)
    assert reference.latency[0, 0].tolist() == pytest.approx([service, 2 * service])
    assert reference.cost.tolist() == [[pytest.approx(0.05 * 16 + 0.1 * 4)]] * 2
    assert reference.value(0, 0, 1, Preferences(10.0, 1.0)) == pytest.approx(5 - 2 * service)
    assert reference.value(0, 0, 1, Preferences(10.0, 1.0, deadline=1.0)) == 0


def test_the_page_on_auditing_a_policy_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "auditing-a-policy.md").read_text()
    *_, example = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(example, "auditing-a-policy.md", "exec"), {})
    assert capsys.readouterr().out == "VERIFIED\n"
    report = audit_policy(mutants.Plain, [STATES[IDLE]])
    assert all(name in page for name in report)


def test_what_is_no_policy_is_refused() -> None:
    with pytest.raises(AuditError, match="lacks attach, ready, decide, notice"):
        find_policy(3)  # type: ignore[arg-type]
    with pytest.raises(AuditError, match="cannot be made without arguments"):
        find_policy(__import__("runtime").Auction)
    with pytest.raises(MechanismError):
        find_policy("no_such_module:Policy")
    with pytest.raises(AuditError, match="no agent, request or type"):
        State("empty", (), ())
    with pytest.raises(AuditError, match="profiles are more than"):
        audit_policy(mutants.Plain, [replace(STATES[WALL], worths=tuple(map(float, range(1, 99))))])
