"""A study's result as an exhibit: a row for each cell and policy, each figure with its interval over seeds."""

import json
from pathlib import Path

from experiments.errors import StudyError
from experiments.studies.findings.exhibits.exhibit import FORMAT, Exhibit, Interval, Value
from experiments.studies.study.telling.result import StudyResult
from experiments.studies.study.telling.tables import COLUMNS, caption


def exhibit_of(result: StudyResult) -> Exhibit:
    """The tables that `iemas study` prints, as one.

    Its picture is of what the first policy gains over each other, or of welfare where one plays alone.
    """
    hero, alone = result.policies[0], len(result.policies) == 1
    figures = {
        figure: (f"{heading}, {unit}" if unit else heading, factor) for figure, heading, unit, factor, *_ in COLUMNS
    }
    figures = {"welfare": ("welfare, credits", 1), **figures}
    gains = [] if alone else [f"{hero} gains over it, %", "seeds won"]

    def mean(policy: str, name: str, factor: float, cell: str) -> Interval:
        low, high = result.interval(policy, name, cell)
        return Interval(factor * result.mean(policy, name, cell), factor * low, factor * high)

    def gained(policy: str, cell: str) -> tuple[Value, ...]:
        if policy == hero:
            return (None,) * len(gains)
        gain = result.gain(policy, cell=cell)
        return Interval(100 * gain.share, 100 * gain.low, 100 * gain.high), gain.wins

    rows = [
        (
            policy,
            cell,
            *gained(policy, cell),
            *(mean(policy, name, factor, cell) for name, (_, factor) in figures.items()),
        )
        for cell in result.cells
        for policy in result.policies
    ]
    asked = f"What does {hero} come to?" if alone else f"What does {hero} gain in welfare over each other policy?"
    columns = ("policy", "setting", *gains, *(heading for heading, _ in figures.values()))
    y = columns[2]
    return Exhibit(
        result.name,
        asked,
        columns,
        tuple(rows),
        tuple(caption(result).splitlines()),
        result.made,
        "setting",
        y,
        "policy",
    )


def read_finished(path: str | Path) -> StudyResult | Exhibit:
    """What `iemas study` left: its folder, or the file `result.json` or `exhibit.json` in it.

    Raises:
        StudyError: there is no such file, or it is none of these.
    """
    place = Path(path)
    if place.is_dir():
        found = [place / name for name in ("result.json", "exhibit.json") if (place / name).is_file()]
        if len(found) != 1:
            raise StudyError(f"{path} has {len(found)} finished results; expected one of result.json and exhibit.json")
        [place] = found
    try:
        given = json.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{place} cannot be read: {error.strerror}") from error
    except ValueError:
        given = None
    is_exhibit = isinstance(given, dict) and given.get("format") == FORMAT
    return Exhibit.from_dict(given) if is_exhibit else StudyResult.load(place)
