"""Misreports in rounds of a running world."""

import numpy as np
import pytest

from experiments.audits import probe_live
from experiments.routers.informed import CMu
from mechanisms import Preferences, find_mechanism
from proofs import AuditError, Status
from tests.experiments.audits import mutants


def test_no_misreport_gains_in_live_rounds_where_pay_as_bid_lets_many() -> None:
    report = probe_live(mutants.Plain(), triples=300)
    mine, other = report["iemas"], report["pay-as-bid"]
    assert mine.cases == other.cases >= 300
    assert mine.case is None and mine.status is Status.UNKNOWN
    assert report.error < 1e-6 and report.utility == 0
    assert other.status is Status.REFUTED and other.case is not None
    assert report.contested / report.rounds >= 0.3
    assert not report.refuted and "capacity binds" in str(report)


@pytest.mark.slow
def test_optimism_in_values_shows_in_live_rounds() -> None:
    def modest(rng: np.random.Generator) -> Preferences:
        # So much in haste that nothing is at stake beyond the answer.
        worth = float(rng.uniform(8, 20))
        return Preferences(worth, worth / 2 - 2)

    assert probe_live(mutants.Optimistic(), triples=40, beside={}, preferences=modest).utility < 0
    assert probe_live(mutants.Plain(), triples=40, beside={}, preferences=modest).utility == 0


def test_the_policy_itself_may_be_refuted() -> None:
    report = probe_live(mutants.PayAsBid(), triples=60, beside={})
    assert report.refuted and not report.passed
    # A policy that notes nothing and charges nothing can be probed too.
    assert probe_live(CMu(), triples=60)["c-mu"].cases >= 60
    with pytest.raises(AuditError, match="no `mechanism`"):
        probe_live(CMu(), triples=1, beside={"vcg": find_mechanism("vcg")})
