"""The auction against its rivals in simulated worlds, paired, with intervals; prints each table and holds the bars.

`make bench-policies` (`BENCH="--seeds 20 --full"` for all worlds). Seeds come from the commit's hash. Engines are
simulated with speeds fitted to vLLM on a CPU; skills are assumed (.45 small, .75 large). Data beyond `shipped` is
looked for in IEMAS_DATASETS.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from experiments.routers.catalogue import INFORMED
from experiments.studies.arena.contest import Contest, World, commit, contest, seeds_of
from experiments.studies.arena.pairs import holm

RATES = (0.15, 0.5, 2.0, 5.0)
AFFINITY = ("cache-aware", "sticky")
BEST_CLASS = ("cache-aware-best", "sticky-best")
KEPT = Path("runs/arena.jsonl")


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
    return seeds_of(commit(), max(pytestconfig.getoption("--seeds"), 2))


@pytest.fixture
def full(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--full"))


def show(found: Contest, world: World) -> None:
    print(f"\n{world.name}: {len(found.seeds)} seeds, simulated")
    print(
        f"{'':28}{'welfare':>9}{'0..1':>6}{'iemas gains over it':>36}{'hit %':>7}{'med s':>7}{'p95 s':>7}{'cost':>6}"
        f"{'served':>7}{'decl.':>6}{'cont.%':>7}{'NMAE':>6}{'charges':>9}{'surplus':>9}{'bidders':>9}{'last tok.':>10}"
    )
    for policy in found.policies(world.name):
        scores = found.of(world.name, policy)

        def mean(name: str, scores: list = scores) -> float:  # type: ignore[type-arg]
            return float(np.mean([getattr(score, name) for score in scores]))

        gain = "" if policy == "iemas" else str(found.over(world.name, "iemas", policy))
        print(
            f"{policy:28}{mean('total'):9.0f}{found.normalised(world.name, policy):6.2f}{gain:>36}"
            f"{100 * mean('hit_rate'):7.1f}{mean('wait_median'):7.2f}{mean('wait_p95'):7.1f}{mean('cost'):6.2f}"
            f"{mean('served'):7.0f}{mean('declined'):6.1f}{100 * mean('contested'):7.1f}{mean('latency_nmae'):6.2f}"
            f"{mean('charges'):9.0f}{mean('surplus'):9.0f}{mean('bidders_surplus'):9.0f}{mean('welfare_last'):10.0f}"
        )


def _gain(found: Contest, worlds: list[World], rival: str) -> float:
    """Mean over worlds of the share that the auction gains over a rival."""
    return float(np.mean([found.over(world.name, "iemas", rival).share for world in worlds]))


def test_bidders_who_differ(seeds: tuple[int, ...], full: bool) -> None:
    worlds = _worlds("differing", full)
    found = contest(worlds, seeds, kept=KEPT)
    for world in worlds:
        show(found, world)
    chances = {w.name: found.over(w.name, "iemas", "cache-aware").chance for w in worlds}
    print(f"\nover cache-aware, holding together (Holm): {sum(holm(chances).values())} of {len(worlds)} worlds")
    for rival in (*AFFINITY, *BEST_CLASS):
        gain = _gain(found, worlds, rival)
        print(f"mean gain over {rival}: {100 * gain:+.1f} %")
        assert gain >= 0.20, rival


def test_bidders_who_hardly_differ(seeds: tuple[int, ...], full: bool) -> None:
    worlds = _worlds("varied", full)
    found = contest(worlds, seeds, kept=KEPT)
    for world in worlds:
        show(found, world)
    for rival in (*AFFINITY, *BEST_CLASS):
        print(f"mean gain over {rival}: {100 * _gain(found, worlds, rival):+.1f} %")


def test_capacity_that_binds(seeds: tuple[int, ...]) -> None:
    worlds = _crowded()
    found = contest(worlds, seeds, kept=KEPT)
    for world in worlds:
        show(found, world)
        contested = np.mean([score.contested for score in found.of(world.name, "iemas")])
        assert contested >= 0.15, world.name
    for rival in (*AFFINITY, *BEST_CLASS, *INFORMED):
        print(f"mean gain over {rival}: {100 * _gain(found, worlds, rival):+.1f} %")


def test_equal_agents(seeds: tuple[int, ...]) -> None:
    data = list(_data().values())[-1]
    worlds = [World(data, rate, "varied", agents) for agents in ((0,) * 4, (2,) * 4) for rate in (0.5, 2.0)]
    found = contest(worlds, seeds, ["iemas", "cache-aware", "random"], kept=KEPT)
    for world in worlds:
        show(found, world)


def test_a_false_price_prior_costs_little(seeds: tuple[int, ...]) -> None:
    data = list(_data().values())[-1]
    worlds = [World(data, rate, "varied", skill=0.6) for rate in (0.5, 2.0)]
    found = contest(worlds, seeds, ["iemas", "iemas, no price prior", "cache-aware", "random"], kept=KEPT)
    for world in worlds:
        show(found, world)


def test_each_term(seeds: tuple[int, ...]) -> None:
    data = list(_data().values())[-1]
    worlds = [World(data, rate, preset) for preset in ("differing", "varied") for rate in (0.5, 2.0)]
    names = [f"iemas without {name}" for name in ("congestion", "continuation", "exploration", "gathering", "any")]
    found = contest(worlds, seeds, ["iemas", *names, "random", "oracle"], kept=KEPT)
    for world in worlds:
        show(found, world)
