"""What a notebook shows of a report, a finding and a counterexample."""

from dataclasses import replace

import pytest

from proofs import SUITE, Grid, audit
from proofs.evidence.finding import Report

pytestmark = pytest.mark.usefixtures("replayed_here")


@pytest.fixture(scope="module")
def refuted() -> Report:
    return audit("pay-as-bid", Grid(2, 1, range(3)), ["truthful", "no-deficit"])


def test_a_report_shows_every_finding_and_the_counterexample(refuted: Report) -> None:
    page = refuted._repr_html_()
    assert "✗ REFUTED" in page and "✓ VERIFIED" in page and "PayAsBid" in page
    assert "bidder 0 reports [1] instead of [2] and gains 1" in page and "The true market: 1 request, 1 agent" in page
    assert "✗ truthful fails by 1 micro-unit:" in page


def test_a_finding_of_a_suite_names_its_scopes_in_a_line() -> None:
    finding = audit("vcg", SUITE.only(["plain"]), ["no-deficit"])["no-deficit"]
    page = finding._repr_html_()
    assert "✓ VERIFIED" in page and "1 scope, 4,096 profiles: plain" in page


def test_answers_stand_side_by_side(refuted: Report) -> None:
    found = refuted["truthful"].counterexample
    assert found is not None
    page = found._repr_html_()
    assert "honest" in page and "deviating" in page and "bidder 0 reports 1" in page


def test_an_outcome_property_shows_without_a_deviation() -> None:
    found = audit("posted-price", Grid(2, 1, range(3)), ["efficient"])["efficient"].counterexample
    assert found is not None
    page = found._repr_html_()
    assert "✗ efficient fails" in page and "honest" in page and "deviating" not in page


def test_strangers_words_are_escaped(refuted: Report) -> None:
    found = refuted["truthful"].counterexample
    assert found is not None
    hostile = "<img src=x onerror=alert(1)>"
    bad = replace(refuted["truthful"], counterexample=replace(found, text=hostile), note=hostile)
    page = replace(refuted, findings=(bad,), subject=replace(refuted.subject, name=hostile))._repr_html_()
    assert "<img" not in page and page.count("&lt;img src=x onerror=alert(1)&gt;") >= 2


def test_a_frame_has_a_row_a_finding(refuted: Report) -> None:
    frame = refuted.frame()
    assert frame["property"].to_list() == ["truthful", "no-deficit"]
    assert frame["status"].to_list() == ["REFUTED", "VERIFIED"] and frame["worst"].to_list() == [1, 0]
