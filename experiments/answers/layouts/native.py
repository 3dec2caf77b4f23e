"""The project's own layout, `iemas-answers/1`: JSON lines, a header and then a line for each question.

    {"format": "iemas-answers/1", "models": ["small", "large"], "prices": {"small": [0.01, 0.02], "large": [...]},
     "measured": "...", "licence": "..."}
    {"id": "ferry-1/0", "question": "When does it leave?", "topic": "The ferry",
     "answers": {"small": {"score": 0.5, "input_tokens": 210, "output_tokens": 7, "text": "..."}, "large": {...}}}

`prices` are credits of an input and of an output token; they, `measured`, `licence`, `id`, `topic` and `text` may be
left out. So may either count of tokens, in all answers of a file or in none.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from experiments.answers.layouts.reading import AnswersLayout, Once, as_amount, as_count, as_score, by_model
from experiments.answers.table import AnswerTable, Floats
from experiments.errors import DatasetError
from experiments.files import Record, json_records
from experiments.files.content import decoded

FORMAT = "iemas-answers/1"

_COUNTS = {"input_tokens": "inputs", "output_tokens": "outputs"}


def header_of(
    models: Sequence[str],
    *,
    prices: Sequence[Sequence[float]] | Floats | None = None,
    measured: str = "",
    licence: str = "",
    **more: object,
) -> dict[str, object]:
    """The first line of a file."""
    return {
        "format": FORMAT,
        "models": list(models),
        **({} if prices is None else {"prices": {m: list(map(float, p)) for m, p in zip(models, prices, strict=True)}}),
        **({"measured": measured} if measured else {}),
        **({"licence": licence} if licence else {}),
        **more,
    }


def write_answers(table: AnswerTable, path: str | Path) -> Path:
    """Write a table in this layout; the file gets its name when it is whole.

    Raises:
        DatasetError: the folder is not there or cannot be written.
    """
    path = Path(path)
    try:
        # Beside the target, thus on its file system, so that the last step is one atomic rename.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".answers-") as scratch:
            part = Path(scratch) / "part"
            lines = (json.dumps(line, ensure_ascii=False) + "\n" for line in _lines(table))
            part.write_text("".join(lines), encoding="utf-8", newline="\n")
            part.replace(path)
    except OSError as error:
        raise DatasetError(f"cannot write {path} ({error.strerror}); name another file") from error
    return path


def _lines(table: AnswerTable) -> Iterator[dict[str, object]]:
    yield header_of(table.models, prices=table.prices, measured=table.measured, licence=table.licence)
    counts = {key: getattr(table, name) for key, name in _COUNTS.items() if getattr(table, name) is not None}
    for k, question in enumerate(table.questions):
        answers = {
            model: {
                "score": float(table.scores[k, m]),
                **{key: int(counted[k, m]) for key, counted in counts.items()},
            }
            for m, model in enumerate(table.models)
        }
        yield {
            **({"id": table.ids[k]} if table.ids else {}),
            "question": question,
            **({"topic": table.topics[k]} if table.topics else {}),
            "answers": answers,
        }


def _recognises(path: Path, content: bytes) -> bool:
    return FORMAT.encode() in content[: content.find(b"\n")] and content.lstrip().startswith(b"{")


def _read(path: Path, content: bytes) -> AnswerTable:
    records = json_records(path, decoded(path, content))
    head = next(records)
    if head.at("format") != FORMAT:
        head.refuse(f"format is {head.get('format')!r}; this reads {FORMAT}")
    models = _models(head)
    ids = Once("the question with the id")
    called: list[str] = []
    questions, topics, scores = [], [], []
    counts: dict[str, list[list[int]]] = {}
    for record in records:
        questions.append(record.text("question"))
        if record.get("id") is not None:
            ids.check(record, record.text("id"))
            called.append(record.text("id"))
        if len(called) not in (0, len(questions)):
            record.refuse("ids are in some of the lines up to this one, and not in all; give all or none")
        topics.append(record.text("topic") if record.get("topic") is not None else None)
        answers = [Record(path, record.line, given) for given in by_model(record, models, record.at("answers"))]
        named = list(zip(models, answers, strict=True))
        scores.append([as_score(record, model, answer.at("score")) for model, answer in named])
        for key in _COUNTS:
            given = [answer.get(key) for answer in answers]
            if any(value is not None for value in given):
                row = [as_count(record, f"{key} of {model}", value) for model, value in zip(models, given, strict=True)]
                counts.setdefault(key, []).append(row)
            if len(counts.get(key, [])) not in (0, len(questions)):
                record.refuse(f"{key} are in some of the lines up to this one, and not in all; give all or none")
        if None in topics and topics[-1] is not None:
            record.refuse("it has a topic, though lines before have none; give all or none")
        if topics[-1] is None and topics[0] is not None:
            record.refuse("it has no topic, though lines before have; give all or none")
    if not questions:
        raise DatasetError(f"{path} has a header and no question")
    return AnswerTable(
        "",
        tuple(questions),
        models,
        np.array(scores),
        _prices(head, models),
        np.array(counts["output_tokens"]) if "output_tokens" in counts else None,
        tuple(topic for topic in topics if topic is not None),
        str(head.get("measured") or ""),
        str(head.get("licence") or ""),
        inputs=np.array(counts["input_tokens"]) if "input_tokens" in counts else None,
        ids=tuple(called),
    )


def _models(head: Record) -> tuple[str, ...]:
    given = head.at("models")
    if not isinstance(given, list) or not given or not all(isinstance(name, str) and name for name in given):
        head.refuse("models is no list of names")
    if len(set(given)) < len(given):
        head.refuse(f"models has a name twice: {', '.join(given)}")
    return tuple(given)


def _prices(head: Record, models: Sequence[str]) -> Floats | None:
    if head.get("prices") is None:
        return None
    found = []
    for model, pair in zip(models, by_model(head, models, head.at("prices")), strict=True):
        if not isinstance(pair, list) or len(pair) != 2:
            head.refuse(f"the prices of {model} are {str(pair)[:40]}; expected credits of an input and an output token")
        found.append([as_amount(head, f"a price of {model}", each) for each in pair])
    return np.array(found)


ANSWERS = AnswersLayout(FORMAT, "not stated in the file", _recognises, _read)
