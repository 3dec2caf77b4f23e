"""Questions that were stopped: finished runs are believed where nothing changed, others are run, and both is said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.studies.findings import catalogue
from experiments.studies.findings.exhibits.exhibit import Exhibit
from experiments.studies.findings.rounds import hubs, richer_qos, scale
from experiments.studies.findings.rules import bidding, budget, published_rule, strategic, value_of_truth
from experiments.studies.findings.rules.served import World
from experiments.studies.findings.serving import churn, gateways, prediction
from experiments.studies.study.keeping import kept as keeping
from experiments.studies.study.keeping.kept import Kept
from experiments.worlds.workloads.workload import Dialogues

TINY = World(copies=1, rate=20.0, bidders=3, dialogues=3, turns=2)
BUSY = World(copies=4, rate=60.0, bidders=12, slots=1, dialogues=3, turns=2)
FEW = Dialogues("shipped", rate=2.0, dialogues=2, turns=2, answers="shipped")

#: Those that take longest.
_LONG = ("bidding", "prediction", "value-of-truth", "strategic")
#: By question, what makes it small, and how many runs two seeds of it are.
SMALL: dict[str, tuple[Any, dict[str, Any], int]] = {
    "value-of-truth": (value_of_truth, {"world": BUSY, "rounds": 4, "drawn": 1}, 2),
    "strategic": (strategic, {"world": BUSY, "rounds": 1}, 2),
    "published-rule": (published_rule, {"world": TINY, "slots": (1,), "rounds": 1}, 2),
    "hubs": (hubs, {"sizes": ((8, 60, (1, 2)),)}, 2),
    "richer-qos": (richer_qos, {"agents": 4, "requests": 40}, 2),
    "scale": (scale, {"sizes": ((3, 40), (5, 60))}, 4),
    "prediction": (prediction, {"rates": (2.0,), "dialogues": 2}, 6),
    "churn": (churn, {"policies": ("cache-aware",), "talks": FEW}, 46),
    "bidding": (bidding, {"world": TINY, "deviators": 1}, 8),
    "budget": (budget, {"world": TINY, "horizon": 20}, 2),
    "gateways": (gateways, {}, 24),
}


class StoppedError(Exception):
    """As Ctrl-C would."""


@pytest.fixture(autouse=True)
def shipped_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IEMAS_DATASETS", raising=False)
    monkeypatch.setattr(gateways, "Dialogues", lambda rate: Dialogues(rate=rate, dialogues=2, turns=1))


def stopping_at(most: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done == most:
            raise StoppedError

    return progress


def quiet(done: int, total: int) -> None:
    pass


def rows(found: Exhibit) -> str:
    return repr([one.rows for one in (found, *found.more)])


@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.slow] * (one in _LONG)) for one in SMALL])
def test_a_question_that_was_stopped_goes_on(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module, small, runs = SMALL[name]
    path = tmp_path / "runs.jsonl"
    with pytest.raises(StoppedError):
        module.run(seeds=[0, 1], workers=0, progress=stopping_at(1), kept=Kept(path), **small)
    assert len(path.read_text().splitlines()) == 1 and "kept" not in capsys.readouterr().err
    kept = Kept(path)
    found = module.run(seeds=[0, 1], workers=0, progress=quiet, kept=kept, **small)
    assert (kept.asked, kept.found, kept.played) == (runs, 1, runs - 1)
    assert kept.said == f"1 of {runs} runs kept, {runs - 1} run"
    assert f"{path}: 1 of {runs} runs kept, {runs - 1} to run\n" in capsys.readouterr().err
    # Whether a run was kept makes no difference.
    again = module.run(seeds=[0, 1], workers=0, progress=stopping_at(-1), kept=Kept(path), **small)
    assert rows(again) == rows(found) and len(path.read_text().splitlines()) == runs
    if name not in ("scale", "hubs"):  # which tell of this machine's time
        assert rows(module.run(seeds=[0, 1], workers=0, progress=quiet, **small)) == rows(found)


def test_every_question_can_be_gone_on_from() -> None:
    """Of the rest, runs are a `Study`'s, which goes on as any does."""
    assert set(catalogue.QUESTIONS) - set(SMALL) == {"paper", "heterogeneity", "engine-limits"}


def _played(path: Path, **changed: Any) -> int:
    kept = Kept(path)
    given: dict[str, Any] = {"seeds": [0, 1], "world": TINY, "slots": (1,), "rounds": 1, **changed}
    published_rule.run(workers=0, progress=quiet, kept=kept, **given)
    return kept.played


def test_runs_of_other_parameters_code_or_data_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.jsonl"
    assert _played(path) == 2 and _played(path) == 0
    assert _played(path, seeds=[1, 2]) == 1
    assert _played(path, rounds=2) == 2 and _played(path) == 0
    with monkeypatch.context() as patch:
        patch.setattr(keeping, "ours", lambda: "other code")
        assert _played(path) == 2
    with monkeypatch.context() as patch:
        patch.setattr(Dialogues, "sources", (("shipped", "other bytes"),))
        assert _played(path) == 2
    assert _played(path) == 0


def test_a_line_that_was_edited_cut_off_or_is_no_run_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    assert _played(path) == 2
    first, second = path.read_text().splitlines()
    edited = json.loads(first)
    edited["run"]["figures"]["exact"] += 1.0
    path.write_text(json.dumps(edited) + "\n" + second[:-20])
    assert _played(path) == 2
    # Whole, and with a checksum: but nothing that this question's runs are.
    path.unlink()
    keeping.append(path, {"key": json.loads(first)["key"], "run": {"other": 1}})
    keeping.append(path, {"key": json.loads(second)["key"], "run": json.loads(second)["run"]})
    assert _played(path) == 1


def test_an_answer_says_what_was_kept_in_its_file_and_on_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "SIZES", ((3, 40),))
    monkeypatch.setitem(scale.run.__kwdefaults__, "sizes", ((3, 40),))
    path = tmp_path / "runs.jsonl"
    made = catalogue.answer_question("scale", [0], 0, quiet, Kept(path)).made
    assert made.kept == "" and "gone on from" not in dict(made.lines())
    found = catalogue.answer_question("scale", [0, 1, 2], 0, quiet, Kept(path))
    assert found.made.kept == "1 of 3 runs kept, 2 run"
    read = Exhibit.load(found.save(tmp_path / "exhibit.json"))
    assert read.made.kept == found.made.kept
    page = found.report(tmp_path / "report.html").read_text()
    assert "gone on from" in page and "1 of 3 runs kept, 2 run" in page
