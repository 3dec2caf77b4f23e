"""RouterBench: a wide table, a row for each sample, with a score, a response and a cost of every model.

    sample_id, prompt, eval_name, <model>, ..., <model>|model_response, ..., <model>|total_cost, ...

Hu et al., "RouterBench: A Benchmark for Multi-LLM Routing System", 2024. Read are CSV and Parquet. The official file is
a pickle, which runs whatever its author wrote as it is opened: it is refused, and the message has the line that
converts it.

`eval_name` is the topic. Lengths of answers are counted by `tokens_of`, a token for every four bytes of the response. A
cost is of a whole answer, in dollars; what an input and an output token cost is fitted to all of a model's costs by
non-negative least squares over those counts (Lawson and Hanson, 1974), and `measured` has how far the fit is off.
"""

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from experiments.answers.layouts.reading import CREDITS_PER_DOLLAR, AnswersLayout, Once, as_amount, as_score
from experiments.answers.table import AnswerTable, Floats
from experiments.errors import DatasetError
from experiments.files import Record, table_rows, tokens_of
from experiments.files.content import AGAIN, decoded

_FIXED = ("sample_id", "prompt", "eval_name")
_RESPONSE, _COST = "|model_response", "|total_cost"
_BEST = "oracle_model_to_route_to"
_PARQUET = b"PAR1"


def _is_pickle(content: bytes) -> bool:
    return content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def _rows(path: Path, content: bytes) -> Iterator[tuple[Record, Sequence[object]]]:
    """The header, then the rows."""
    if content.startswith(_PARQUET):
        import polars

        try:
            frame = polars.read_parquet(BytesIO(content))
        except polars.exceptions.PolarsError as error:
            raise DatasetError(f"{path} is no whole Parquet file ({error}); {AGAIN}") from error
        yield Record(path, 0, None, "row"), frame.columns
        for number, row in enumerate(frame.iter_rows(), 1):
            yield Record(path, number, None, "row"), row
        return
    for line, cells in table_rows(path, decoded(path, content)):
        yield Record(path, line, None), cells


def _recognises(path: Path, content: bytes) -> bool:
    if _is_pickle(content):
        name = path.name
        raise DatasetError(
            f"{path} is a pickle, which runs its author's code when it is opened, and is not opened here. Convert it "
            "where that may do no harm: python -c \"import pandas; pandas.read_pickle('"
            f"{name}').to_parquet('{path.stem}.parquet')\""
        )
    if content.startswith(_PARQUET):
        return True
    head = content[: content.find(b"\n")]
    return all(name.encode() in head for name in _FIXED)


def _read(path: Path, content: bytes) -> AnswerTable:
    rows = _rows(path, content)
    top, names = next(rows)
    header = [str(name) for name in names]
    lacking = [name for name in _FIXED if name not in header]
    plain = [name for name in header if name not in (*_FIXED, _BEST) and "|" not in name]
    models = tuple(name for name in plain if name + _RESPONSE in header or name + _COST in header)
    if lacking or not models:
        what = ", ".join(lacking) or f"a model: a column with its name, and one with {_RESPONSE} or {_COST} after it"
        top.refuse(f"it has no column {what}; the columns are {', '.join(header)[:200]}")
    if set(plain) - set(models):
        top.refuse(f"{', '.join(sorted(set(plain) - set(models)))} has neither {_RESPONSE} nor {_COST}")
    at = {name: k for k, name in enumerate(header)}
    said = [at[model + _RESPONSE] for model in models if model + _RESPONSE in at]
    paid = [at[model + _COST] for model in models if model + _COST in at]
    once = Once("the sample")
    questions, topics, scores, outputs, costs = [], [], [], [], []
    for record, row in rows:
        once.check(record, str(row[at["sample_id"]]))
        questions.append(_text(record, "prompt", row[at["prompt"]]))
        topics.append(_text(record, "eval_name", row[at["eval_name"]]))
        scores.append([as_score(record, model, row[at[model]]) for model in models])
        outputs.append([tokens_of(_said(row[k])) for k in said])
        costs.append([as_amount(record, header[k], row[k]) for k in paid])
    if not questions:
        raise DatasetError(f"{path} has columns and no row; {AGAIN}")
    answered, priced = len(said) == len(models), len(said) == len(paid) == len(models)
    lengths = np.array(outputs, np.int64)
    prices, off = None, 0.0
    if priced:
        prices, off = _fitted(np.array([tokens_of(each) for each in questions]), lengths, np.array(costs))
    return AnswerTable(
        "",
        tuple(questions),
        models,
        np.array(scores),
        prices,
        lengths if answered else None,
        tuple(topics),
        "by the authors of RouterBench: as each question's benchmark scores"
        + ("; lengths of answers: a token for every four bytes" if answered else "")
        + (f"; prices fitted to their costs, off by {off:.1%} of all costs" if priced else "; no prices"),
    )


def _fitted(inputs: np.ndarray, outputs: np.ndarray, costs: np.ndarray) -> tuple[Floats, float]:
    """Credits of tokens in and out (M, 2), and the sum of errors as a share of the sum of costs."""
    from scipy.optimize import nnls

    prices, missed = [], 0.0
    for k in range(outputs.shape[1]):
        tokens = np.column_stack([inputs, outputs[:, k]]).astype(np.float64)
        # In thousands of tokens, so that the numbers are near 1.
        dollars, _ = nnls(tokens / 1000, costs[:, k])
        missed += float(np.abs(tokens / 1000 @ dollars - costs[:, k]).sum())
        prices.append(dollars / 1000 * CREDITS_PER_DOLLAR)
    total = float(costs.sum())
    return np.array(prices), missed / total if total else 0.0


def _text(record: Record, name: str, value: object) -> str:
    found = "\n".join(map(str, value)) if isinstance(value, list) else str(value or "")
    if not found.strip():
        record.refuse(f"it has no {name}")
    return found


def _said(value: object) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value or "")


ROUTERBENCH = AnswersLayout("RouterBench", "not stated in the file", _recognises, _read)
