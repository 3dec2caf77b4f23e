"""Azure's LLM inference traces: a CSV of time stamps and token counts, without a word on what prompts share.

    TIMESTAMP,ContextTokens,GeneratedTokens

Patel et al., "Splitwise: Efficient Generative LLM Inference Using Phase Splitting", ISCA 2024 (the traces of 2023).
"""

from pathlib import Path

from experiments.traces.layouts.reading import TraceLayout, csv_columns
from experiments.traces.trace import RequestTrace

_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


def _recognises(path: Path, text: str) -> bool:
    head = [name.strip() for name in text[: text.find("\n") + 1].split(",")]
    return "ContextTokens" in head and "GeneratedTokens" in head


def _read(path: Path, text: str) -> RequestTrace:
    columns = csv_columns(path, text)
    if _COLUMNS[0] not in columns.values:
        columns.refuse(0, f"the file has no column {_COLUMNS[0]}; its columns: {', '.join(columns.values)}")
    return RequestTrace("", columns.stamps(_COLUMNS[0]), columns.counts(_COLUMNS[1], 1), columns.counts(_COLUMNS[2], 0))


AZURE = TraceLayout("Azure LLM inference", "CC BY 4.0", _recognises, _read)
