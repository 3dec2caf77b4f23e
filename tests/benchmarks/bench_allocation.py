"""Ours against OR-tools, scipy, networkx and PuLP on the same markets in one process, and against np.sum as the floor.

Each row alternates ours and OR-tools, seed by seed, in CPU time, and checks every answer: the welfare must equal
OR-tools' to the micro-unit and the certificate must hold.

Ordinary rows must be faster by `BAR`, those of 1000 requests by `SMALL`; no other may be slower than noise explains.
"""

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from allocation import Market, MinCostFlow
from tests.benchmarks.kinds import ADVERSARIAL, ALIKE, ORDINARY, make
from tests.benchmarks.rivals import SLOW, SOLVE_ONLY, or_tools

SIZES = [(100, 10), (1000, 20), (1000, 100), (10000, 20), (10000, 100), (100000, 20), (10000, 1000), (100000, 100)]
QUICK = {("structured", 10000, 1000), ("structured", 100000, 100), ("uniform", 100000, 100)}
HARD = [*SIZES[1:], (100, 3000)]

#: What the ratio to OR-tools must be at least: in ordinary rows, in those of 1000 requests, and in all others,
#: where it may come out below 1 by chance.
BAR = 10
SMALL = 3
LEAST = 0.8


def timed(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def compare(market: Market) -> dict[str, float]:
    """Median CPU seconds of each on this market, alternated; slow ones run once."""
    welfare = 0
    ours, theirs, floor = [], [], []
    SOLVE_ONLY.clear()
    began = time.process_time()
    while sum(ours) < 5 and (len(ours) < 3 or (len(ours) < 15 and time.process_time() - began < 1)):
        ours.append(timed(lambda: MinCostFlow().allocate(market)))
        floor.append(timed(lambda: np.sum(market.weights)))
        if len(theirs) < 1 or sum(theirs) < 1:
            tick = time.process_time()
            welfare = or_tools(market)
            theirs.append(time.process_time() - tick)
    assert market.certify(MinCostFlow().allocate(market)) == welfare
    return {"ours": median(ours), "OR-tools": median(theirs), "solve": median(SOLVE_ONLY), "np.sum": median(floor)}


def measure(
    benchmark: BenchmarkFixture, rows: list[dict[str, object]], table: str, kind: str, n: int, m: int, seeds: int
) -> float:
    markets = [make(kind, n, m, seed) for seed in range(seeds)]
    MinCostFlow().allocate(markets[0])
    benchmark.pedantic(MinCostFlow().allocate, args=(markets[0],), rounds=3)
    runs = [compare(market) for market in markets]
    ratios = [run["OR-tools"] / run["ours"] for run in runs]
    row: dict[str, object] = {
        "table": table,
        "size": f"{n}x{m}",
        "kind": kind,
        "seeds": seeds,
        "ours ms": median(run["ours"] for run in runs) * 1e3,
        "OR-tools ms": median(run["OR-tools"] for run in runs) * 1e3,
        "x OR-tools": median(ratios),
        "worst seed": min(ratios),
        "x its solve alone": median(run["solve"] / run["ours"] for run in runs),
        "in np.sums": median(run["ours"] / run["np.sum"] for run in runs),
    }
    if table == "ordinary":
        for name, (solve, most) in SLOW.items():
            cells = n * int(markets[0].capacities.sum()) if name == "scipy" else n * m
            row[f"x {name}"] = None
            if cells <= most:
                solve(make(kind, 20, 3, 0))  # its import is not its speed
                row[f"x {name}"] = timed(lambda solve=solve: solve(markets[0])) / runs[0]["ours"]  # type: ignore[misc]
    rows.append(row)
    benchmark.extra_info.update({key: value for key, value in row.items() if key != "table"})
    return median(ratios)


@pytest.mark.parametrize("kind", ORDINARY)
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_ordinary(
    benchmark: BenchmarkFixture, row: list[dict[str, object]], full: bool, seeds: int, kind: str, n: int, m: int
) -> None:
    if not full and (kind, n, m) in QUICK:
        pytest.skip("measured in the full run alone: make bench BENCH=--full")
    ratio = measure(benchmark, row, "ordinary", kind, n, m, max(seeds, 3 if n * m <= 200_000 else 1))
    assert ratio >= (BAR if n > 1000 else SMALL if n == 1000 else LEAST)


@pytest.mark.parametrize("kind", ADVERSARIAL)
@pytest.mark.parametrize(("n", "m"), HARD)
def test_adversarial(
    benchmark: BenchmarkFixture, row: list[dict[str, object]], full: bool, seeds: int, kind: str, n: int, m: int
) -> None:
    if not full and n * m > 200_000:
        pytest.skip("measured in the full run alone: make bench BENCH=--full")
    assert measure(benchmark, row, "adversarial", kind, n, m, seeds) >= LEAST


@pytest.mark.parametrize("kind", ALIKE)
@pytest.mark.parametrize(("n", "m"), [(500, 1000), (2000, 1000)])
def test_as_many_agents_as_requests(
    benchmark: BenchmarkFixture, row: list[dict[str, object]], full: bool, seeds: int, kind: str, n: int, m: int
) -> None:
    if not full:
        pytest.skip("measured in the full run alone: make bench BENCH=--full")
    assert measure(benchmark, row, "as many agents as requests", kind, n, m, seeds) >= LEAST
