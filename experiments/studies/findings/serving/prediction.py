"""How well is it foretold what a request will take, cost and be worth, and how much does that matter at the start?

Errors are of what the policy itself foretold when it decided, against what was measured of the agent that it chose.
"""

from collections.abc import Mapping, Sequence
from math import nan

import numpy as np

from experiments.results.made import made_here
from experiments.studies.findings.exhibits.exhibit import Exhibit, Progress, Value, interval
from experiments.studies.study.keeping.kept import Kept
from experiments.studies.study.running.playing import Measuring
from experiments.studies.study.study import Study
from experiments.worlds.traffic.traffic import Traffic
from experiments.worlds.workloads.workload import Dialogues
from runtime import Declined, Served

#: Requests of a run that count as its start.
START = 30

_COLUMNS = (
    "policy, rate", "what", "MAE / mean", "MAE / range", "MAE / sd", "median APE, %", f"MAE / mean, first {START}",
    "bias, %",
)  # fmt: skip


class Errors(Measuring):
    """Foretold and measured, for latency to the first token and for cost."""

    def __init__(self, load: Traffic) -> None:
        self._pairs: dict[str, list[tuple[float, float]]] = {"TTFT": [], "cost": []}

    def __call__(self, end: Served | Declined) -> None:
        """One request has ended."""
        if isinstance(end, Served) and end.predicted is not None:
            took = end.dispatched_s - end.decided_s + end.completion.first_token_s
            self._pairs["TTFT"].append((end.predicted.latency_s, took))
            self._pairs["cost"].append((end.predicted.cost, end.cost / 1e6))

    def figures(self) -> Mapping[str, float]:
        """Each error of each, by name."""
        found: dict[str, float] = {}
        for what, pairs in self._pairs.items():
            for name, value in errors(np.array(pairs).reshape(-1, 2)).items():
                found[f"{what} {name}"] = value
        return found


def errors(pairs: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> dict[str, float]:
    """Errors of (N, 2) foretold and measured values by several normalisers; NaN where there is none.

    >>> errors(np.array([[1.0, 2.0], [3.0, 2.0]]))["MAE / mean"]
    0.5
    """
    names = ("MAE / mean", "MAE / range", "MAE / sd", "median APE", "first", "bias")
    if len(pairs) < 2:
        return dict.fromkeys(names, nan)
    said, was = pairs.T
    off = np.abs(said - was)
    spread, deviation = float(np.ptp(was)), float(was.std())
    start = slice(0, START)
    values = (
        off.mean() / was.mean(),
        off.mean() / spread if spread else nan,
        off.mean() / deviation if deviation else nan,
        float(np.median(off / was)) * 100,
        off[start].mean() / was[start].mean(),
        (said - was).mean() / was.mean() * 100,
    )
    return dict(zip(names, map(float, values), strict=True))


def run(
    *,
    seeds: Sequence[int],
    workers: int | str | None = None,
    progress: Progress = lambda done, total: None,
    kept: Kept | None = None,
    rates: Sequence[float] = (0.15, 0.5, 2.0),
    dialogues: int = 20,
) -> Exhibit:
    """Play the shipped dialogues at several loads, and compare what was foretold with what was measured."""
    workloads = [Dialogues("shipped", rate=rate, dialogues=dialogues, answers="shipped") for rate in rates]
    policies = ["iemas", "paper-auction", "llm-d"]
    found = Study(workloads, policies, seeds, measures=(Errors,), name="prediction").run(
        workers=workers, progress=progress, kept=kept
    )
    rows: list[tuple[Value, ...]] = []
    for rate, cell in zip(rates, found.cells, strict=True):
        for policy in policies:
            runs = found.of_policy(policy, cell)
            for what in ("TTFT", "cost"):
                values = [
                    interval([one.played.figures[f"{what} {name}"] for one in runs])
                    for name in ("MAE / mean", "MAE / range", "MAE / sd", "median APE", "first", "bias")
                ]
                rows.append((f"{policy}, {rate:g}/s", what, *values))
    return Exhibit(
        "prediction",
        "How well is time to first token, and cost, foretold when a request is placed?",
        _COLUMNS,
        tuple(rows),
        (
            "iemas plays each engine's queue forward; paper-auction has the published Hoeffding trees; llm-d the queue "
            "model without an auction. Engines are simulated with speeds fitted to vLLM on a CPU, so that the "
            "model's form is the simulator's own: real engines are foretold worse.",
            "Answers are as long as those recorded on vLLM. Whoever declines foretells fewer requests, and others.",
            f"Intervals are over {len(tuple(seeds))} seeds.",
        ),
        made_here(),
        x="policy, rate",
        y="MAE / mean",
        by="what",
    )
