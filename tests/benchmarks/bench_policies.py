"""The auction against its rivals in simulated worlds, paired, with intervals; prints each table and holds the bars.

`make bench-policies` (`BENCH="--seeds 20 --full"` for all worlds). Seeds come from the commit's hash. Engines are
simulated with speeds fitted to vLLM on a CPU; skills are assumed (.45 small, .75 large). Data beyond `shipped` is
looked for in IEMAS_DATASETS.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from experiments.routers.catalogue import INFORMED
from experiments.studies.arena.contest import Contest, World, commit, contest, seeds_of
from experiments.studies.arena.pairs import holm
from experiments.studies.arena.table import tables

RATES = (0.15, 0.5, 2.0, 5.0)
AFFINITY = ("cache-aware", "sticky")
BEST_CLASS = ("cache-aware-best", "sticky-best")
KEPT = Path("runs/arena.jsonl")
#: Read once: seeds do not move if somebody commits while this runs.
_COMMIT = commit()
_WIDTH = 200


def _data() -> dict[str, tuple[str, ...]]:
    folder = Path(os.environ.get("IEMAS_DATASETS", "nowhere"))
    inscit = folder / "inscit" / "dev.json"
    found: dict[str, tuple[str, ...]] = {"shipped": ("shipped",)}
    if inscit.exists():
        found |= {"INSCIT": (str(inscit),), "both": ("shipped", str(inscit))}
    return found


def _worlds(preset: str, full: bool) -> list[World]:
    data = _data()
    names = list(data) if full else list(data)[-1:]
    rates = RATES if full else RATES[1:3]
    return [World(data[name], rate, preset) for name in names for rate in rates]


def _crowded() -> list[World]:
    """Two agents for what four served: capacity binds."""
    data = list(_data().values())[-1]
    return [World(data, rate, "differing", (0, 2)) for rate in (2.0, 5.0)]


@pytest.fixture
def seeds(pytestconfig: pytest.Config) -> tuple[int, ...]:
    return seeds_of(_COMMIT, max(pytestconfig.getoption("--seeds"), 2))


@pytest.fixture
def full(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--full"))


def show(found: Contest, world: World) -> None:
    for table in tables(found, world, _WIDTH):
        Console(width=_WIDTH).print(table)


def tell(found: Contest, worlds: list[World], rivals: tuple[str, ...]) -> dict[str, float]:
    """Print what the auction gains over rivals, and return the mean over worlds of the share gained."""
    mean = {}
    print("\niemas gains in welfare: mean over worlds, least, all worlds together")
    for rival in rivals:
        shares = [found.over(world.name, "iemas", rival).share for world in worlds]
        ours, theirs = (
            sum(score.total for world in worlds for score in found.of(world.name, name)) for name in ("iemas", rival)
        )
        mean[rival] = float(np.mean(shares))
        together = (ours - theirs) / abs(theirs)
        print(f"  {rival:24}{100 * mean[rival]:+9.1f} %{100 * min(shares):+9.1f} %{100 * together:+9.1f} %")
    return mean


def test_bidders_who_differ(seeds: tuple[int, ...], full: bool) -> None:
    worlds = _worlds("differing", full)
    found = contest(worlds, seeds, kept=KEPT)
    for world in worlds:
        show(found, world)
    chances = {w.name: found.over(w.name, "iemas", "cache-aware").chance for w in worlds}
    print(f"\nover cache-aware, holding together (Holm): {sum(holm(chances).values())} of {len(worlds)} worlds")
    gains = tell(found, worlds, (*AFFINITY, *BEST_CLASS, *INFORMED))
    assert min(gains[rival] for rival in (*AFFINITY, *BEST_CLASS)) >= 0.20


def test_bidders_who_hardly_differ(seeds: tuple[int, ...], full: bool) -> None:
    worlds = _worlds("varied", full)
    found = contest(worlds, seeds, kept=KEPT)
    for world in worlds:
        show(found, world)
    gains = tell(found, worlds, (*AFFINITY, *BEST_CLASS, *INFORMED))
    # One world alone may be harder: the bar is of those that are measured in full.
    assert min(gains[rival] for rival in AFFINITY) >= (0.20 if full else 0.10)
    assert min(gains[rival] for rival in BEST_CLASS) >= -0.05


def test_capacity_that_binds(seeds: tuple[int, ...]) -> None:
    worlds = _crowded()
    found = contest(worlds, seeds, kept=KEPT)
    for world in worlds:
        show(found, world)
        contested = np.mean([score.contested for score in found.of(world.name, "iemas")])
        assert contested >= 0.15, world.name
    gains = tell(found, worlds, (*AFFINITY, *BEST_CLASS, *INFORMED))
    assert min(gains[rival] for rival in (*AFFINITY, *BEST_CLASS)) >= 0.20


def test_equal_agents(seeds: tuple[int, ...]) -> None:
    data = list(_data().values())[-1]
    worlds = [World(data, rate, "varied", agents) for agents in ((0,) * 4, (2,) * 4) for rate in (0.5, 2.0)]
    found = contest(worlds, seeds, ["iemas", "cache-aware", "random"], kept=KEPT)
    for world in worlds:
        show(found, world)
        hits = [np.mean([score.hit_rate for score in found.of(world.name, name)]) for name in ("iemas", "cache-aware")]
        assert hits[0] >= hits[1] - 0.006, world.name
        assert found.over(world.name, "iemas", "cache-aware").share >= -0.005, world.name


def test_a_false_price_prior_costs_little(seeds: tuple[int, ...]) -> None:
    data = list(_data().values())[-1]
    worlds = [World(data, rate, "varied", skill=0.6) for rate in (0.5, 2.0)]
    found = contest(worlds, seeds, ["iemas", "iemas, no price prior", "cache-aware", "random"], kept=KEPT)
    for world in worlds:
        show(found, world)
        assert found.over(world.name, "iemas", "iemas, no price prior").share >= -0.03, world.name


def test_each_term(seeds: tuple[int, ...]) -> None:
    data = list(_data().values())[-1]
    worlds = [World(data, rate, preset) for preset in ("differing", "varied") for rate in (0.5, 2.0)]
    names = [f"iemas without {name}" for name in ("congestion", "continuation", "exploration", "gathering", "any")]
    found = contest(worlds, seeds, ["iemas", *names, "random", "oracle"], kept=KEPT)
    for world in worlds:
        show(found, world)


@pytest.mark.parametrize("correlation", [-0.8, 0.8])
def test_worth_and_hurry_that_go_together(seeds: tuple[int, ...], correlation: float) -> None:
    data = list(_data().values())[-1]
    worlds = [World(data, rate, "differing", correlation=correlation) for rate in (0.5, 2.0)]
    found = contest(worlds, seeds, kept=KEPT)
    for world in worlds:
        show(found, world)
    gains = tell(found, worlds, (*AFFINITY, *BEST_CLASS, *INFORMED))
    assert min(gains[rival] for rival in AFFINITY) >= 0.10


def test_a_warm_up_does_for_prices(seeds: tuple[int, ...]) -> None:
    names = ["iemas", "iemas, no price prior", "cache-aware", "random", "oracle"]
    worlds = [World(("shipped",), rate, dialogues=10, warm_up=4) for rate in (0.5, 2.0)]
    found = contest(worlds, seeds, names, kept=KEPT)
    for world in worlds:
        show(found, world)
        assert abs(found.over(world.name, "iemas", "iemas, no price prior").share) <= 0.03, world.name
        assert found.over(world.name, "iemas", "oracle").share >= -0.06, world.name
