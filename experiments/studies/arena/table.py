"""A contest as tables for the terminal, and as plain data."""

from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from experiments.studies.arena.contest import Contest, World

if TYPE_CHECKING:
    from rich.table import Table

#: What is printed of each score, as a mean over seeds: field, heading, unit, factor, digits.
_FIGURES = (
    ("hit_rate", "KV hit", "%", 100, 1),
    ("wait_median", "median", "s", 1, 2),
    ("wait_p95", "p95", "s", 1, 1),
    ("cost", "cost", "credits", 1, 2),
    ("served", "served", "", 1, 0),
    ("declined", "decl.", "", 1, 1),
    ("contested", "contested", "%", 100, 1),
    ("latency_nmae", "NMAE", "latency", 1, 2),
    ("charges", "charges", "credits", 1, 0),
    ("surplus", "surplus", "credits", 1, 0),
    ("bidders_surplus", "bidders'", "credits", 1, 0),
    ("welfare_last", "welfare", "last token", 1, 0),
)


def tables(found: Contest, world: World, width: int) -> "list[Table]":
    """One row per policy, means over seeds: what it was worth, and in a second table below where the first is full.

    Args:
        width: of the terminal, in characters.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = _rows(found, world)
    hero = next(iter(rows))
    headings = [("welfare", "credits"), ("0 to 1", ""), (f"{hero} gains over it", "95 % interval, seeds won")]
    headings += [(heading, unit) for _, heading, unit, _, _ in _FIGURES]
    widths = [
        2 + max(len(text) for text in (*headings[k], *(cells[k] for cells in rows.values())))
        for k in range(len(headings))
    ]
    left = 2 + max(map(len, ("policy", *rows)))
    groups: list[list[int]] = [[]]
    for k, needed in enumerate(widths):
        if groups[-1] and left + sum(widths[i] for i in groups[-1]) + needed > width:
            groups.append([])
        groups[-1].append(k)
    made = []
    for group in groups:
        table = Table(
            title=Text(f"{world.name}: {len(found.seeds)} seeds, simulated", "bold") if group is groups[0] else None,
            title_justify="left",
            caption=Text("0: random routing, 1: the best that anybody reached at each seed", "dim")
            if group is groups[-1]
            else None,
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        table.add_column("policy", overflow="fold")
        for k in group:
            table.add_column(Text("\n".join(headings[k])), justify="right", no_wrap=True)
        for policy, cells in rows.items():
            table.add_row(Text(policy, "bold" if policy == hero else ""), *(Text(cells[k]) for k in group))
        made.append(table)
    return made


def as_dict(found: Contest) -> dict[str, object]:
    """Plain data, ready for JSON: every score, and every gain of the first policy over another."""
    worlds = list(dict.fromkeys(world for world, _, _ in found.scores))
    gains = []
    for world in worlds:
        hero, *others = _heroes_first(found, world)
        for other in others:
            gain = found.over(world, hero, other)
            figures = {name: getattr(gain, name) for name in ("share", "low", "high", "chance", "wins", "seeds")}
            gains.append({"world": world, "of": hero, "over": other, **_plain(figures)})
    scores = [
        {"world": world, "policy": policy, "seed": seed, **_plain(score.as_dict())}
        for (world, policy, seed), score in found.scores.items()
    ]
    return {"seeds": list(found.seeds), "simulated": True, "gains": gains, "scores": scores}


def _heroes_first(found: Contest, world: str) -> list[str]:
    """The auction where it plays, else whoever was named first, then the others."""
    names = found.policies(world)
    return sorted(names, key=lambda name: (name != "iemas", names.index(name)))


def _rows(found: Contest, world: World) -> dict[str, list[str]]:
    """Cells by policy."""
    hero, *others = _heroes_first(found, world.name)
    rows = {}
    for policy in (hero, *others):
        scores = found.of(world.name, policy)
        cells = [f"{np.mean([score.total for score in scores]):,.0f}"]
        cells.append(_number(found.normalised(world.name, policy), 2))
        cells.append("" if policy == hero else str(found.over(world.name, hero, policy)))
        for name, _, _, factor, digits in _FIGURES:
            cells.append(_number(factor * float(np.mean([getattr(score, name) for score in scores])), digits))
        rows[policy] = cells
    return rows


def _number(value: float, digits: int) -> str:
    return "-" if isnan(value) else f"{value:,.{digits}f}"


def _plain(figures: dict[str, object]) -> dict[str, object]:
    """JSON has no NaN."""
    return {name: None if isinstance(value, float) and isnan(value) else value for name, value in figures.items()}
