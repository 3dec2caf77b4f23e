"""From a path or a name to an `AnswerTable`: the layout is known by the content, the identity by the checksum."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from experiments.answers.catalogue import TABLES, known
from experiments.answers.layouts.llmrouter import LLMROUTER
from experiments.answers.layouts.native import ANSWERS
from experiments.answers.layouts.reading import AnswersLayout
from experiments.answers.layouts.routellm import ROUTELLM
from experiments.answers.layouts.routerbench import ROUTERBENCH
from experiments.answers.table import AnswerTable
from experiments.errors import DatasetError
from experiments.files import checksum, located, read_bytes

LAYOUTS: Sequence[AnswersLayout] = (ANSWERS, LLMROUTER, ROUTELLM, ROUTERBENCH)

SHIPPED = Path(__file__).with_name("shipped") / "shipped-dialogues.jsonl"
"""The shipped dialogues, as small models on vLLM answered them; it comes with the project and needs no download."""


def load_answers(name: str | Path) -> AnswerTable:
    """Read a table of answers in any of the `LAYOUTS`.

    Args:
        name: `shipped`, a name of `iemas data list` that was fetched, a file, or a folder of CSV files.

    Raises:
        DatasetError: there is no such file, it is in no known layout, lacks a model in one of its records, has a score
            that is no number in [0, 1], or has something twice; the message names the file and the line.
    """
    path = located(name, TABLES, {"shipped": SHIPPED})
    content = b"" if path.is_dir() else read_bytes(path)
    layout = next((layout for layout in LAYOUTS if layout.recognises(path, content)), None)
    if layout is None:
        names = "; ".join(layout.name for layout in LAYOUTS)
        raise DatasetError(f"{path}, line 1: no table of answers in a known layout. Known layouts: {names}")
    table = layout.read(path, content)
    found = checksum(path) if path.is_dir() else hashlib.sha256(content).hexdigest()
    file = known(found)
    name = file.path if file is not None else f"{path.resolve().parent.name}/{path.name}"
    unsure = f"{layout.licence} (if the file is what its layout suggests)"
    return replace(
        table,
        title=f"{name} ({len(table.questions)} questions, {len(table.models)} models)",
        licence=table.licence or (file.licence if file is not None else unsure),
        sha256=found,
        layout=layout.name,
    )


def holds_answers(path: Path) -> bool:
    """Whether a file or folder is a table of answers by its content."""
    try:
        content = b"" if path.is_dir() else read_bytes(path)
        return any(layout.recognises(path, content) for layout in LAYOUTS)
    except DatasetError:
        return False
