"""LLMRouter: a list of questions, each with the score of every model; the list prices are in a file beside it.

    [{"question": "...", "scores": {"gemma-2-9b-it": 1.0, ...}, "cluster_id": 0}, ...]

These are the files that the LLMRouter library (Feng et al., University of Illinois, 2025) keeps for RouterDC (Chen et
al., "RouterDC: Query-Based Router by Dual Contrastive Learning for Assembling Large Language Models", NeurIPS 2024).
Models are read by name, for their order differs from record to record. A question's cluster is its topic. Prices are
those that `default_llm.json`, in the same folder, states in dollars per million tokens; without that file the table has
none. The answers themselves were not kept, nor their lengths.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from experiments.answers.layouts.reading import (
    AnswersLayout,
    Once,
    as_amount,
    as_score,
    by_model,
    credits_per_token,
    some,
)
from experiments.answers.table import AnswerTable
from experiments.errors import DatasetError
from experiments.files import Record, json_records, read_text
from experiments.files.content import decoded

PRICES = "default_llm.json"


def read_prices(path: Path, models: Sequence[str] | None = None) -> tuple[tuple[float, float], ...]:
    """Credits of an input and of an output token of these models, or of all that the file has.

    Raises:
        DatasetError: the file lacks a model, or a price of it.
    """
    [record, *more] = some(path, json_records(path, read_text(path)))
    if more or not isinstance(record.value, dict):
        raise DatasetError(f"{path}, line 1: expected one object with an entry for each model")
    found = []
    for model in record.value if models is None else models:
        entry = Record(path, 1, record.at(model))
        prices = [as_amount(entry, f"{key} of {model}", entry.at(key)) for key in ("input_price", "output_price")]
        found.append((credits_per_token(prices[0]), credits_per_token(prices[1])))
    return tuple(found)


def _recognises(path: Path, content: bytes) -> bool:
    if not content.lstrip().startswith(b"["):
        return False
    first = next(islice(json_records(path, decoded(path, content)), 1), None)
    return first is not None and isinstance(first.get("question"), str) and isinstance(first.get("scores"), dict)


def _read(path: Path, content: bytes) -> AnswerTable:
    records = some(path, json_records(path, decoded(path, content)))
    first = records[0].at("scores")
    models = tuple(sorted(first)) if isinstance(first, dict) else ()
    once = Once("the question")
    questions, scores, topics = [], [], []
    for record in records:
        questions.append(once.check(record, record.text("question")))
        row = zip(models, by_model(record, models, record.at("scores")), strict=True)
        scores.append([as_score(record, model, value) for model, value in row])
        topics.append(record.get("cluster_id"))
    if None in topics and any(topic is not None for topic in topics):
        records[topics.index(None)].refuse("it has no cluster_id, though others have; get the raw file again")
    prices = path.with_name(PRICES)
    priced = prices.exists()
    return AnswerTable(
        "",
        tuple(questions),
        models,
        np.array(scores),
        np.array(read_prices(prices, models)) if priced else None,
        topics=() if None in topics else tuple(f"cluster {topic}" for topic in topics),
        measured="by the authors of LLMRouter: right or wrong, or a share, as each question's benchmark has it; "
        + (f"list prices of {PRICES}" if priced else f"no prices: {PRICES} is not beside the file"),
    )


LLMROUTER = AnswersLayout("LLMRouter", "MIT", _recognises, _read)
