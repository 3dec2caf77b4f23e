"""`View`: which columns of an exhibit a block of its picture shows, and where each row of its table is drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from experiments.studies.findings.exhibits.exhibit import Exhibit, Value


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row of a table is drawn: in which row, below which heading, as which series and in which panel."""

    row: str
    group: str = ""
    series: str = ""
    panel: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a panel shows: columns, one a series where it has several, None where a series has nothing there."""

    columns: tuple[str | None, ...]
    title: str
    unit: str = ""
    line: float | None = None
    log: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """A block of a picture.

    Args:
        place: where a row is drawn, None for nowhere.
        shown: panels; a single one if `place` names panels.
        series: names, in the order of `Shown.columns` or as `place` has them.
        tables: of the exhibit (0) and what is more of it (1, ...).
        shared: whether panels have one scale.
    """

    place: Callable[[Mapping[str, Value], Exhibit], Place | None]
    shown: tuple[Shown, ...]
    series: tuple[str, ...] = ("",)
    tables: tuple[int, ...] = (0,)
    shared: bool = False
