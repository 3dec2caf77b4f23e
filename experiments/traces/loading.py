"""From a path or a name to a `RequestTrace`: the layout is known by the content, the identity by the checksum."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from experiments.errors import DatasetError
from experiments.files import located, read_bytes
from experiments.files.content import decoded
from experiments.traces.catalogue import TRACES, known
from experiments.traces.layouts.azure import AZURE
from experiments.traces.layouts.mooncake import MOONCAKE
from experiments.traces.layouts.own import COLUMNS, OWN
from experiments.traces.layouts.reading import TraceLayout
from experiments.traces.trace import RequestTrace

LAYOUTS: Sequence[TraceLayout] = (MOONCAKE, AZURE, OWN)


def load_trace(name: str | Path) -> RequestTrace:
    """Read a trace in any of the `LAYOUTS`.

    Args:
        name: a name of `iemas data list` that was fetched, or a file.

    Raises:
        DatasetError: there is no such file, it is in no known layout, lacks a column, has a time that goes backwards or
            a number that is none; the message names the file and the line.
    """
    path = located(name, TRACES, {})
    content = read_bytes(path)
    text = decoded(path, content)
    layout = next((layout for layout in LAYOUTS if layout.recognises(path, text)), None)
    if layout is None:
        names = "; ".join(layout.name for layout in LAYOUTS)
        first = text.strip().partition("\n")[0].strip()
        parted = " (part columns by commas)" if set(first.replace("\t", ";").split(";")) & set(COLUMNS) else ""
        raise DatasetError(
            f"{path}, line 1: no trace in a known layout; it begins {first[:60]!r}{parted}. Known layouts: {names}, "
            f"with the columns {', '.join(COLUMNS)}"
        )
    trace = layout.read(path, text)
    found = hashlib.sha256(content).hexdigest()
    file = known(found)
    called = file.path if file is not None else f"{path.resolve().parent.name}/{path.name}"
    return replace(
        trace,
        title=f"{called} ({len(trace)} requests)",
        licence=file.licence if file is not None else f"{layout.licence} (if the file is what its layout suggests)",
        sha256=found,
        layout=layout.name,
    )


def holds_trace(path: Path) -> bool:
    """Whether a file is a trace by its content."""
    try:
        text = decoded(path, read_bytes(path))
        return any(layout.recognises(path, text) for layout in LAYOUTS)
    except DatasetError:
        return False
