"""A contest as tables for the terminal, and as plain data."""

from dataclasses import asdict
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from experiments.routers.catalogue import INFORMED
from experiments.studies.arena.contest import Contest, World
from experiments.studies.arena.deciles import deciles
from experiments.studies.arena.fitted import fitted
from experiments.studies.arena.play import DELAYS, Score

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
)
_CAPTION = "0: random routing, 1: the best that anybody reached at each seed"
_MOST = (
    "no router can exceed {most:,.0f} credits: each request at the agent best for it, nobody else there, caches as "
    "warm as they can be"
)
_LAST = "waits are judged to the last token; bidders report, and decisions forecast, waits to the first"
_UNGRADED = (
    "of {share:.0f} % of requests nobody can grade the answer: they count by delay and cost alone, and declining them "
    "costs nothing but the wait"
)


def tables(found: Contest, world: World, width: int) -> "list[Table]":
    """One row per policy, means over seeds: what it was worth, and in a second table below where the first is full.

    Args:
        width: of the terminal, in characters.
    """
    rows = _rows(found, world)
    hero = next(iter(rows))
    headings = [
        ("welfare", found.delay.replace("-", " ")),
        ("0 to 1", ""),
        (f"{hero} gains over it", "95 % interval, seeds won"),
    ]
    headings += [("median", "a dialogue")]
    headings += [(heading, unit) for _, heading, unit, _, _ in _FIGURES]
    headings += [("bidders'", "credits"), ("welfare", _other(found).replace("-", " "))]
    caption, share = [_CAPTION, *_most(found, world.name)], _ungraded(found, world.name)
    caption += [_LAST] if found.delay == "last-token" else []
    if share:
        caption += ["loss: credits of delay and cost a request", _UNGRADED.format(share=100 * share)]
        headings.append(("loss", "a request"))
    title = f"{world.name}: {len(found.seeds)} seeds, simulated"
    return fitted(title, headings, rows, width, caption="\n".join(caption))


def decile_tables(found: Contest, world: World, width: int) -> "list[Table]":
    """One row per policy, one column per tenth of conversations by worth: mean and median welfare of a conversation.

    None where all bidders are worth the same.
    """
    names = _heroes_first(found, world.name)
    shares = {name: deciles(found.of(world.name, name), found.delay) for name in names}
    if len(shares[names[0]]) < 2:
        return []
    headings = [(f"{each.low:,.3g} to {each.high:,.3g}", f"{each.conversations} of them") for each in shares[names[0]]]
    rows = {name: [f"{_number(each.mean, 0)} | {_number(each.median, 0)}" for each in shares[name]] for name in names}
    return fitted("a dialogue's welfare (mean | median) by its bidder's worth", headings, rows, width)


def across(found: Contest, width: int) -> "list[Table]":
    """What the first policy gains over each other in each world, and over the best of the informed rivals there.

    Empty for one world or one policy.
    """
    worlds = list(dict.fromkeys(world for world, _, _ in found.scores))
    hero, *others = _heroes_first(found, worlds[0])
    if len(worlds) < 2 or not others:
        return []
    rows = {name: [str(found.over(world, hero, name)) for world in worlds] for name in others}
    informed = [name for name in others if name in INFORMED]
    if len(informed) > 1:
        best = [max(informed, key=lambda name: found.total(world, name)) for world in worlds]
        rows["best informed"] = [f"{name}: {rows[name][k]}" for k, name in enumerate(best)]
    headings = [tuple(world.split(", ")) for world in worlds]
    return fitted(f"{hero} gains in welfare, {found.delay.replace('-', ' ')}", headings, rows, width, first="over")


def as_dict(found: Contest) -> dict[str, object]:
    """Plain data, ready for JSON: every score, every gain of the first policy over another, welfare by worth."""
    worlds = list(dict.fromkeys(world for world, _, _ in found.scores))
    gains, by_worth = [], []
    for world in worlds:
        hero, *others = _heroes_first(found, world)
        for other in others:
            gain = found.over(world, hero, other)
            figures = {name: getattr(gain, name) for name in ("share", "low", "high", "chance", "wins", "seeds")}
            gains.append({"world": world, "of": hero, "over": other, **_plain(figures)})
        for policy in (hero, *others):
            tenths = deciles(found.of(world, policy), found.delay)
            by_worth.append({"world": world, "policy": policy, "deciles": [asdict(each) for each in tenths]})
    scores = [
        {"world": world, "policy": policy, "seed": seed, **_plain(score.as_dict())}
        for (world, policy, seed), score in found.scores.items()
    ]
    told = {"seeds": list(found.seeds), "simulated": True, "delay": found.delay}
    most = [{"world": world, "seed": seed, "welfare": list(each)} for (world, seed), each in found.most.items()]
    return {**told, "gains": gains, "by_worth": by_worth, "most": most, "scores": scores}


def _heroes_first(found: Contest, world: str) -> list[str]:
    """The auction where it plays, else whoever was named first, then the others."""
    names = found.policies(world)
    return sorted(names, key=lambda name: (name != "iemas", names.index(name)))


def _rows(found: Contest, world: World) -> dict[str, list[str]]:
    """Cells by policy."""
    hero, *others = _heroes_first(found, world.name)
    ungraded = _ungraded(found, world.name)
    rows = {}
    for policy in (hero, *others):
        scores = found.of(world.name, policy)
        judged = [score.judged(found.delay) for score in scores]
        cells = [_mean([sum(each) for each in judged], 0)]
        cells.append(_number(found.normalised(world.name, policy), 2))
        cells.append("" if policy == hero else str(found.over(world.name, hero, policy)))
        cells.append(_number(float(np.median([one for each in judged for one in each])), 1))
        for name, _, _, factor, digits in _FIGURES:
            cells.append(_mean([factor * getattr(score, name) for score in scores], digits))
        # What is counted to another token changes value alone, not charges or cost.
        later = [sum(each) - score.total for each, score in zip(judged, scores, strict=True)]
        cells.append(_mean([score.bidders_surplus + more for score, more in zip(scores, later, strict=True)], 0))
        cells.append(_mean([sum(score.judged(_other(found))) for score in scores], 0))
        cells += [_mean([score.loss_per_request for score in scores], 2)] if ungraded else []
        rows[policy] = cells
    return rows


def _ungraded(found: Contest, world: str) -> float:
    """The share of requests that nobody can grade."""
    scores: list[Score] = [score for (name, _, _), score in found.scores.items() if name == world]
    return sum(score.ungraded for score in scores) / max(sum(score.served + score.declined for score in scores), 1)


def _most(found: Contest, world: str) -> list[str]:
    """What no router can exceed, on average over seeds, where it is known."""
    totals = [sum(each) for (name, _), each in found.most.items() if name == world]
    return [_MOST.format(most=float(np.mean(totals)))] if totals else []


def _other(found: Contest) -> str:
    """The delay that is not compared."""
    return next(name for name in DELAYS if name != found.delay)


def _mean(values: list[float], digits: int) -> str:
    return _number(float(np.mean(values)), digits)


def _number(value: float, digits: int) -> str:
    return "-" if isnan(value) else f"{round(value, digits) + 0.0:,.{digits}f}"


def _plain(figures: dict[str, object]) -> dict[str, object]:
    """JSON has no NaN."""
    return {name: None if isinstance(value, float) and isnan(value) else value for name, value in figures.items()}
