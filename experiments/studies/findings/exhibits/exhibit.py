"""`Exhibit`: the answer to a question: a table with intervals, a plot, and what it does not show."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from experiments.errors import StudyError
from experiments.results.made import Made

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars

    from experiments.studies.study.keeping.kept import Kept

#: Called with parts done and parts in all.
Progress = Callable[[int, int], None]

#: Version of the file that `save` writes.
FORMAT = "iemas-exhibit/1"

_DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % interval; `low` and `high` are NaN where one value cannot say."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        if isnan(self.low):
            return short(self.mean)
        return f"{short(self.mean)} [{short(self.low)}, {short(self.high)}]"


#: What a cell may hold.
Value = str | int | float | bool | Interval | None


def interval(values: Sequence[float], seed: int = 0) -> Interval:
    """The mean of independent values, with the bootstrap's interval (Efron 1979).

    >>> str(interval([2.0, 2.0, 2.0]))
    '2 [2, 2]'
    """
    given = np.asarray(values, np.float64)
    if given.size == 0:
        return Interval(nan, nan, nan)
    if given.size == 1:
        return Interval(float(given[0]), nan, nan)
    rng = np.random.default_rng(seed)
    means = given[rng.integers(given.size, size=(_DRAWS, given.size))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(given.mean()), float(low), float(high))


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A table that answers a question.

    Args:
        name: as `iemas study` takes it.
        question: in one sentence.
        columns: headings, with units.
        rows: a value for each; `Interval` where it was measured several times.
        notes: how it was measured, what is simulated, and what it does not show; a sentence each.
        made: how it came about.
        x, y: columns that `plot` draws, `y` for each value of column `by`.

    Raises:
        StudyError: there is no row, a row has not as many values as there are columns, or a column is none.
    """

    name: str
    question: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    notes: tuple[str, ...]
    made: Made
    x: str = ""
    y: str = ""
    by: str = ""
    more: tuple["Exhibit", ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.rows:
            raise StudyError(f"{self.name}: an exhibit without a row shows nothing")
        for row in self.rows:
            if len(row) != len(self.columns):
                raise StudyError(f"{self.name}: a row of {len(row)} values for {len(self.columns)} columns: {row}")
        for column in (self.x, self.y, self.by):
            if column and column not in self.columns:
                raise StudyError(f"{self.name}: no column {column!r}; there are: {', '.join(self.columns)}")

    def column(self, name: str) -> list[Value]:
        """Values of one column."""
        return [row[self.columns.index(name)] for row in self.rows]

    def row(self, first: Value) -> dict[str, Value]:
        """The row that begins with this value.

        Raises:
            StudyError: there is none.
        """
        for row in self.rows:
            if row[0] == first:
                return dict(zip(self.columns, row, strict=True))
        raise StudyError(f"{self.name}: no row begins with {first!r}; there are: {[row[0] for row in self.rows]}")

    def frame(self) -> "polars.DataFrame":
        """The table; an interval becomes three columns."""
        import polars

        found: dict[str, list[Any]] = {}
        for k, name in enumerate(self.columns):
            values = [row[k] for row in self.rows]
            if any(isinstance(value, Interval) for value in values):
                parts = [
                    value if isinstance(value, Interval) else Interval(_number(value), nan, nan) for value in values
                ]
                found[name] = [one.mean for one in parts]
                found[f"{name} low"], found[f"{name} high"] = [one.low for one in parts], [one.high for one in parts]
            else:
                found[name] = values
        return polars.DataFrame(found, strict=False)

    def table(self, width: int = 160) -> str:
        """As the command prints it."""
        from rich.console import Console

        from experiments.studies.arena.fitted import fitted

        out = io.StringIO()
        console = Console(file=out, width=width)
        for one in (self, *self.more):
            keyed = {f"{k}": [shown(value) for value in row[1:]] for k, row in enumerate(one.rows)}
            named = _apart([shown(row[0]) for row in one.rows])
            rows = dict(zip(named, keyed.values(), strict=True))
            caption = "\n".join(one.notes)
            headings = [tuple(name.split(", ", 1)) if ", " in name else (name, "") for name in one.columns[1:]]
            title = f"{one.name}: {one.question}"
            for table in fitted(title, headings, rows, width, caption=caption, first=one.columns[0]):
                console.print(table)
        return out.getvalue()

    def plot(self) -> "go.Figure":
        """`y` over `x`, a line for each value of `by`; bars where `x` is words.

        Raises:
            StudyError: the exhibit says no columns to plot.
        """
        if not (self.x and self.y):
            raise StudyError(f"{self.name} has no plot; frame() has its numbers")
        from experiments.reports.charts.figures import blank
        from experiments.reports.charts.palette import NEUTRAL, looks

        groups: dict[str, list[tuple[Value, Interval]]] = {}
        for row in self.rows:
            held = dict(zip(self.columns, row, strict=True))
            value = held[self.y]
            parts = _interval(value)
            groups.setdefault(str(held[self.by]) if self.by else self.y, []).append((held[self.x], parts))
        made = blank(420, simulated=False, x=self.x, y=self.y, showlegend=bool(self.by))
        colours = looks(list(groups))
        words = any(isinstance(at, str) for points in groups.values() for at, _ in points)
        for name, points in groups.items():
            error = {
                "type": "data",
                "symmetric": False,
                "array": [0.0 if isnan(one.high) else one.high - one.mean for _, one in points],
                "arrayminus": [0.0 if isnan(one.low) else one.mean - one.low for _, one in points],
                "color": NEUTRAL,
            }
            at, means = [at for at, _ in points], [one.mean for _, one in points]
            if words:
                made.add_bar(x=at, y=means, name=name, error_y=error, marker={"color": colours[name].colour})
            else:
                look = colours[name]
                line, marker = {"color": look.colour, "dash": look.dash}, {"symbol": look.symbol, "size": 8}
                made.add_scatter(
                    x=at, y=means, name=name, error_y=error, mode="lines+markers", line=line, marker=marker
                )
        return made

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON: an interval is [mean, low, high], what is no number is null."""
        return {
            "format": FORMAT,
            "name": self.name,
            "question": self.question,
            "columns": list(self.columns),
            "rows": [[_plain(value) for value in row] for row in self.rows],
            "notes": list(self.notes),
            "made": asdict(self.made),
            "plot": [self.x, self.y, self.by],
            "more": [one.as_dict() for one in self.more],
        }

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Self:
        """What `as_dict` gave.

        Raises:
            StudyError: it is no such thing.
        """
        try:
            if given["format"] != FORMAT:
                raise StudyError(f"an exhibit of format {given['format']!r}; this version reads {FORMAT}")
            made = Made(**{**given["made"], "seeds": tuple(given["made"]["seeds"])})
            rows = tuple(tuple(_value(one) for one in row) for row in given["rows"])
            more = tuple(cls.from_dict(one) for one in given["more"])
            x, y, by = given["plot"]
            return cls(
                given["name"],
                given["question"],
                tuple(given["columns"]),
                rows,
                tuple(given["notes"]),
                made,
                x,
                y,
                by,
                more,
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, StudyError):
                raise
            raise StudyError(f"no exhibit: {error!r}") from error

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """What `save` wrote.

        Raises:
            StudyError: it cannot be read, or is no such file.
        """
        try:
            given = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise StudyError(f"{path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise StudyError(f"{path} is no exhibit ({error}); `iemas study` writes one") from error
        return cls.from_dict(given)

    def save(self, path: str | Path) -> Path:
        """Write it, whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")
        return beside.replace(path)

    def report(self, path: str | Path = "report.html") -> Path:
        """Write one page that needs nothing else: tables, the plot, and how they were made."""
        from experiments.reports.page import definitions, write_page

        drawn = {f"plot-{k}": one.plot() for k, one in enumerate((self, *self.more)) if one.x and one.y}
        plots = "".join(f'<figure class="wide"><div class="plot" id="{name}"></div></figure>' for name in drawn)
        tables = f'<div class="scroll" style="overflow-x:auto">{self._repr_html_()}</div>'
        body = f"{tables}{plots}<h2>How it was made</h2>{definitions(self.made.lines())}"
        return write_page(Path(path), self.name, body, drawn)

    def markdown(self) -> str:
        """The table for a page."""
        lines = []
        for one in (self, *self.more):
            lines += ["| " + " | ".join(one.columns) + " |", "|" + "---|" * len(one.columns)]
            lines += ["| " + " | ".join(shown(value) for value in row) + " |" for row in one.rows]
            lines.append("")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        parts = []
        for one in (self, *self.more):
            heads = "".join(f"<th>{escape(name)}</th>" for name in one.columns)
            rows = "".join(
                "<tr>" + "".join(f"<td>{escape(shown(value))}</td>" for value in row) + "</tr>" for row in one.rows
            )
            notes = "<br>".join(map(escape, one.notes))
            parts.append(f"<h3>{escape(one.question)}</h3><table><tr>{heads}</tr>{rows}</table><p>{notes}</p>")
        return "".join(parts)


class Question(Protocol):
    """Answers one question.

    Args:
        seeds: repetitions; an answer says how its intervals come from them.
        workers: as in `Study.run`.
        kept: finished runs, which are not run again.
    """

    def __call__(
        self, *, seeds: Sequence[int], workers: int | str | None, progress: Progress, kept: "Kept | None" = None
    ) -> Exhibit:
        """Run it."""
        ...


def shown(value: Value) -> str:
    """A cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return short(float(value))
    return str(value)


def short(number: float) -> str:
    """Three figures, or all of a whole number.

    >>> short(1234.5), short(0.12345), short(12.0)
    ('1,234', '0.123', '12')
    """
    if isnan(number):
        return "-"
    if abs(number) >= 100 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.3g}"


def _number(value: Value) -> float:
    return float(value) if isinstance(value, (int, float)) else nan


def _interval(value: Value) -> Interval:
    return value if isinstance(value, Interval) else Interval(_number(value), nan, nan)


def _plain(value: Value) -> Any:
    if isinstance(value, Interval):
        return {"interval": [None if isnan(part) else part for part in (value.mean, value.low, value.high)]}
    return None if isinstance(value, float) and isnan(value) else value


def _value(given: Any) -> Value:
    if isinstance(given, dict):
        return Interval(*(nan if part is None else float(part) for part in given["interval"]))
    found: Value = given
    return found


def _apart(names: list[str]) -> list[str]:
    """Rows are told apart by their first cell; one that is there already gets spaces behind it."""
    seen: set[str] = set()
    found = []
    for name in names:
        while name in seen:
            name += " "
        seen.add(name)
        found.append(name)
    return found
