"""Mooncake: a JSON object a line, with an arrival in milliseconds, lengths, and ids of the prompt's blocks.

    {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, ...]}

Qin et al., "Mooncake: Trading More Storage for Less Computation: A KVCache-centric Architecture for Serving LLM
Chatbot", FAST 2025. A block has 512 tokens; an id stands for a block and all that is before it.
"""

from itertools import islice
from pathlib import Path

import numpy as np

from experiments.files import json_records
from experiments.traces.layouts.reading import TraceLayout, json_columns
from experiments.traces.trace import RequestTrace

BLOCK = 512

_COLUMNS = ("timestamp", "input_length", "output_length", "hash_ids")


def _recognises(path: Path, text: str) -> bool:
    if not text.lstrip().startswith("{"):
        return False
    first = next(islice(json_records(path, text), 1)).value
    return isinstance(first, dict) and "hash_ids" in first and "timestamp" in first


def _read(path: Path, text: str) -> RequestTrace:
    columns = json_columns(path, text, _COLUMNS)
    at_s = columns.forwards("timestamp", columns.amounts("timestamp") / 1000)
    prompts, outputs = columns.counts("input_length", 1), columns.counts("output_length", 0)
    blocks = []
    for row, (ids, tokens) in enumerate(zip(columns.values["hash_ids"], prompts.tolist(), strict=True)):
        if not isinstance(ids, list) or set(map(type, ids)) != {int}:
            columns.refuse(row, f"hash_ids is {str(ids)[:40]!r}; expected a list of whole numbers")
        if len(ids) != -(-tokens // BLOCK):
            columns.refuse(row, f"{len(ids)} hash_ids for a prompt of {tokens} tokens; expected one for every {BLOCK}")
        blocks.append(np.array(ids, np.int64))
    return RequestTrace("", at_s, prompts, outputs, tuple(blocks), BLOCK)


MOONCAKE = TraceLayout("Mooncake", "Apache-2.0", _recognises, _read)
