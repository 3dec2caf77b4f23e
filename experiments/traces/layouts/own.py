"""Requests of one's own: a CSV with a header, or JSON lines, with these columns or keys.

    at_s | time                seconds from the start, or time stamps, of which the first becomes 0; in order
    prompt | prompt_tokens     the text as it was sent, or how many tokens it had
    output_tokens              how many tokens the answer had
    conversation, bidder       names, optional
    worth, delay_cost          credits of a right answer and of a second's delay, optional

Of texts, tokens are counted by `tokens_of`, one for every four bytes, and two prompts share what they begin with
alike, in blocks of `BLOCK` tokens. Of token counts with conversations, `continued` says what is shared.
"""

from itertools import islice
from pathlib import Path

import numpy as np

from experiments.errors import DatasetError
from experiments.files import json_records, table_rows, tokens_of
from experiments.traces.layouts.reading import Columns, TraceLayout, csv_columns, json_columns
from experiments.traces.trace import Ints, RequestTrace, continued

BLOCK = 16
"""Tokens of a block, as vLLM's on a GPU."""

_TIMES, _PROMPTS = ("at_s", "time"), ("prompt", "prompt_tokens")
_NAMES, _CREDITS = ("conversation", "bidder"), ("worth", "delay_cost")
_OUTPUT = "output_tokens"
COLUMNS = (*_TIMES, *_PROMPTS, _OUTPUT, *_NAMES, *_CREDITS)


def _recognises(path: Path, text: str) -> bool:
    return any(name in _keys(path, text) for name in (*_PROMPTS, _OUTPUT, "at_s"))


def _keys(path: Path, text: str) -> list[str]:
    if text.lstrip().startswith("{"):
        first = next(islice(json_records(path, text), 1)).value
        return list(first) if isinstance(first, dict) else []
    if text.lstrip().startswith("["):
        return []
    return [name.strip() for name in next(table_rows(path, text), (0, [""]))[1]]


def _read(path: Path, text: str) -> RequestTrace:
    columns = _columns(path, text)
    time, prompt = _one_of(columns, _TIMES), _one_of(columns, _PROMPTS)
    if _OUTPUT not in columns.values:
        columns.refuse(0, f"there is no {_OUTPUT}: how many tokens the answer had")
    at_s = columns.stamps("time") if time == "time" else columns.forwards("at_s", columns.amounts("at_s"))
    conversation, bidder = (columns.names(name) if name in columns.values else None for name in _NAMES)
    worth, delay_cost = (columns.amounts(name) if name in columns.values else None for name in _CREDITS)
    blocks: tuple[Ints, ...] | None = None
    if prompt == "prompt":
        texts = _texts(columns)
        tokens, blocks = np.array([tokens_of(each) for each in texts], np.int64), alike(texts)
    else:
        tokens = columns.counts(prompt, 1)
        blocks = None if conversation is None else continued(tokens, conversation, BLOCK)
    return RequestTrace(
        "",
        at_s,
        tokens,
        columns.counts(_OUTPUT, 0),
        blocks,
        BLOCK if blocks is not None else 0,
        conversation,
        bidder,
        worth,
        delay_cost,
    )


def alike(texts: list[str]) -> tuple[Ints, ...]:
    """Blocks of texts, by what they hold and all that is before it: four bytes a token, `BLOCK` tokens a block."""
    known: dict[tuple[int, bytes], int] = {}
    found = []
    for text in texts:
        content, before, ids = text.encode(), -1, []
        for at in range(0, len(content), 4 * BLOCK):
            before = known.setdefault((before, content[at : at + 4 * BLOCK]), len(known))
            ids.append(before)
        found.append(np.array(ids, np.int64))
    return tuple(found)


def _columns(path: Path, text: str) -> Columns:
    listed = text.lstrip().startswith("{")
    columns = json_columns(path, text, COLUMNS) if listed else csv_columns(path, text)
    if listed:
        for record in json_records(path, text):
            strangers = set(record.value if isinstance(record.value, dict) else ()) - set(COLUMNS)
            if strangers:
                record.refuse(_strange(sorted(strangers)))
        given = {name: each for name, each in columns.values.items() if any(value is not None for value in each)}
        return Columns(path, columns.lines, given)
    strangers = set(columns.values) - set(COLUMNS)
    if strangers:
        raise DatasetError(f"{path}, line 1: {_strange(sorted(strangers))}")
    return columns


def _strange(names: list[str]) -> str:
    return f"{', '.join(names)}: nothing is called so; the columns are {', '.join(COLUMNS)}. Rename or remove it"


def _one_of(columns: Columns, names: tuple[str, str]) -> str:
    given = [name for name in names if name in columns.values]
    if len(given) != 1:
        columns.refuse(0, f"the file has {' and '.join(given) or 'neither'} of {' and '.join(names)}; give one of them")
    return given[0]


def _texts(columns: Columns) -> list[str]:
    texts = []
    for row, value in enumerate(columns.values["prompt"]):
        if not isinstance(value, str) or not value:
            columns.refuse(row, f"prompt is {str(value)[:40]!r}; expected a text")
        texts.append(value)
    return texts


OWN = TraceLayout("requests of your own", "not stated in the file", _recognises, _read)
