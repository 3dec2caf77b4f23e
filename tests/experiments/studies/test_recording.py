"""Recording answers: what is asked, what is kept, and how a recording goes on."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from experiments.answers import load_answers
from experiments.data import Corpus, Dialogue, Turn, shipped
from experiments.errors import DatasetError
from experiments.studies.recording import (
    AnswerFile,
    GradedQuestion,
    Recorded,
    graded_questions,
    record_answers,
    recording_header,
)
from runtime import Completion, EngineError, EngineInfo, Message, Request, RequestError
from runtime.errors import Refused


def _corpus(*dialogues: Dialogue) -> Corpus:
    return Corpus("t.json", dialogues, "CC0-1.0", "a test", "0" * 64, "iemas-dialogues/1")


CORPUS = _corpus(
    Dialogue("d", "Bo is a cat.", (Turn("Who?", ("a cat", "Bo")), Turn("Why?", ("yes",)), Turn("When?")), "cats"),
    Dialogue("e", "Ada.", (Turn("Who?", ("Ada",)),), "people"),
    Dialogue("f", "Not graded.", (Turn("Who?", ("Ada",)),), "people", graded=False),
)
QUESTIONS = graded_questions(CORPUS)


class Fake:
    """An engine that answers at once, and counts."""

    def __init__(self, name: str, says: Callable[[Request], str]) -> None:
        self.name, self._says = name, says
        self.asked: list[Request] = []

    async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        self.asked.append(request)
        await asyncio.sleep(0)
        text = self._says(request)
        return Completion(text, len(request.messages), 0, len(text.split()), 0.0, 0.0)

    async def start(self) -> EngineInfo:
        raise AssertionError("whoever records starts nothing")


def _record(path: Path, *engines: Fake, questions: Sequence[GradedQuestion] = QUESTIONS, **more: int) -> Recorded:
    names = [engine.name for engine in engines]
    file = AnswerFile(path, recording_header(CORPUS, names, [(1.0, 2.0)] * len(names), 8, "fakes"))
    try:
        return asyncio.run(record_answers(engines, names, questions, file, max_tokens=8, **more))  # type: ignore[arg-type]
    finally:
        file.close()


def test_graded_questions_come_with_the_recorded_history() -> None:
    assert [question.id for question in QUESTIONS] == ["d/0", "d/1", "e/0"]
    assert QUESTIONS[1].messages[1:] == (
        Message("user", "Who?"),
        Message("assistant", "a cat"),
        Message("user", "Why?"),
    )
    with pytest.raises(DatasetError, match="no graded question"):
        graded_questions(_corpus(CORPUS.dialogues[2]))


def test_every_model_is_asked_every_question_and_scored(tmp_path: Path) -> None:
    a, b = Fake("a", lambda request: "a cat"), Fake("b", lambda request: "Ada yes")
    path = tmp_path / "out.jsonl"
    assert _record(path, a, b) == Recorded(3)
    assert [request.messages for request in a.asked] == [question.messages for question in QUESTIONS]
    table = load_answers(path)
    assert (table.models, table.questions, table.topics) == (
        ("a", "b"),
        ("Who?", "Why?", "Who?"),
        ("cats",) * 2 + ("people",),
    )
    assert table.scores.ravel() == pytest.approx([1, 0, 0, 2 / 3, 0, 2 / 3], abs=1e-6)
    assert table.outputs is not None and table.outputs.tolist() == [[2, 2]] * 3
    assert table.inputs is not None and table.inputs.tolist() == [[2, 2], [4, 4], [2, 2]]
    assert table.prices is not None and table.prices.tolist() == [[1, 2], [1, 2]]
    assert "t.json (3 dialogues, 5 turns), answered by a, b on fakes" in table.measured


def test_what_is_recorded_is_not_asked_again_and_a_line_cut_short_is(tmp_path: Path) -> None:
    path, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    _record(whole, Fake("a", lambda request: "Ada"))
    _record(path, Fake("a", lambda request: "Ada"), questions=QUESTIONS[:2])
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    again = Fake("a", lambda request: "Ada")
    assert _record(path, again) == Recorded(3)
    assert [request.id for request in again.asked] == ["a/d/1", "a/e/0"]
    assert path.read_bytes() == whole.read_bytes()
    assert _record(path, again) == Recorded(3) and len(again.asked) == 2


def test_half_a_character_is_no_text_and_a_file_may_end_in_one(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    _record(path, Fake("a", lambda request: "caf\u00e9 \ud83d"))
    content = path.read_bytes()
    assert len(load_answers(path).questions) == 3
    path.write_bytes(content[: content.rindex("é".encode()) + 1])
    assert _record(path, Fake("a", lambda request: "caf\u00e9 \ud83d")) == Recorded(3)
    assert path.read_bytes() == content


def test_an_engine_that_dies_leaves_what_was_answered(tmp_path: Path) -> None:
    def dies(request: Request) -> str:
        if request.id == "a/e/0":
            raise EngineError("gone")
        return "yes"

    path = tmp_path / "out.jsonl"
    with pytest.raises(EngineError, match="gone"):
        _record(path, Fake("a", dies))
    assert len(path.read_text().splitlines()) == 3
    assert _record(path, Fake("a", lambda request: "Ada")).lines == 3


def test_an_interrupt_leaves_whole_lines(tmp_path: Path) -> None:
    def interrupts(request: Request) -> str:
        if request.id == "a/d/1":
            raise KeyboardInterrupt
        return "yes"

    path = tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        _record(path, Fake("a", interrupts), at_once=1)
    assert [json.loads(line).get("id") for line in path.read_text().splitlines()] == [None, "d/0"]


def test_a_question_that_one_engine_refuses_is_left_out_and_a_wrong_key_stops_all(tmp_path: Path) -> None:
    def refuses(request: Request) -> str:
        if request.id == "b/d/1":
            raise RequestError("too long")
        return "yes"

    done = _record(tmp_path / "out.jsonl", Fake("a", lambda request: "yes"), Fake("b", refuses))
    assert done == Recorded(2, ("d/1 is left out, refused by b: too long",))
    assert load_answers(tmp_path / "out.jsonl").questions == ("Who?", "Who?")

    def unknown(request: Request) -> str:
        raise Refused("no such key", 401)

    with pytest.raises(Refused, match="no such key"):
        _record(tmp_path / "other.jsonl", Fake("a", unknown))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"format": "iemas-answers/1", "models": ["b"]}\n', r"line 1: models is \['b'\], and would be \['a'\]"),
        ('{"format": "other"}\n', "line 1 is no header"),
        ("nonsense\n", "line 1 is of no recording"),
        ("\x80nonsense\n", "line 1 is of no recording"),
    ],
)
def test_another_file_is_not_gone_on_with(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(content)
    with pytest.raises(DatasetError, match=said):
        _record(path, Fake("a", lambda request: ""))
    assert path.read_text() == content
    with pytest.raises(DatasetError, match="cannot write"):
        _record(tmp_path / "nowhere" / "out.jsonl", Fake("a", lambda request: ""))


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    _record(path, Fake("a", lambda request: ""))
    path.write_text(path.read_text() + '{"question": "?"}\n')
    with pytest.raises(DatasetError, match="line 5 is of no recording"):
        _record(path, Fake("a", lambda request: ""))


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "out.jsonl"
    file = AnswerFile(path, recording_header(CORPUS, ["a"], None, 8, "fakes"))
    with pytest.raises(DatasetError, match="another run writes to"):
        _record(path, Fake("a", lambda request: ""))
    file.close()


def test_the_shipped_table_answers_the_shipped_dialogues() -> None:
    table, questions = load_answers("shipped"), graded_questions(shipped())
    assert table.models == ("smollm2-135m", "qwen2.5-coder-0.5b")
    assert table.questions == tuple(question.text for question in questions)
    assert table.licence == "Apache-2.0" and "on vLLM 0.32.0 on a CPU" in table.measured
    assert table.scores.mean(axis=0) == pytest.approx([0.226, 0.765], abs=0.0005)
    assert table.outputs is not None and table.outputs.max() <= 32 and table.outputs.min() > 0
