"""What one report may gain in two rounds, and what several buy."""

import pytest

from experiments.audits import two_rounds
from experiments.audits.outside import false_names, lengths, splitting
from experiments.audits.suite import suite_outside
from experiments.audits.two_rounds import late_arrival, past_reports, resubmission, single_report
from mechanisms import find_mechanism
from proofs import Status
from runtime import PaperAuction
from tests.experiments.audits import mutants

ALONE, PLACE, FLEET, _ = two_rounds()


def test_one_report_is_decided_once() -> None:
    found = single_report(mutants.Plain(), two_rounds())
    assert found and found.cases > 400


def test_waiting_to_be_auctioned_again_breaks_truth_for_a_single_report() -> None:
    """Losing on purpose is paid by the next round, where the rival is gone."""
    found = single_report(PaperAuction(find_mechanism("vcg")), [PLACE])
    assert found.status is Status.REFUTED
    assert found.case is not None and found.case.amount > 1_000_000
    assert "round 2: agent 0, place 0" in found.case.text


def test_a_past_report_may_buy_tomorrows_cache() -> None:
    found = past_reports(mutants.Plain(), [ALONE])
    assert found.status is Status.REFUTED and not found.claimed and found.verdict == "not claimed"
    assert found.case is not None
    # One bidder, one agent: served at a small loss now, they find their document cached in round 2.
    assert found.case.size[:2] == (1, 1) and "round 1: unserved" in found.case.text
    # Worth 2.25 at even odds: 1.125 - 1.200 now, 1.125 - 0.980 then.
    assert found.case.amount == pytest.approx(70_000, abs=2)


def test_coming_late_and_asking_again_are_tried() -> None:
    for examine in (late_arrival, resubmission):
        found = examine(mutants.Plain(), [FLEET])
        assert found.cases > 100 and not found.claimed


def test_what_is_no_report_is_printed_and_fails_nothing() -> None:
    three, alone = suite_outside()
    policy = mutants.Plain(budget=100.0)
    names, halves, most = false_names(policy, three), splitting(policy, alone), lengths(policy, alone)
    assert not (names.claimed or halves.claimed or most.claimed)
    assert names.case is not None and "as somebody else" in names.case.text
    assert halves.case is not None and "at most 2 in answer" in halves.case.text
    assert false_names(mutants.Plain(), alone).status is Status.UNKNOWN
