"""Pictures on pages: each is what the exhibit beside it draws, and the section that shows it says no other figures.

`docs/pictures/NAME.json` is the exhibit as `iemas study NAME --picture docs/pictures/NAME.svg` wrote it. A section's
intervals (`1.2 [.9, 1.5]`), and cells of its tables that are a number, are figures of the pictures that it shows.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from experiments.errors import StudyError
from experiments.reports.pictures import to_svg
from experiments.studies.claims.pages import Section
from experiments.studies.findings.exhibits.exhibit import Exhibit, Interval, short
from experiments.studies.findings.exhibits.pictured import draw, picture

_NUMBER = r"[+-]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)"
_INTERVAL = re.compile(rf"(?<![\w.,])({_NUMBER})(?: ?%)?\s\[({_NUMBER}), ({_NUMBER})\]")
_CELL = re.compile(rf"({_NUMBER})(?: %)?")
#: Shorter than this nobody has said what a picture shows.
_SHORTEST = 40


@dataclass(frozen=True, slots=True)
class Figures:
    """All numbers of some exhibits."""

    intervals: tuple[Interval, ...]
    numbers: tuple[float, ...]

    @classmethod
    def of(cls, exhibits: Sequence[Exhibit]) -> "Figures":
        """Of their tables, and those that are more of them."""
        tables = [table for one in exhibits for table in (one, *one.more)]
        values = [value for table in tables for row in table.rows for value in row]
        intervals = tuple(value for value in values if isinstance(value, Interval))
        plain = [float(one) for one in values if isinstance(one, (int, float)) and not isinstance(one, bool)]
        return cls(intervals, (*plain, *(one.mean for one in intervals)))

    def lack(self, text: str) -> list[tuple[str, str]]:
        """Figures of a section's text that are not among these, each with the nearest that is.

        >>> Figures((Interval(0.254, 0.1, 0.4),), (0.254,)).lack("It is .25 [.1, .4], not .2 [.1, .4].")
        [('.2 [.1, .4]', '0.254 [0.1, 0.4]')]
        """
        known: list[tuple[float, ...]] = [(one.mean, one.low, one.high) for one in self.intervals]
        # "Loses .3" is said of a surplus of -.3.
        known += [(-one.mean, -one.high, -one.low) for one in self.intervals]
        plain: list[tuple[float, ...]] = [(one,) for one in self.numbers]
        said = [(found[0], found.groups(), known) for found in _INTERVAL.finditer(text)]
        said += [(found[0], found.groups(), plain) for found in _cells(text)]
        lacking = []
        for figure, parts, values in said:
            if not any(_are(parts, each) for each in values):
                aim = [_value(part) for part in parts]
                near = min(values, key=lambda each: sum(abs(a - b) for a, b in zip(aim, each, strict=True)))
                lacking.append((figure, str(Interval(*near)) if len(near) > 1 else short(*near)))
        return lacking


def faults(section: Section, root: Path) -> Iterator[str]:
    """A sentence for each fault of a section's pictures."""
    exhibits: list[Exhibit] = []
    for said, place in section.images:
        where = f"{section.page}, {section.title!r}: {place}"
        data = (root / place).with_suffix(".json")
        if len(said) < _SHORTEST:
            yield f"{where}: say in its brackets what it shows; {said!r} does not"
        if not (root / place).is_file() or not data.is_file():
            yield f"{where} or the figures beside it are missing; `iemas study NAME --picture {place}` writes both"
            continue
        try:
            exhibit = Exhibit.load(data)
            drawn = to_svg(picture(exhibit))
        except StudyError as error:
            yield f"{where}: {error}"
            continue
        exhibits.append(exhibit)
        if drawn != (root / place).read_text(encoding="utf-8"):
            yield f"{where} is not what {data.name} draws; `iemas claims update {section.page}` draws it again"
    if len(exhibits) == len(section.images):
        names = ", ".join(exhibit.name for exhibit in exhibits)
        for one, near in Figures.of(exhibits).lack(section.text):
            yield (
                f"{section.page}, {section.title!r}: {one!r} is no figure of its pictures ({names}; nearest: {near}); "
                "take theirs, or run that study again"
            )


def redraw(section: Section, root: Path) -> list[str]:
    """Draw a section's pictures from what lies beside them; a sentence for each that changed.

    Raises:
        StudyError: there is nothing beside one that could be drawn.
    """
    said = []
    for _, place in section.images:
        path = root / place
        before = path.read_bytes() if path.is_file() else b""
        draw(Exhibit.load(path.with_suffix(".json")), path)
        if path.read_bytes() != before:
            said.append(f"{place}: drawn again")
    return said


def _cells(text: str) -> Iterator[re.Match[str]]:
    """Cells of tables that are a number and nothing else."""
    for line in text.splitlines():
        if line.startswith("|"):
            for cell in line.strip("| ").split(" | "):
                found = _CELL.fullmatch(cell.strip("* "))
                if found is not None:
                    yield found


def _are(said: Sequence[str], values: Sequence[float]) -> bool:
    """Whether a page says these values: as they are or as they are printed, rounded to the page's digits."""
    return all(
        any(abs(_value(text) - one) <= 0.5 * 10.0 ** -len(text.partition(".")[2]) + 1e-9 for one in (value, printed))
        for text, value in zip(said, values, strict=True)
        for printed in [value if isnan(value) else _value(short(value))]
    )


def _value(text: str) -> float:
    return float(text.replace(",", ""))
