"""Mechanisms of a study: each audited once before anything runs, and looked at while it is served."""

import json
import sys
from pathlib import Path

import pytest

from experiments.errors import AuditRefusedError, ContradictionError
from experiments.studies.study import Dialogues, Study
from experiments.studies.study.keeping import kept as keeping
from experiments.worlds.presets import find_preset
from mechanisms import find_mechanism
from runtime import Auction
from tests.experiments.studies.study.few import FEW, Mine

HALF = """
from mechanisms import Payments, find_mechanism, serving_costs


class HalfPrice:
    \"\"\"Whoever is served pays half of what that costs, and agents get all of it.\"\"\"

    promises = {}

    def charge(self, market, allocation, allocator):
        costs = market.take(market.costs, allocation)
        return Payments(costs // 2, serving_costs(market, allocation))


def make():
    from runtime import Auction

    return Auction(find_mechanism("half_price:HalfPrice"), name="yours")
"""


@pytest.fixture
def half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replayed_here: None) -> Path:
    """A folder with a rule that is refuted."""
    (tmp_path / "half_price.py").write_text(HALF)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "half_price", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "policies",
    [
        [{"policy": "iemas", "name": "cheap", "mechanism": "half_price:HalfPrice"}],
        pytest.param(["random", "half_price:make"], marks=pytest.mark.slow),
    ],
    ids=["a rule of yours", "an auction of yours"],
)
def test_a_refuted_mechanism_is_refused_before_anything_runs_and_writes_nothing(
    policies: list[object], half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "run_all", lambda *given: pytest.fail("something was played"))
    before = set(half.iterdir())
    with pytest.raises(AuditRefusedError, match=r"refuted truthful \(bidder 0 .* and gains 1\), no-deficit \(.+\);"):
        Study(FEW, policies, seeds=1).run(workers=0, kept=half / "runs" / "runs.jsonl")
    assert {one for one in half.iterdir() if one.name != "__pycache__"} == before


@pytest.mark.slow
def test_a_refuted_mechanism_that_runs_despite_its_audit_says_so(half: Path) -> None:
    cheap = {"policy": "iemas", "name": "cheap", "mechanism": "half_price:HalfPrice"}
    result = Study(FEW, [cheap, "random"], seeds=1, despite_audit=True).run(workers=0, kept=half / "runs.jsonl")
    assert "no-deficit" in result.described["despite its audit"]
    assert "no-deficit fails while cheap serves (seed 0)" in result.described["contradicted"]
    shown = " ".join(result.table().split())
    assert "despite its audit: " in shown and "contradicted: " in shown
    # What contradicted an audit is not taken for settled: it is played, and told, each time.
    assert [json.loads(line)["run"] for line in (half / "runs.jsonl").read_text().splitlines()] and len(
        list(keeping.rows(half / "runs.jsonl"))
    ) == 1


def test_what_is_served_is_held_against_the_audit(half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the audit saw nothing, and the run stops all the same."""
    made = Study(FEW, [{"policy": "iemas", "name": "cheap", "mechanism": "half_price:HalfPrice"}], seeds=1)
    monkeypatch.setattr(Study, "audit", lambda self, progress=None: [])
    with pytest.raises(ContradictionError, match=r"no-deficit fails while cheap serves \(seed 0\)"):
        made.run(workers=0)


def test_every_mechanism_that_plays_is_audited_once() -> None:
    vcg = find_mechanism("vcg")
    made = Study(FEW, ["iemas", "paper-auction", "oracle", "iemas without gathering", "random", ("own", Auction(vcg))])
    assert [one.audited() for one in made.entrants[:4]] == [("vcg", None)] * 4
    assert made.entrants[4].audited() == (None, None) and made.entrants[5].audited()[0] is not None
    assert [str(report.subject) for report in Study(FEW, ["iemas", "oracle", "random"]).audit()] == [
        "VCG over MinCostFlow"
    ]
    assert Study(FEW, ["random", Mine]).audit() == []


def test_ablations_and_warmed_auctions_run_the_mechanism_that_was_audited() -> None:
    posted = find_mechanism("posted-price")
    warm = Dialogues("shipped", dialogues=2, turns=1, warm_up=1)
    for load in (FEW, warm):
        made = Study(load, ["iemas", "iemas without gathering", "oracle", "oracle of times"], mechanism=posted)
        traffic = load.draw(find_preset("differing"), 0)
        assert {id(one.make(made.cells[0], 0, traffic).mechanism) for one in made.entrants} == {id(posted)}  # type: ignore[attr-defined]


def test_a_rival_that_takes_reports_on_trust_is_stopped_by_nothing() -> None:
    """Greedy at cost is no truthful mechanism, and does not say that it is one: it is there to be compared with."""
    # At this seed a report would have gained in a round that greedy served.
    found = Study(Dialogues("shipped", rate=0.15, answers="shipped"), policies=["greedy", "flow"], seeds=[1])
    result = found.run(workers=0)
    assert [run.played.contradictions for run in result.runs] == [()] * 2 and result.audits == ()
