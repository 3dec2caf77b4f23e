"""Recipes of traffic: what they are called, what they read, what they refuse."""

from pathlib import Path

import numpy as np
import pytest

from experiments.answers import AnswerTable
from experiments.errors import DatasetError, StudyError
from experiments.traces import RequestTrace
from experiments.worlds.presets import find_preset
from experiments.worlds.workloads.workload import Dialogues, Questions, Trace, Workload

TABLE = AnswerTable(
    "ten.json", tuple(f"q{k}" for k in range(10)), ("a-8b", "b-70b"), np.tile([[0.5, 1.0]], (10, 1)), sha256="ab" * 32
)
TRACE = RequestTrace("t.csv", [0.0, 10.0], [40, 30], [4, 4], sha256="cd" * 32)  # type: ignore[arg-type]
BIDDERS = find_preset("differing")


@pytest.mark.parametrize(
    ("load", "name"),
    [
        (Dialogues(), "shipped, 0.5/s"),
        (Dialogues(rate=2, dialogues=3), "shipped, 2/s, dialogues 3"),
        (Dialogues(("shipped", "x/quac/dev.json"), think_time_s=1.5), "shipped+quac, 0.5/s, think time s 1.5"),
        (Dialogues(rate=0.12345678), "shipped, 0.12345678/s"),
        (Dialogues(answers="shipped"), "shipped, 0.5/s, scored by shipped"),
        (Questions(TABLE, models=("a-8b",)), "ten.json, 2/s, models a-8b"),
        (Questions("llmrouter-train", train=0), "llmrouter-train, 2/s, train 0"),
        (Trace(TRACE, count=5, speedup=0.1), "t.csv, count 5, speedup 0.1"),
        (Trace("mooncake-conversation", answers=TABLE), "mooncake-conversation, scored by ten.json"),
    ],
)
def test_a_name_says_what_differs_from_the_defaults(load: Workload, name: str) -> None:
    assert load.name == name


def test_sources_are_the_files_with_their_checksums() -> None:
    [(name, sha256)] = Dialogues().sources
    assert name == "shipped" and len(sha256) == 64
    assert len(Dialogues(answers="shipped").sources) == 2
    assert Questions(TABLE).sources == (("ten.json", "ab" * 32),)
    assert Trace(TRACE, answers=TABLE).sources == (("t.csv", "cd" * 32), ("ten.json", "ab" * 32))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Dialogues(rate=0), "Dialogues: rate = 0; expected a number, more than 0"),
        (lambda: Dialogues(rate=float("nan")), "Dialogues: rate = nan"),
        (lambda: Dialogues(rate="fast"), "Dialogues: rate = 'fast'"),  # type: ignore[arg-type]
        (lambda: Dialogues(dialogues=2.5), r"Dialogues: dialogues = 2\.5; expected a whole number, 1 or more"),  # type: ignore[arg-type]
        (lambda: Dialogues(warm_up=-1), "Dialogues: warm_up = -1; expected a whole number, 0 or more"),
        (lambda: Dialogues(think_time_s=-1.0), r"Dialogues: think_time_s = -1\.0; expected a number, 0 or more"),
        (lambda: Dialogues(()), r"Dialogues: data = \(\); expected a name or a file"),
        (lambda: Questions(3), "Questions: table = 3; expected a name, a file or AnswerTable"),  # type: ignore[arg-type]
        (lambda: Questions(TABLE, count=0), "Questions: count = 0"),
        (lambda: Questions(TABLE, train=-1), "Questions: train = -1"),
        (lambda: Trace(TRACE, speedup=0), "Trace: speedup = 0"),
        (lambda: Trace(TRACE, longest=0), "Trace: longest = 0"),
        (lambda: Questions(TABLE, train=10).scored, r"ten\.json has 10 questions; train = 10 leaves none to ask"),
        (lambda: Dialogues(warm_up=99).draw(BIDDERS, 0), "a warm-up of 99 leaves none to play"),
    ],
)
def test_what_can_be_no_workload_is_refused_by_its_field(make, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StudyError, match=said):
        make()


def test_data_that_is_nowhere_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no-such-file"):
        Dialogues("no-such-file").draw(BIDDERS, 0)
    with pytest.raises(DatasetError, match="is a folder"):
        Dialogues(str(tmp_path)).draw(BIDDERS, 0)


def test_what_is_asked_is_nothing_that_was_learnt_from_and_the_same_for_every_seed() -> None:
    load = Questions(TABLE, train=4, count=6)
    assert load.training is not None
    assert sorted((*load.training.questions, *load.scored.questions)) == sorted(TABLE.questions)
    asked = {one.dialogue.turns[0].question for one in load.draw(BIDDERS, 0).conversations}  # type: ignore[attr-defined]
    assert asked == set(load.scored.questions)
    whole = Questions(TABLE, train=0)
    assert whole.training is None and whole.scored is TABLE
    assert Trace(TRACE, answers=TABLE, train=0).training is None and Trace(TRACE).training is None


def test_models_of_a_table_are_those_that_are_named() -> None:
    assert Questions(TABLE, models="b-70b", train=0).scored.models == ("b-70b",)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="no model 'c'"):
        _ = Questions(TABLE, models=("c",)).scored


def test_a_trace_comes_faster_shorter_and_cut() -> None:
    load = Trace(TRACE, count=1, longest=16).draw(BIDDERS, 0)
    assert load.turns == 1 and load.trace.prompt_tokens.tolist() == [16]  # type: ignore[attr-defined]
    assert Trace(TRACE, speedup=4.0).draw(BIDDERS, 0).trace.at_s.tolist() == [0.0, 2.5]  # type: ignore[attr-defined]


def test_a_faster_trace_has_the_same_bidders() -> None:
    stated = RequestTrace("t.csv", [0.0, 9.0], [4, 3], [4, 4], bidder=("x", "y"), worth=[1.0, 2.0])  # type: ignore[arg-type]
    once, twice = (Trace(stated, speedup=speedup).draw(BIDDERS, 3) for speedup in (1.0, 2.0))
    assert once.types == twice.types and list(once.types) == ["x", "y"]


def test_a_file_that_was_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv"
    path.write_text("at_s,prompt_tokens,output_tokens\n0,5,1\n")
    assert Trace(path).draw(BIDDERS, 0).turns == 1  # type: ignore[arg-type]
    before = Trace(str(path)).sources
    path.write_text("at_s,prompt_tokens,output_tokens\n0,5,1\n1,6,1\n")
    assert Trace(str(path)).draw(BIDDERS, 0).turns == 2 and Trace(str(path)).sources != before
