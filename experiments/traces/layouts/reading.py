"""What every layout of traces asks of its columns: whole numbers, times that go on, each error with its line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import NoReturn

import numpy as np

from experiments.errors import DatasetError
from experiments.files import Record, json_records, table_rows
from experiments.files.content import AGAIN
from experiments.traces.trace import Floats, Ints, RequestTrace


@dataclass(frozen=True, slots=True)
class TraceLayout:
    """One format: how to know it by its content, how to read it, under which terms its official files come.

    `read` may leave `title`, `licence` and `sha256` empty: they are of the file, not of the layout.
    """

    name: str
    licence: str
    recognises: Callable[[Path, str], bool]
    read: Callable[[Path, str], RequestTrace]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a file by name, and in which line each row stands."""

    path: Path
    lines: Sequence[int]
    values: dict[str, list[object]]

    def refuse(self, row: int, why: str) -> NoReturn:
        """Say what is wrong with a row.

        Raises:
            DatasetError: always.
        """
        Record(self.path, self.lines[row], None).refuse(why)

    def counts(self, name: str, least: int) -> Ints:
        """A column of tokens, (N,).

        Raises:
            DatasetError: one is no whole number, or below `least`.
        """
        found = []
        for row, value in enumerate(self.values[name]):
            number = _whole(value)
            if number is None or number < least:
                self.refuse(row, f"{name} is {str(value)[:40]!r}; expected a whole number of tokens, {least} or more")
            found.append(number)
        return np.array(found, np.int64)

    def amounts(self, name: str) -> Floats:
        """A column of amounts, (N,), 0 or more.

        Raises:
            DatasetError: one is no such number.
        """
        found = []
        for row, value in enumerate(self.values[name]):
            number = _float(value)
            if number is None or number < 0:
                self.refuse(row, f"{name} is {str(value)[:40]!r}; expected a number, 0 or more")
            found.append(number)
        return np.array(found)

    def names(self, name: str) -> tuple[str, ...]:
        """A column of names; empty where a row has none.

        Raises:
            DatasetError: one is no text and no whole number.
        """
        for row, value in enumerate(self.values[name]):
            if not isinstance(value, str | int) and value is not None:
                self.refuse(row, f"{name} is {str(value)[:40]!r}; expected a name")
        return tuple("" if value is None else str(value).strip() for value in self.values[name])

    def stamps(self, name: str) -> Floats:
        """A column of time stamps as seconds from the first, (N,); they may end in +00:00 or Z.

        Raises:
            DatasetError: one is no time stamp, or goes backwards.
        """
        plain = [str(value).strip().removesuffix("+00:00").removesuffix("Z") for value in self.values[name]]
        try:
            at = np.array(plain, "datetime64[ns]")
        except ValueError:
            at = np.array([self._stamp(row, name, value) for row, value in enumerate(plain)], "datetime64[ns]")
        missing = np.isnat(at)
        if missing.any():
            self.refuse(int(missing.argmax()), f"{name} is missing")
        return self.forwards(name, (at - at[0]) / np.timedelta64(1, "s"))

    def forwards(self, name: str, at_s: Floats) -> Floats:
        """The same times.

        Raises:
            DatasetError: one lies before the one that it follows.
        """
        back = np.diff(at_s) < 0
        if back.any():
            row = int(back.argmax()) + 1
            self.refuse(
                row,
                f"{name} goes backwards, from {self.values[name][row - 1]} to {self.values[name][row]}; "
                "sort the file by time",
            )
        return at_s

    def _stamp(self, row: int, name: str, text: str) -> np.datetime64:
        try:
            return np.datetime64(text, "ns")
        except ValueError:
            self.refuse(row, f"{name} is {text[:40]!r}; expected a time stamp such as 2026-01-31 18:15:46.68")


def csv_columns(path: Path, text: str) -> Columns:
    """The columns of a CSV file.

    Raises:
        DatasetError: it has a header only, or rows of other widths.
    """
    rows = table_rows(path, text)
    _, header = next(rows)
    found = list(rows)
    if not found:
        raise DatasetError(f"{path} has a header and no request; {AGAIN}")
    cells = zip(*(row for _, row in found), strict=True)
    return Columns(
        path, [line for line, _ in found], {name.strip(): list(each) for name, each in zip(header, cells, strict=True)}
    )


def json_columns(path: Path, text: str, names: Sequence[str]) -> Columns:
    """These keys of a file with one JSON object a line; None where a line lacks one.

    Raises:
        DatasetError: a line is no JSON object.
    """
    lines: list[int] = []
    values: dict[str, list[object]] = {name: [] for name in names}
    for record in json_records(path, text):
        if not isinstance(record.value, dict):
            record.refuse(f"expected an object, found {str(record.value)[:40]!r}")
        lines.append(record.line)
        for name, column in values.items():
            column.append(record.value.get(name))
    return Columns(path, lines, values)


def _whole(value: object) -> int | None:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _float(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if isfinite(number) else None
