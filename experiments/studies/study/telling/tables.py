"""A study as tables for the terminal."""

import io
from math import isnan
from typing import TYPE_CHECKING

from experiments.studies.arena.fitted import fitted
from experiments.studies.study.telling.result import StudyResult

if TYPE_CHECKING:
    from rich.table import Table

#: What is printed of each score, as a mean over seeds: figure, heading, unit, factor, digits, whether less is better.
COLUMNS = (
    ("quality", "quality", "%", 100, 1, False),
    ("hit_rate", "KV hit", "%", 100, 1, False),
    ("wait_median", "TTFT", "median s", 1, 2, True),
    ("wait_p95", "TTFT", "p95 s", 1, 2, True),
    ("latency_p95", "last token", "p95 s", 1, 2, True),
    ("cost", "cost", "credits", 1, 3, True),
    ("served", "served", "", 1, 0, False),
    ("declined", "decl.", "", 1, 1, True),
    ("charges", "charges", "credits", 1, 0, False),
    ("surplus", "surplus", "credits", 1, 0, False),
    ("latency_nmae", "NMAE", "TTFT", 1, 2, True),
)


def tables(result: StudyResult, width: int) -> "list[Table]":
    """A table a cell, one row a policy; means over seeds, and what the first gains over each.

    A star stands only where the interval of the difference leaves out zero.
    """
    hero = result.policies[0]
    found = []
    for cell in result.cells:
        headings = [("welfare", "credits"), (f"{hero} gains over it", "95 % interval, seeds won")]
        headings += [(heading, unit) for _, heading, unit, *_ in COLUMNS]
        rows = {}
        for policy in result.policies:
            said = "-" if policy == hero else starred(result, policy, cell)
            rows[policy] = [f"{result.mean(policy, 'welfare', cell):,.0f}", said]
            rows[policy] += [
                number(factor * result.mean(policy, figure, cell), digits)
                for figure, _, _, factor, digits, _ in COLUMNS
            ]
        title = f"{result.name}: {cell}, {len(result.seeds)} seed{'s' * (len(result.seeds) > 1)}"
        shown = [(title, headings, rows)]
        shown += [(f"of it, {part}", *of_part(result, cell, part)) for part in result.parts(cell)]
        for table in shown:
            last = cell == result.cells[-1] and table is shown[-1]
            found += fitted(*table, width, caption=caption(result) if last else "")
    return found


def of_part(result: StudyResult, cell: str, part: str) -> tuple[list[tuple[str, str]], dict[str, list[str]]]:
    """Headings, and a row a policy, of what a part of a cell's mix came to."""
    welfare = "welfare" if result.delay == "first-token" else "welfare_last"
    columns = [(welfare, "welfare", "credits", 1, 0), *(one[:5] for one in COLUMNS)]
    rows = {
        policy: [
            number(factor * result.mean(policy, f"{part}.{figure}", cell), digits)
            for figure, _, _, factor, digits in columns
        ]
        for policy in result.policies
    }
    return [(heading, unit) for _, heading, unit, *_ in columns], rows


def starred(result: StudyResult, policy: str, cell: str) -> str:
    """A difference, with a star where its interval clears zero."""
    gain = result.gain(policy, cell=cell)
    star = "* " if gain.low > 0 or gain.high < 0 else "  "
    return star + str(gain)


def caption(result: StudyResult) -> str:
    """What a reader of the table has to know."""
    lines = [f"{name}: {said}" for name, said in result.described.items()]
    lines.append("*: the interval of the difference leaves out zero (paired by seed and conversation)")
    if result.delay == "last-token":
        lines.append("waits are judged to the last token; bidders report, and decisions forecast, waits to the first")
    return "\n".join(lines)


def written(result: StudyResult, width: int) -> str:
    """All tables as text."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width)
    for table in tables(result, width):
        console.print(table)
    return out.getvalue()


def number(value: float, digits: int) -> str:
    """As a cell; a dash for what is none."""
    return "-" if isnan(value) else f"{value:,.{digits}f}"
