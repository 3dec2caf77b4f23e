"""From a path to a `Corpus`: the layout is known by the content, the identity by the checksum, never by the name."""

import hashlib
import json
from pathlib import Path

from experiments.data.catalogue import known
from experiments.data.layouts.chats import CHATS
from experiments.data.layouts.coqa import COQA, COQA_COLUMNS
from experiments.data.layouts.dialogue import Corpus, distinct
from experiments.data.layouts.hotpotqa import HOTPOTQA, HOTPOTQA_COLUMNS
from experiments.data.layouts.inscit import INSCIT
from experiments.data.layouts.mt_bench import MT_BENCH
from experiments.data.layouts.mtrag import MTRAG, MTRAG_ROWS
from experiments.data.layouts.native import NATIVE
from experiments.data.layouts.oasst import OASST
from experiments.data.layouts.quac import QUAC, QUAC_COLUMNS
from experiments.data.layouts.reading import Json, Layout, describe
from experiments.data.layouts.sgd import SGD
from experiments.data.layouts.taskmaster import TASKMASTER
from experiments.errors import DatasetError
from experiments.files.content import AGAIN, read_bytes

LAYOUTS: tuple[Layout, ...] = (
    NATIVE,
    COQA,
    COQA_COLUMNS,
    QUAC,
    QUAC_COLUMNS,
    HOTPOTQA,
    HOTPOTQA_COLUMNS,
    INSCIT,
    MTRAG,
    MTRAG_ROWS,
    SGD,
    TASKMASTER,
    OASST,
    MT_BENCH,
    CHATS,
)

SHIPPED = Path(__file__).with_name("shipped.json")
"""The dialogues written for this project, which come with it and need no download."""


def load(path: str | Path, *, context_words: int | None = None) -> Corpus:
    """Read a file of dialogues in any of the `LAYOUTS`.

    `context_words` cuts every context to that many words, for engines with a short window; the corpus then
    says so in its name.

    Raises:
        DatasetError: the file is missing, is a web page, is not JSON, is in no known layout, breaks its layout, or
            holds no dialogue; the message names the file, what was found in it and the remedy.
    """
    path = Path(path)
    content = read_bytes(path)
    checksum = hashlib.sha256(content).hexdigest()
    raw = Json(_decode(path, content), path.name)
    layout, raw = _recognise(path, raw)
    try:
        dialogues = distinct(layout.dialogues(raw))
    except DatasetError:
        raise
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{path} breaks the layout {layout.name!r}: {error}; {AGAIN}") from error
    if not dialogues:
        raise DatasetError(f"{path} is in the layout {layout.name!r} but holds no dialogue; {AGAIN}")
    name, licence, origin = _identity(path, checksum, raw, layout)
    corpus = Corpus(name, dialogues, licence, origin, checksum, layout.name)
    return corpus if context_words is None else corpus.capped(context_words)


def shipped() -> Corpus:
    """The dialogues written for this project (Apache-2.0): every place, person and number in them is invented."""
    return load(SHIPPED)


def _identity(path: Path, checksum: str, raw: Json, layout: Layout) -> tuple[str, str, str]:
    """Name, licence and origin: the catalogue's if it knows these bytes, else the file's own word, else a doubt."""
    file = known(checksum)
    if file is not None:
        return file.path, file.licence, file.origin
    licence = raw.peek("licence").value or f"{layout.licence} (if the file is what its layout suggests)"
    origin = raw.peek("origin").value or f"unidentified file in the layout {layout.name!r}"
    return f"{path.resolve().parent.name}/{path.name}", str(licence), str(origin)


def _decode(path: Path, content: bytes) -> object:
    try:
        value: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        lines = content.split(b"\n")
        if len(lines) > 1 and _is_json(lines[0]):
            return [_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
        raise DatasetError(f"{path} is not whole JSON ({error}; {len(content)} bytes); {AGAIN}") from error
    return value


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _line(path: Path, number: int, line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}, line {number} is not JSON ({error}); {AGAIN}") from error


def _recognise(path: Path, raw: Json) -> tuple[Layout, Json]:
    # One object may be the only line of a file with one entry a line.
    for read in (raw, Json([raw.value], raw.where)):
        for layout in LAYOUTS:
            if layout.recognises(read):
                return layout, read
    names = "; ".join(layout.name for layout in LAYOUTS)
    raise DatasetError(
        f"{path} is JSON in no known layout: it holds {describe(raw.value)}, "
        f"beginning with {describe(raw.first().value)}. Known layouts: {names}"
    )
