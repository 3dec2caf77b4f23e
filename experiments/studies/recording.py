"""Every model of a fleet is asked every graded question of a corpus, and the answers are kept: a table for studies.

Questions are those with gold answers of graded dialogues, after the recorded dialogue's own history, so that all models
get the same chat. An answer's score is its token F1 against the best gold answer. The file is of the layout
`iemas-answers/1`: it grows by a line for each question, in the corpus's order, and what is in it is not asked again.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from experiments.answers.layouts.native import FORMAT, header_of
from experiments.data import Corpus, conversation, gold_replies
from experiments.data.scoring import answer_quality
from experiments.errors import DatasetError
from runtime import Engine, Message, Request, RequestError
from runtime.errors import Refused

Progress = Callable[[int, int], None]
"""Called with the questions that are recorded, and with all there are."""


#: HTTP statuses that say something of one question; a wrong key or an unknown model concerns them all.
_OF_THE_QUESTION = (400, 413, 422)


@dataclass(frozen=True, slots=True)
class GradedQuestion:
    """One question, the chat that ends with it, and the answers that count as right."""

    id: str
    text: str
    topic: str
    messages: tuple[Message, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a recording: lines that the file has now, and a sentence for each question that was left out."""

    lines: int
    left_out: tuple[str, ...] = ()


def graded_questions(corpus: Corpus) -> list[GradedQuestion]:
    """The corpus's questions whose answers can be scored, in its order.

    Raises:
        DatasetError: there is none, or an earlier turn has no recorded reply to go on with.
    """
    found = [
        GradedQuestion(
            f"{dialogue.id}/{k}",
            turn.question,
            dialogue.source,
            conversation(dialogue, k, gold_replies(dialogue, k)),
            turn.answers,
        )
        for dialogue in corpus.dialogues
        if dialogue.graded
        for k, turn in enumerate(dialogue.turns)
        if turn.answers
    ]
    if not found:
        raise DatasetError(f"{corpus.title} has no graded question; choose dialogues with gold answers")
    return found


def recording_header(
    corpus: Corpus, models: Sequence[str], prices: Sequence[Sequence[float]] | None, max_tokens: int, engines: str
) -> dict[str, object]:
    """The first line of a recording: what was asked of whom. A recording goes on only under the same one."""
    return header_of(
        models,
        prices=prices,
        measured=f"{corpus.title}, answered by {', '.join(models)} on {engines}, temperature 0, {max_tokens} tokens at "
        "most, after the recorded history; token F1 against the best gold answer",
        licence=corpus.licence,
        corpus_sha256=corpus.sha256,
    )


class AnswerFile:
    """A file of recorded answers that is being written; one process at a time has it.

    Args:
        path: the file; one that is there is gone on with, where its first line is `header`.

    Raises:
        DatasetError: it is another recording or no recording, its folder is missing, or another process writes to it.
    """

    def __init__(self, path: Path, header: dict[str, object]) -> None:
        self.path = path
        self.done: set[str] = set()
        try:
            self._file: IO[bytes] = path.open("ab+")
        except OSError as error:
            raise DatasetError(f"cannot write {path} ({error.strerror}); name another file") from error
        try:
            _hold(self._file, path)
            self._take_up(header)
        except BaseException:
            self._file.close()
            raise

    def add(self, line: dict[str, object]) -> None:
        """Append a line, whole."""
        try:
            self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise DatasetError(f"cannot write {self.path} ({error.strerror}); make room, and run it again") from error
        if "id" in line:
            self.done.add(str(line["id"]))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _take_up(self, header: dict[str, object]) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            # What was killed while it wrote a line has not written it.
            self._file.truncate(len(whole))
        if not whole:
            self.add(header)
            return
        for number, text in enumerate(whole.split(b"\n")[:-1], 1):
            try:
                line = json.loads(text)
                if number == 1:
                    self._check(line, header)
                else:
                    self.done.add(str(line["id"]))
            except (ValueError, KeyError, TypeError) as error:
                if isinstance(error, DatasetError):
                    raise
                raise DatasetError(
                    f"{self.path}, line {number} is of no recording ({error}); name another file"
                ) from error

    def _check(self, found: object, header: dict[str, object]) -> None:
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise DatasetError(f"{self.path}, line 1 is no header of {FORMAT}; name another file")
        for key in header:
            if found.get(key) != header[key]:
                before, now = (str(each.get(key))[:200] for each in (found, header))
                raise DatasetError(
                    f"{self.path}, line 1: {key} is {before}, and would be {now}; "
                    "name another file, or ask as it was asked"
                )


async def record_answers(
    engines: Sequence[Engine],
    models: Sequence[str],
    questions: Sequence[GradedQuestion],
    file: AnswerFile,
    *,
    max_tokens: int,
    at_once: int = 4,
    progress: Progress = lambda done, total: None,
) -> Recorded:
    """Ask running engines what the file lacks, `at_once` questions at a time, and append the answers.

    A question that an engine refuses, say as too long, is left out. Whatever ends this, the file holds whole lines.

    Raises:
        EngineError: an engine fails.
        Refused: an engine refuses not the question but whoever asks, or the model.
        DatasetError: the file cannot be written.
    """
    missing = [question for question in questions if question.id not in file.done]
    gate = asyncio.Semaphore(at_once)
    left_out = []

    async def ask(question: GradedQuestion) -> dict[str, object] | str:
        async with gate:
            answers = await asyncio.gather(*(_answer(engine, question, max_tokens) for engine in engines))
        refused = [
            f"{model}: {answer}" for model, answer in zip(models, answers, strict=True) if isinstance(answer, str)
        ]
        if refused:
            return f"{question.id} is left out, refused by {'; '.join(refused)}"
        return {
            "id": question.id,
            "question": question.text,
            "topic": question.topic,
            "answers": dict(zip(models, answers, strict=True)),
        }

    progress(len(file.done), len(questions))
    tasks = [asyncio.create_task(ask(question)) for question in missing]
    try:
        for task in tasks:
            line = await task
            if isinstance(line, str):
                left_out.append(line)
            else:
                file.add(line)
            progress(len(file.done) + len(left_out), len(questions))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return Recorded(len(file.done), tuple(left_out))


async def _answer(engine: Engine, question: GradedQuestion, max_tokens: int) -> dict[str, object] | str:
    request = Request(f"{engine.name}/{question.id}", "recorder", question.messages, max_tokens)
    try:
        completion = await engine.generate(request)
    except RequestError as error:
        if isinstance(error, Refused) and error.status not in _OF_THE_QUESTION:
            raise
        return str(error)
    score = answer_quality(completion.text, question.answers)
    return {
        "score": round(score or 0.0, 6),
        "input_tokens": completion.prompt_tokens,
        "output_tokens": completion.output_tokens,
        # A model may be cut off within a character, and half of one is no text.
        "text": completion.text.encode(errors="replace").decode(),
    }


def _hold(file: IO[bytes], path: Path) -> None:
    with suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatasetError(f"another run writes to {path}; wait for it, or name another file") from error
        except OSError:
            # A file system without locks.
            return
