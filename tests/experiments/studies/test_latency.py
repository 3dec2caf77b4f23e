"""Traces of served requests, and what latency models would have foretold of them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.errors import StudyError
from experiments.studies.demo import Plan, examine, simulate
from experiments.studies.latency import Timed, joined, load, replayed, save
from experiments.studies.replay.runs import replay
from runtime.traces.reading import read_trace

ONE = Timed(0, "m", 0.01, 200, 0, 0, 4, 16, 0, 8, 0, 0, 0, 0.0, 1.0, 2.0)


def steady(count: int, per_token: float = 0.005) -> list[Timed]:
    """An engine that takes 0.1 s and so much a token, one request at a time."""
    rng = np.random.default_rng(0)
    rows, at = [], 0.0
    for _ in range(count):
        prompt = int(rng.integers(50, 600))
        took = 0.1 + per_token * prompt
        rows.append(replace(ONE, prompt=prompt, sent_s=at, first_s=at + took, done_s=at + took + 0.5))
        at += took + 1.0
    return rows


def test_what_is_exactly_linear_is_foretold_by_both_models_in_the_end() -> None:
    rows = steady(120)
    queue, trees, both, again = replayed(rows)
    assert both.nmae() <= queue.nmae() + 0.005
    assert queue.nmae() < 0.05 and again.nmae() <= queue.nmae()
    assert np.abs(trees.predicted[60:] - trees.measured[60:]).mean() < 0.1
    assert queue.measured.tolist() == pytest.approx([one.waited_s for one in rows])
    assert queue.nmae(5) == pytest.approx(
        np.abs(queue.predicted[:5] - queue.measured[:5]).sum() / queue.measured[:5].sum()
    )


def test_a_trace_survives_its_file_and_several_are_one(tmp_path: Path) -> None:
    rows = steady(5)
    save(list(reversed(rows)), tmp_path / "a" / "trace.jsonl")
    assert load(tmp_path / "a" / "trace.jsonl") == rows
    both = joined([rows, [], rows])
    assert len(both) == 10 and both[5].sent_s == pytest.approx(rows[-1].done_s + 60)
    assert [one.waited_s for one in both] == pytest.approx([one.waited_s for one in [*rows, *rows]])
    (tmp_path / "bad").write_text('{"agent": 1}\n')
    with pytest.raises(StudyError, match="is no trace"):
        load(tmp_path / "bad")
    with pytest.raises(StudyError, match="empty"):
        replayed([])


def test_a_demonstration_leaves_traces_that_the_command_reads(tmp_path: Path) -> None:
    plan = Plan(data=("shipped",), dialogues=3, turns=3, seeds=(0,), policies=("iemas",), rate=1.0, books=tmp_path)
    result = simulate(plan, examine(plan), lambda *done: None)
    [trace] = tmp_path.glob("*.latency.jsonl")
    rows = load(trace)
    assert len(rows) == len(result.runs[0].served) > 0
    first_tokens = sorted(one.completion.first_token_s for one in result.runs[0].served)
    assert sorted(one.waited_s for one in rows) == pytest.approx(first_tokens, abs=1e-6)
    done = CliRunner().invoke(app, ["latency", str(trace), "--depth", "1", "--json"])
    assert done.exit_code == 0
    assert [row["model"] for row in json.loads(done.stdout)] == [
        "queue", "Hoeffding trees", "queue + trees", "queue, second pass",
    ]  # fmt: skip
    [recorded] = tmp_path.glob("*.trace.jsonl")
    told = read_trace(recorded)
    assert len(told.requests) == sum(len(run.served) + len(run.declined) for run in result.runs)
    assert sum(one.charge for one in told.requests) == sum(one.charge for one in result.runs[0].served)
    played = replay(told, ["cache-aware"])
    assert played.runs[0].served > 0
