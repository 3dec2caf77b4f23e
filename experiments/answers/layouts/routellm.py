"""RouteLLM: a CSV of prompts, and which of two models answered each rightly; or a folder of them, one for each subject.

    prompt,mistralai/Mixtral-8x7B-Instruct-v0.1,gpt-4-1106-preview[,<model>_response, ...]

Ong et al., "RouteLLM: Learning to Route LLMs with Preference Data", 2024. Where the responses are in the file (GSM8K),
so are the lengths of the answers, as `tokens_of` counts: a token for every four bytes. Of a folder (MMLU) each file's
name is the topic of its questions. The MMLU files hold some questions twice, as MMLU does; all are kept.

Prices are list prices in dollars per million tokens, for the files state none: 10 in and 30 out for gpt-4-1106-preview
(OpenAI, early 2024), .60 for both of Mixtral (as the price list of LLMRouter has it, 2025). A table with another model
has no prices.
"""

from pathlib import Path

import numpy as np

from experiments.answers.layouts.reading import AnswersLayout, as_score, credits_per_token
from experiments.answers.table import AnswerTable
from experiments.errors import DatasetError
from experiments.files import Record, read_text, table_rows, tokens_of
from experiments.files.content import AGAIN, decoded

LIST_PRICES = {"mistralai/Mixtral-8x7B-Instruct-v0.1": (0.60, 0.60), "gpt-4-1106-preview": (10.0, 30.0)}
"""Dollars per million tokens, in and out; the docstring of this module has whose and when."""

_PROMPT, _RESPONSE = "prompt", "_response"
_WORDS = {"True", "False"}


def _models(header: list[str]) -> tuple[str, ...]:
    return tuple(name for name in header if name != _PROMPT and not name.endswith(_RESPONSE))


def _recognises(path: Path, content: bytes) -> bool:
    if path.is_dir():
        first = next(iter(sorted(path.glob("*.csv"))), None)
        return first is not None and _recognises(first, first.read_bytes())
    if b"\n" not in content or not content.startswith(_PROMPT.encode() + b","):
        return False
    rows = table_rows(path, decoded(path, content))
    (_, header), (_, row) = next(rows), next(rows, (0, []))
    return not row or {row[header.index(model)] for model in _models(header)} <= {*_WORDS, "", "nan", "NaN"}


def _read(path: Path, content: bytes) -> AnswerTable:
    if not path.is_dir():
        return _read_file(path, decoded(path, content))
    tables = {each: _read_file(each, read_text(each)) for each in sorted(path.glob("*.csv"))}
    models = next(iter(tables.values())).models
    for each, table in tables.items():
        if set(table.models) != set(models):
            raise DatasetError(
                f"{each}, line 1: its models are {', '.join(table.models)}; those of the folder: {', '.join(models)}"
            )
    parts = [table.only(models) for table in tables.values()]
    kept = [table.outputs for table in parts if table.outputs is not None]
    topics = [topic for each, table in tables.items() for topic in [_topic(each)] * len(table.questions)]
    return AnswerTable(
        "",
        tuple(question for table in parts for question in table.questions),
        models,
        np.concatenate([table.scores for table in parts]),
        parts[0].prices,
        np.concatenate(kept) if len(kept) == len(parts) else None,
        tuple(topics),
        parts[0].measured,
    )


def _topic(path: Path) -> str:
    return path.stem.removeprefix("mmlu_").replace("_", " ")


def _read_file(path: Path, text: str) -> AnswerTable:
    rows = table_rows(path, text)
    line, header = next(rows)
    models = _models(header)
    if _PROMPT not in header or not models:
        raise DatasetError(f"{path}, line {line}: its columns are {', '.join(header)}; expected prompt and models")
    strangers = [name for name in header if name.endswith(_RESPONSE) and name.removesuffix(_RESPONSE) not in models]
    if strangers:
        raise DatasetError(f"{path}, line {line}: {', '.join(strangers)} is of no model; the models: {models}")
    answered = all(model + _RESPONSE in header for model in models)
    at = [header.index(model) for model in models]
    said = [header.index(model + _RESPONSE) for model in models] if answered else []
    prompt = header.index(_PROMPT)
    questions, scores, outputs = [], [], []
    for line, row in rows:
        record = Record(path, line, row)
        if not row[prompt].strip():
            record.refuse(f"it has no {_PROMPT}")
        questions.append(row[prompt])
        scores.append([as_score(record, model, row[k]) for model, k in zip(models, at, strict=True)])
        outputs.append([tokens_of(row[k]) for k in said])
    if not questions:
        raise DatasetError(f"{path} has a header and no question; {AGAIN}")
    priced = all(model in LIST_PRICES for model in models)
    prices = [[credits_per_token(price) for price in LIST_PRICES[model]] for model in models] if priced else None
    return AnswerTable(
        "",
        tuple(questions),
        models,
        np.array(scores),
        None if prices is None else np.array(prices),
        np.array(outputs, np.int64) if answered else None,
        measured="by the authors of RouteLLM: right or wrong"
        + ("; lengths of answers: a token for every four bytes" if answered else "; answers were not kept")
        + ("; list prices: OpenAI early 2024, Mixtral 2025" if priced else "; no prices"),
    )


ROUTELLM = AnswersLayout("RouteLLM", "Apache-2.0 (GSM8K and MMLU: MIT)", _recognises, _read)
