"""What an audit costs: beside a tabular auditor on the same table, on grids near the limit, over all real values."""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from mechanisms import BatchMechanism, find_mechanism
from proofs import Finding, Grid, Reals, Status, audit
from proofs.scopes.profiles import values_of

Rows = list[dict[str, object]]


def spent(work: Callable[[], object]) -> tuple[object, float, float]:
    """(result, CPU seconds of this process and of its children, wall seconds)."""
    began, wall = os.times(), time.perf_counter()
    result = work()
    ended = os.times()
    return result, sum(ended[:4]) - sum(began[:4]), time.perf_counter() - wall


def truthful(scope: Grid | Reals) -> Finding:
    return audit("vcg", scope, ["truthful"])["truthful"]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    truthful(Grid(bidders=2, agents=2, values=range(2)))


def test_against_mechaudit(benchmark: BenchmarkFixture, row: Rows, full: bool) -> None:
    mechaudit = pytest.importorskip("mechaudit", reason="mechaudit is missing; install the dev extra")
    grid = Grid(bidders=3, agents=2, values=range(5 if full else 3))
    types = [tuple(map(tuple, grid.types(bidder)[:, 0].tolist())) for bidder in range(3)]
    outcomes = [seats for seats in itertools.product((-1, 0, 1), repeat=3) if max(map(seats.count, (0, 1))) <= 1]
    mechanism = find_mechanism("vcg")
    assert isinstance(mechanism, BatchMechanism)
    answers = mechanism.run_many(values_of(grid, np.arange(grid.profiles)), grid.template)
    chosen = np.zeros((grid.profiles, len(outcomes)))
    chosen[np.arange(grid.profiles), [outcomes.index(tuple(seats)) for seats in answers.agents.tolist()]] = 1.0
    seats_of = {str(seats): seats for seats in outcomes}
    environment = mechaudit.FiniteEnvironment(
        agents=dict(enumerate(types)),
        outcomes=list(seats_of),
        values=mechaudit.PrivateValues(lambda agent, own, name: float((*own, 0)[seats_of[name][agent]])),
    )
    table = mechaudit.DirectMechanism.from_arrays(chosen, answers.charges.astype(float)).bind(environment)
    report, theirs, _ = spent(lambda: environment.audit(table, [mechaudit.DSIC()]))
    assert report.ic.passed and len(report.ic.checks) == grid.pairs  # type: ignore[attr-defined]
    _, ours, _ = spent(lambda: [truthful(grid) for _ in range(20)])
    benchmark.pedantic(truthful, args=(grid,), rounds=3)
    ours /= 20
    row.append(
        {
            "table": "truthfulness of VCG, every pair of profile and misreport",
            "size": f"3x2x{len(grid.values)}",
            "pairs": grid.pairs,
            "ours CPU s": ours,
            "theirs CPU s, table given": theirs,
            "x mechaudit": theirs / ours,
        }
    )
    assert not full or theirs / ours >= 1000


@pytest.mark.parametrize(
    ("n", "m", "values", "bar"), [(3, 2, 10, 1e8), (5, 2, 4, 0), (4, 2, 7, 0), (3, 3, 6, 0), (4, 3, 4, 0)]
)
def test_pairs_per_second(
    benchmark: BenchmarkFixture, row: Rows, full: bool, n: int, m: int, values: int, bar: float
) -> None:
    if values ** (n * m) > 2_000_000 and not full:
        pytest.skip("measured in the full run alone: make bench BENCH=--full")
    grid = Grid(bidders=n, agents=m, values=range(values), limit=20_000_000)
    finding, cpu, wall = benchmark.pedantic(spent, args=(lambda: truthful(grid),), rounds=1)
    assert finding.status is Status.VERIFIED and finding.cases == grid.pairs
    row.append(
        {
            "table": "pairs of profile and misreport, VCG over MinCostFlow",
            "size": f"{n}x{m}x{values}",
            "profiles": grid.profiles,
            "pairs": grid.pairs,
            "CPU s": cpu,
            "wall s": wall,
            "pairs per CPU s": grid.pairs / cpu,
        }
    )
    assert grid.pairs / cpu >= bar and cpu < 240


@pytest.mark.parametrize(("n", "m", "bar"), [(3, 3, 2.0), (4, 3, 60.0)])
def test_all_real_values(
    benchmark: BenchmarkFixture, row: Rows, full: bool, tmp_path: Path, n: int, m: int, bar: float
) -> None:
    if n > 3 and not full:
        pytest.skip("measured in the full run alone: make bench BENCH=--full")
    scope = Reals(bidders=n, agents=m)
    truthful(Reals(bidders=2, agents=1))
    finding, cpu, wall = benchmark.pedantic(spent, args=(lambda: truthful(scope),), rounds=1)
    assert finding.status is Status.PROVED and finding.certificate is not None
    proof = tmp_path / "truthful.json"
    finding.certificate.write(proof)
    _, checking, _ = spent(
        lambda: subprocess.run([sys.executable, "-m", "proofs.check", str(proof)], check=True, capture_output=True)
    )
    row.append(
        {
            "table": "VCG truthful for all real values",
            "size": f"{n}x{m}",
            "proved, CPU s": cpu,
            "wall s": wall,
            "certificate kB": proof.stat().st_size / 1024,
            "checked, CPU s": checking,
        }
    )
    assert wall < bar and (n > 3 or checking < 1)
