"""What a picture shows: rows of dots with their intervals, in panels side by side, in blocks one below another.

Dots on a common scale are what readers compare best (Cleveland and McGill 1984), and an interval needs no bar below it.
"""

from dataclasses import dataclass
from math import isfinite, isnan, nan

from experiments.errors import StudyError

#: Series that can be told apart by colour and by shape.
MOST_SERIES = 4


@dataclass(frozen=True, slots=True)
class Dot:
    """A mean, with its interval where both ends are given."""

    mean: float
    low: float = nan
    high: float = nan

    @property
    def has_interval(self) -> bool:
        """Whether there is one to draw."""
        return not (isnan(self.low) or isnan(self.high))

    def ends(self) -> tuple[float, ...]:
        """The numbers that an axis must hold."""
        return (self.mean, self.low, self.high) if self.has_interval else (self.mean,)

    def spans(self, line: float | None) -> bool:
        """Whether there is a line, and the interval does not leave it out."""
        return line is not None and self.has_interval and self.low <= line <= self.high


@dataclass(frozen=True, slots=True)
class Panel:
    """An axis.

    Args:
        title: what it shows.
        unit: of what.
        line: where nothing is gained or lost, drawn as a line; a dot is hollow if its interval does not leave it out.
        log: whether the scale is logarithmic; no number on it may be 0 or less.
    """

    title: str
    unit: str = ""
    line: float | None = None
    log: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A label with its dots: one for each panel and each of the block's series, None where there is none."""

    label: str
    cells: tuple[tuple[Dot | None, ...], ...]
    group: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """Panels that share their rows.

    Args:
        panels: from left to right.
        rows: from top to bottom; the first of each run of one group has the group's name above it.
        series: what is told apart within a row, at most four; one without a name needs no key.
        shared: whether all panels have one scale, with those of the picture's other blocks that have.

    Raises:
        StudyError: there is no panel or row, too many series, a row of another shape, or a logarithm of what has none.
    """

    panels: tuple[Panel, ...]
    rows: tuple[Row, ...]
    series: tuple[str, ...] = ("",)
    shared: bool = False

    def __post_init__(self) -> None:
        if not (self.panels and self.rows and self.series):
            raise StudyError("a picture without a panel, a row or a series shows nothing")
        if len(self.series) > MOST_SERIES:
            raise StudyError(f"{len(self.series)} series in a picture; a reader tells {MOST_SERIES} apart")
        for row in self.rows:
            shape = [len(cell) for cell in row.cells]
            if shape != [len(self.series)] * len(self.panels):
                raise StudyError(
                    f"row {row.label!r} has {shape} dots; expected {len(self.series)} in each of {len(self.panels)}"
                )
        for k, panel in enumerate(self.panels):
            found = [end for dot in self.dots(k) for end in dot.ends()]
            if not all(map(isfinite, found)):
                raise StudyError(f"{panel.title}: {next(one for one in found if not isfinite(one))} cannot be drawn")
            if panel.log and found and min(found) <= 0:
                raise StudyError(f"{panel.title}: {min(found):g} has no logarithm")

    def dots(self, panel: int) -> list[Dot]:
        """All that is drawn in a panel."""
        return [dot for row in self.rows for dot in row.cells[panel] if dot is not None]


@dataclass(frozen=True, slots=True)
class Picture:
    """Blocks from top to bottom, a title for who cannot see them, and a note below."""

    title: str
    blocks: tuple[Block, ...]
    note: str = ""
