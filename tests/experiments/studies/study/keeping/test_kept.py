"""Finished runs: which a study that was stopped need not run again, and what decides that."""

import hashlib
import json
import sys
from pathlib import Path

import pytest

from experiments.studies.study import Dialogues, Study, StudyResult
from experiments.studies.study import study as studying
from experiments.studies.study.keeping import kept as keeping
from experiments.studies.study.running.playing import Measuring
from experiments.worlds.fleets import FLEET
from experiments.worlds.rooflines import model_agent
from mechanisms import Preferences
from tests.experiments.studies.study.few import FEW, Mine


def test_a_study_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, steps = tmp_path / "folder" / "runs.jsonl", []
    played: list[str] = []
    plain = studying.play
    monkeypatch.setattr(studying, "play", lambda task: (played.append(task.title), plain(task))[1])
    # Tasks of this process are copied as if they travelled; what counts them is not.
    monkeypatch.setattr(keeping, "run_all", lambda work, tasks, *_: ((k, work(one)) for k, one in enumerate(tasks)))

    def go(policies: list[object], seeds: int) -> StudyResult:
        played.clear()
        return Study(FEW, policies, seeds).run(
            workers=0, kept=kept, progress=lambda done, total: steps.append((done, total))
        )

    first = go(["random", Mine], 2)
    assert len(played) == 4 == len(kept.read_text().splitlines()) and steps[-1] == (4, 4)
    again = go(["random", Mine], 2)
    assert played == [] and repr(again.runs) == repr(first.runs)
    assert (first.made.kept, again.made.kept) == ("", "4 of 4 runs kept, 0 run")
    # Another seed, another policy: what was there already is not played again.
    go(["random", Mine, "round-robin"], 3)
    assert len(played) == 3 + 2 and "random in shipped, 2/s, dialogues 2, turns 2 at seed 2" in played
    # A line that was cut off, and one that is none, are played again and take no other with them.
    lines = kept.read_bytes().splitlines()
    kept.write_bytes(b"\xff\n[1]\n" + b"\n".join(lines)[:-40])
    go(["random", Mine, "round-robin"], 3)
    assert len(played) == 1
    go(["random", Mine, "round-robin"], 3)
    assert played == []
    # A figure that somebody changed.
    lines = [line for line in kept.read_bytes().splitlines() if line.startswith(b'{"key"')]
    row = json.loads(lines[0])
    row["run"]["score"]["quality"] = 1.0
    kept.write_bytes(b"\n".join([json.dumps(row).encode(), *lines[1:]]) + b"\n")
    go(["random", Mine, "round-robin"], 3)
    assert len(played) == 1
    # Another code of ours.
    monkeypatch.setattr(keeping, "ours", lambda: "other code")
    go(["random"], 1)
    assert len(played) == 1


def test_what_decides_a_run_decides_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_kept.py").write_text("class Policy:\n    pass\n")
    (tmp_path / "talks.csv").write_text("at_s,prompt_tokens,output_tokens\n0,5,1\n")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("mine_kept")

    def key(**changed: object) -> str:
        given: dict[str, object] = {"workload": FEW, "policies": ["mine_kept:Policy"], "seeds": [0], **changed}
        return keeping.keys(Study(**given)._tasks())[0]  # type: ignore[arg-type]

    keys = {
        key(),
        key(seeds=[1]),
        key(slots=1),
        key(bidders="varied"),
        key(bidders=lambda rng: Preferences(1.0, 2.0)),
        key(bidders=lambda rng: Preferences(1.0, 3.0)),
        key(fleet=FLEET[:2]),
        key(fleet=[model_agent("a-8b")]),
        key(fleet=[model_agent("a-8b", billions=9)]),
        key(churn=[(1.0, "small-a", "leaves")]),
        key(measures=[lambda load: Measuring()]),
        key(policies=[{"policy": "iemas", "name": "mine_kept:Policy"}]),
        key(policies=["iemas"], mechanism="posted-price"),
        key(workload=Dialogues("shipped", rate=2.0, dialogues=2, turns=2, answers="shipped")),
    }
    assert len(keys) == 14 and key() == key() == key(despite_audit=True, delay="last-token", name="other")
    before = key()
    (tmp_path / "mine_kept.py").write_text("class Policy:\n    changed = 1\n")
    assert key() != before
    monkeypatch.delitem(sys.modules, "mine_kept")


def test_our_code_is_found_from_where_this_module_is() -> None:
    """From anywhere else nothing would be read, and every version of ours would keep the runs of every other."""
    assert keeping.ours() != hashlib.sha256().hexdigest()[:16]
