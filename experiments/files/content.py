"""What is in a file: its bytes, its JSON values, the rows of its table, each with the line that it stands in."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from experiments.errors import DatasetError

AGAIN = "mend it, or get the raw file again, for instance with `iemas data fetch`"

_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Record:
    """A value of a file and the line in which it begins, from 1; `unit` is "row" where the file has no lines."""

    path: Path
    line: int
    value: object
    unit: str = "line"

    def refuse(self, why: str) -> NoReturn:
        """Say what is wrong with it, and where it stands.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(f"{self.path}, {self.unit} {self.line}: {why}")

    def at(self, key: str) -> object:
        """The value under a key, which must be there."""
        if not isinstance(self.value, dict) or key not in self.value:
            self.refuse(f"expected an object with {key!r}, found {str(self.value)[:60]!r}")
        return self.value[key]

    def get(self, key: str) -> object:
        """The value under a key, or None."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def text(self, key: str) -> str:
        """The text under a key, which must be there and say something."""
        value = self.at(key)
        if not isinstance(value, str) or not value.strip():
            self.refuse(f"{key} is {str(value)[:40]!r}; expected a text")
        return value


def read_bytes(path: Path) -> bytes:
    """What is in a file that exists, is not empty and is what was to be downloaded.

    Raises:
        DatasetError: it is none of that; the message has the remedy.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DatasetError(f"{path} does not exist; check the path, or see `iemas data list`") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); give the path of one file") from error
    start = content[:200].lstrip().lower()
    if not start:
        raise DatasetError(f"{path} is empty; {AGAIN}")
    if start.startswith(b"<"):
        raise DatasetError(f"{path} is a web page, not data: a link's page was saved in place of its file; {AGAIN}")
    if start.startswith(b"version https://git-lfs"):
        raise DatasetError(f"{path} is a Git LFS pointer, not the data it points to; run `git lfs pull` where it is")
    return content


def read_text(path: Path) -> str:
    """`read_bytes` as text.

    Raises:
        DatasetError: as there, or it is not UTF-8.
    """
    return decoded(path, read_bytes(path))


def decoded(path: Path, content: bytes) -> str:
    """Bytes as text, without a mark of the byte order.

    Raises:
        DatasetError: they are not UTF-8; the message has the line.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{path}, line {line}: byte {error.start} is not UTF-8; save the file as UTF-8") from error


def json_records(path: Path, text: str) -> Iterator[Record]:
    """The elements of a JSON list, or the values of a file with one a line, each with its line.

    Raises:
        DatasetError: one is no JSON, or names a key twice.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_once)
    at = _skip(text, 0)
    listed = text.startswith("[", at)
    at = _skip(text, at + listed)
    line, counted = 1, 0
    while at < len(text) and not (listed and text[at] == "]"):
        line += text.count("\n", counted, at)
        counted = at
        record = Record(path, line, None)
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            record.refuse(f"no whole JSON ({error.msg}, at line {error.lineno}, column {error.colno}); {AGAIN}")
        except (ValueError, RecursionError) as error:
            record.refuse(f"no whole JSON ({error}); {AGAIN}")
        yield Record(path, line, value)
        after = at
        at = _skip(text, at)
        if listed:
            if at >= len(text) or text[at] not in ",]":
                record.refuse(f"the list of which this is an element does not go on; {AGAIN}")
            at = _skip(text, at + (text[at] == ","))
        elif at < len(text) and "\n" not in text[after:at]:
            record.refuse("expected one JSON value a line, found more")
    if listed and at >= len(text):
        raise DatasetError(f"{path}, line {line}: the list has no end, the file was cut short; {AGAIN}")


def table_rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file, header first, each with the line in which it ends; blank lines are left out.

    Raises:
        DatasetError: a row has more or fewer fields than the header, or is no CSV.
    """
    # Lines end where CSV says so: splitlines() would break fields at U+2028 and the like.
    reader = csv.reader(_lines(text))
    width: int | None = None
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DatasetError(f"{path}, line {reader.line_num}: no CSV ({error})") from error
        if row is None:
            return
        if not row:
            continue
        if width is None:
            width = len(row)
            if len(set(row)) < width:
                raise DatasetError(f"{path}, line {reader.line_num}: a column stands twice: {', '.join(row)}")
        if len(row) != width:
            raise DatasetError(f"{path}, line {reader.line_num}: {len(row)} fields where the header has {width}")
        yield reader.line_num, row


def tokens_of(text: str) -> int:
    """About how many tokens a text has: one for every four bytes of UTF-8, begun ones counted.

    It is a rule of thumb for English under vocabularies of some 50,000 to 100,000 words; no vocabulary is needed for
    it, so that it is the same everywhere.

    >>> tokens_of("Hello, world.")
    4
    """
    return -(-len(text.encode()) // 4)


def _lines(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        end = text.find("\n", at) + 1 or len(text)
        yield text[at:end]
        at = end


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands twice in one object")
    return made
