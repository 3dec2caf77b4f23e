"""A replay as tables for the terminal, and as plain data."""

from collections import Counter
from dataclasses import asdict
from math import isnan
from typing import TYPE_CHECKING

from experiments.studies.arena.fitted import fitted
from experiments.studies.replay.prompts import tokens_per_piece
from experiments.studies.replay.runs import Replay, recorded_figures

if TYPE_CHECKING:
    from rich.table import Table

#: Field, heading, unit, factor, digits.
_FIGURES = (
    ("hit_rate", "KV hit", "%", 100, 1),
    ("wait_median", "median", "s", 1, 2),
    ("wait_p95", "p95", "s", 1, 2),
    ("cost", "cost", "credits", 1, 4),
    ("served", "served", "", 1, 0),
    ("declined", "decl.", "", 1, 0),
    ("trouble", "failed", "", 1, 0),
    ("contested", "contested", "%", 100, 1),
    ("latency_nmae", "NMAE", "latency", 1, 2),
    ("charges", "charges", "credits", 1, 2),
    ("surplus", "surplus", "credits", 1, 2),
)


def tables(found: Replay, width: int) -> "list[Table]":
    """One row per policy: what it was worth, and in a second table below where the first is full.

    Args:
        width: of the terminal, in characters.
    """
    hero = found.runs[0]
    headings = [("welfare", "credits"), (f"{hero.policy} gains over it", "95 % interval")]
    headings += [(heading, unit) for _, heading, unit, _, _ in _FIGURES]
    rows = {}
    for one in found.runs:
        gain = found.over(one)
        interval = f"{100 * gain.share:+.1f} % [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
        rows[one.policy] = [f"{one.total:,.2f}", "" if one is hero else interval]
        rows[one.policy] += [_number(factor * getattr(one, name), digits) for name, _, _, factor, digits in _FIGURES]
    title = f"{found.trace.path.name}: {len(found.trace.requests)} requests, simulated"
    return fitted(title, headings, rows, width, caption="\n".join(_captions(found)))


def as_dict(found: Replay) -> dict[str, object]:
    """Plain data, ready for JSON."""
    hero = found.runs[0]
    gains = []
    for one in found.runs[1:]:
        gain = found.over(one)
        figures = {name: getattr(gain, name) for name in ("share", "low", "high", "chance")}
        gains.append({"of": hero.policy, "over": one.policy, **_plain(figures)})
    return {
        "trace": str(found.trace.path),
        "requests": len(found.trace.requests),
        "cut_off": found.trace.cut_off,
        "simulated": True,
        "agents": [{"name": one.name, "calibration": one.calibration, "skill": one.skill} for one in found.agents],
        "recorded": {"policy": found.trace.head.policy, **_plain(dict(recorded_figures(found.trace)))},
        "gains": gains,
        "runs": [_plain({**asdict(one), "welfare": list(one.welfare), "total": one.total}) for one in found.runs],
    }


def recorded_line(found: Replay) -> str:
    """What was measured as it was recorded, in a sentence."""
    seen = recorded_figures(found.trace)
    return (
        f"recorded under {found.trace.head.policy}: {seen['served']:.0f} served, {seen['declined']:.0f} declined, "
        f"{seen['trouble']:.0f} failed or left, KV hit {_number(100 * seen['hit_rate'], 1)} %, first token after "
        f"{_number(seen['wait_median'], 2)} s (median), charges {seen['charges']:,.2f} credits"
    )


def _captions(found: Replay) -> list[str]:
    kinds = Counter((one.calibration, one.skill) for one in found.agents)
    said = [f"{count} as {name}, right {100 * skill:.0f} % of the time" for (name, skill), count in kinds.items()]
    return [
        f"engines are simulated: {'; '.join(said)} (assumed)",
        f"{tokens_per_piece(found.trace):.2f} tokens a piece of prompt; requests come when they came",
    ]


def _number(value: float, digits: int) -> str:
    return "-" if isnan(value) else f"{value:,.{digits}f}"


def _plain(figures: dict[str, object]) -> dict[str, object]:
    """JSON has no NaN."""
    return {name: None if isinstance(value, float) and isnan(value) else value for name, value in figures.items()}
