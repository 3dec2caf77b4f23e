"""Which of an exhibit's figures are drawn, and how: a view or several for each study, and one for any other table.

A view names columns; all figures are the exhibit's own.
"""

import re
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from experiments.errors import StudyError
from experiments.reports.pictures import Block, Dot, Panel, Picture, Row, to_svg
from experiments.studies.findings.exhibits.exhibit import Exhibit, Interval, Value, shown
from experiments.studies.findings.exhibits.view import Place, Shown, View
from experiments.studies.findings.exhibits.views import VIEWS

#: What may be an absolute path, of which a word begins.
_PATH = re.compile(r"(?<![^\s='\"(+])/[^\s'\",;()+]+")
#: Panels that stand side by side; more go below.
_ABREAST = 4
#: Of a table that nobody said anything about: beyond, a picture is a list.
_MOST_ROWS, _MOST_PANELS = 60, 24


def picture(exhibit: Exhibit) -> Picture:
    """What `iemas study NAME --picture FILE.svg` draws.

    Raises:
        StudyError: the exhibit has no number that could be drawn, or a row that nobody thought of.
    """
    views = VIEWS.get(exhibit.name, ())
    if not (views and all(_fits(view, exhibit) for view in views)):
        # Of somebody's own, or of other policies than those that ship.
        views = (_any(exhibit),)
    blocks = [block for view in views for block in _blocks(view, exhibit)]
    return Picture(exhibit.question, tuple(blocks), _note(blocks))


def draw(exhibit: Exhibit, path: str | Path) -> Path:
    """Write the picture, and beside it as JSON the exhibit that it is drawn from; each whole or not at all.

    Both are passed on: neither has a path that leads to a place of this machine.

    Raises:
        StudyError: as `picture` does, or the file's name does not end in .svg.
    """
    path, exhibit = svg_path(path), placeless(exhibit)
    text = to_svg(picture(exhibit))
    exhibit.save(path.with_suffix(".json"))
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    return beside.replace(path)


def placeless(exhibit: Exhibit) -> Exhibit:
    """The same without absolute paths: of what lies below the working folder the rest, of others the name."""
    return Exhibit.from_dict(_placeless(exhibit.as_dict()))


def _placeless(given: Any) -> Any:
    if isinstance(given, str):
        return _PATH.sub(_name, given)
    if isinstance(given, dict):
        return {_placeless(name): _placeless(value) for name, value in given.items()}
    return [_placeless(one) for one in given] if isinstance(given, (list, tuple)) else given


def _name(found: "re.Match[str]") -> str:
    """A path as it may be passed on; what is none, such as a unit, as it is."""
    path = Path(found[0])
    if len(path.parts) < 3 or not Path(*path.parts[:2]).exists():
        return found[0]
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name


def svg_path(path: str | Path) -> Path:
    """The path of a picture.

    Raises:
        StudyError: its name does not end in .svg.
    """
    if Path(path).suffix != ".svg":
        raise StudyError(f"{path}: pictures are SVG; name a file that ends in .svg")
    return Path(path)


def _blocks(view: View, exhibit: Exhibit) -> list[Block]:
    """The view's block; several where it has more panels than stand side by side."""
    tables = (exhibit, *exhibit.more)
    placed = [
        (place, held)
        for k in view.tables
        for row in tables[k].rows
        if (place := _place(view, held := dict(zip(tables[k].columns, row, strict=True)), tables[k])) is not None
    ]
    names = list(dict.fromkeys(place.panel for place, _ in placed))
    panels = [(_panel(name, one), name, one) for name in names for one in view.shown]
    rows = list(dict.fromkeys((place.group, place.row) for place, _ in placed))
    dots: dict[tuple[str, str, str, str, str], Dot | None] = {}
    for place, held in placed:
        for one in view.shown:
            for k, column in enumerate(one.columns):
                series = place.series or view.series[k]
                if column is not None:
                    at = (place.group, place.row, place.panel, one.title, series)
                    if at in dots:
                        raise StudyError(f"{exhibit.name}: two rows at one place of its picture: {', '.join(at)}")
                    dots[at] = _dot(held[column])
    found = []
    for first in range(0, len(panels), _ABREAST):
        some = panels[first : first + _ABREAST]
        cells = [
            Row(
                row,
                tuple(
                    tuple(dots.get((group, row, name, one.title, each)) for each in view.series)
                    for _, name, one in some
                ),
                group,
            )
            for group, row in rows
        ]
        found.append(Block(tuple(panel for panel, _, _ in some), tuple(cells), view.series, view.shared))
    return found


def _fits(view: View, exhibit: Exhibit) -> bool:
    """Whether the exhibit has the view's tables and columns."""
    tables = (exhibit, *exhibit.more)
    columns = {column for one in view.shown for column in one.columns if column is not None}
    return all(k < len(tables) and columns <= set(tables[k].columns) for k in view.tables)


def _place(view: View, held: Mapping[str, Value], exhibit: Exhibit) -> Place | None:
    try:
        return view.place(held, exhibit)
    except (KeyError, ValueError) as error:
        raise StudyError(f"{exhibit.name}: its picture has no place for the row {list(held.values())[:2]}") from error


def _panel(name: str, one: Shown) -> Panel:
    """Titled by what tells it from others."""
    if not name:
        return Panel(one.title, one.unit, one.line, one.log)
    return Panel(name, ", ".join(part for part in (one.title, one.unit) if part), one.line, one.log)


def _dot(value: Value) -> Dot | None:
    if isinstance(value, Interval):
        return None if isnan(value.mean) else Dot(value.mean, value.low, value.high)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return None if isnan(value) else Dot(float(value))
    return None


def _any(exhibit: Exhibit) -> View:
    """A panel for each `x`, a row for each `by`; without them a panel for each column that has intervals."""
    x, y, by = exhibit.x, exhibit.y, exhibit.by
    if y and by and len(set(map(shown, exhibit.column(x)))) <= _MOST_PANELS:
        return View(lambda held, _: Place(shown(held[by]), panel=_at(x, held[x])), (_shown(exhibit, y),), shared=True)
    measured = [
        name for name in exhibit.columns[1:] if any(isinstance(value, Interval) for value in exhibit.column(name))
    ]
    if not measured or len(exhibit.rows) > _MOST_ROWS:
        raise StudyError(
            f"{exhibit.name}: {len(measured)} columns with intervals, {len(exhibit.rows)} rows; a picture is of one "
            f"such column at least and of {_MOST_ROWS} rows at most; its table and its page have them all"
        )
    known = exhibit.columns[: max(1, exhibit.columns.index(measured[0]))]
    return View(
        lambda held, _: Place(", ".join(shown(held[name]) for name in known)),
        tuple(_shown(exhibit, name) for name in measured),
    )


def _at(x: str, value: Value) -> str:
    """A number needs its name, words do not."""
    return str(value) if isinstance(value, str) else f"{x} {shown(value)}"


def _shown(exhibit: Exhibit, column: str) -> Shown:
    """A column with its unit, and a line at zero where some of it lies below or all of it are gains."""
    name, _, unit = column.rpartition(", ")
    ends = [end for row in exhibit.column(column) if isinstance(row, Interval) for end in (row.mean, row.low)]
    line = 0.0 if "gain" in column or any(end < 0 for end in ends) else None
    return Shown((column,), name or unit, unit if name else "", line)


def _note(blocks: Sequence[Block]) -> str:
    dots = [(dot, panel.line) for block in blocks for k, panel in enumerate(block.panels) for dot in block.dots(k)]
    if not any(dot.has_interval for dot, _ in dots):
        return "Dots are means."
    lines = {line for dot, line in dots if dot.spans(line)}
    where = "zero" if lines == {0.0} else "the line"
    hollow = f" Hollow: the interval does not leave out {where}." if lines else ""
    return f"Dots are means, lines 95 % intervals.{hollow}"
