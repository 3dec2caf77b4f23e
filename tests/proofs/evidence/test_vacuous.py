"""What was never put to the test is UNKNOWN, with the reason; it is no pass."""

import pytest

from mechanisms import DynamicPivot, PerRound, find_mechanism
from proofs import ALL, Grid, Reals, Report, Sample, Scope, Status, Truthful, audit, audit_rounds
from proofs.properties.agents import TruthfulAgents
from proofs.properties.coalitions import GroupTruthful
from proofs.rounds.conversations import Conversations
from proofs.subject.subject import Subject


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        (Grid(2, 2, [3]), "no case of it on this scope"),
        (Grid(2, 2, [3], ties="all"), "no case of it on this scope"),
        (Grid(2, 1, range(3), capacities=0), "nobody can be served"),
        (Grid(2, 1, range(3), capacities=0, ties="all"), "nobody can be served"),
        (Grid(2, 1, range(3), private_capacities=[0]), "nobody can be served"),
        (Reals(2, 1, capacities=0), "nobody can be served"),
    ],
    ids=str,
)
def test_nothing_was_checked_and_nothing_passes(scope: Scope, reason: str) -> None:
    report = audit("vcg" if isinstance(scope, Reals) else "pay-as-bid", scope, [Truthful()])
    finding = report["truthful"]
    assert finding.status is Status.UNKNOWN and reason in finding.note
    assert not finding and not report.passed


def test_every_property_needs_a_case() -> None:
    for prop in (Truthful(), TruthfulAgents(), GroupTruthful(members=2)):
        scope = Grid(2, 1, [3], private_costs=[1])
        assert audit("vcg", scope, [prop]).findings[0].status is Status.UNKNOWN
    assert audit("vcg", Sample(2, 1, (0, 9), capacities=0, draws=3), ALL).findings[0].status is Status.UNKNOWN
    assert {finding.status for finding in audit("vcg", Grid(2, 1, range(2), capacities=0), ALL).findings} == {
        Status.UNKNOWN
    }


def test_a_report_of_nothing_passes_nothing() -> None:
    assert not Report(Subject.of("vcg"), Grid(), (), 0.0).passed


def test_rounds_without_a_misreport_verify_nothing() -> None:
    for mechanism in (PerRound(find_mechanism("vcg")), DynamicPivot()):
        found = audit_rounds(mechanism, Conversations(bidders=1), [2])
        assert found.cases == 0 and found.status is Status.UNKNOWN and "no case" in found.note
