"""`StudyResult`: what a study found: frames, differences with intervals, tables, plots, a report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from experiments.errors import StudyError
from experiments.results.made import Made
from experiments.studies.arena.pairs import Difference, compare
from experiments.studies.study.cells.cell import Cell, Shown
from experiments.studies.study.keeping.kept import plain, played
from experiments.studies.study.running.playing import Played
from experiments.studies.study.telling.remarks import remarks
from experiments.worlds.running.parts import BY_PART
from experiments.worlds.running.scores import Score
from proofs import Report

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects as go
    import polars

#: Version of the file that `save` writes.
FORMAT = "iemas-study/1"

#: Figures of a score that are one number.
FIGURES = (
    "welfare", "quality", "hit_rate", "wait_median", "wait_p95", "wait_p99", "latency_median", "latency_p95",
    "latency_p99", "cost", "served", "declined", "contested", "latency_nmae", "cost_nmae", "charges", "surplus",
    "bidders_surplus", "loss", "decide_ms", "seconds",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """One run: where it stands in the study, and what it came to."""

    cell: str
    axes: Mapping[str, Shown]
    policy: str
    seed: int
    played: Played

    @property
    def score(self) -> Score:
        """What it came to."""
        return self.played.score


@dataclass(frozen=True, eq=False)
class StudyResult:
    """Runs of a study. `delay` is until when waits count in welfare.

    `cells`, `policies` and `seeds` are in the order in which they were given; differences are of the first policy.
    """

    name: str
    runs: tuple[Run, ...]
    made: Made
    delay: str = "first-token"
    audits: tuple[Mapping[str, Any], ...] = ()
    described: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str,
        runs: Sequence[tuple[Cell, str, int, Played]],
        reports: Sequence[Report],
        made: Made,
        delay: str,
    ) -> Self:
        """From what was played."""
        rows = tuple(Run(cell.name, cell.axes, policy, seed, done) for cell, policy, seed, done in runs)
        audits = tuple({"subject": str(one.subject), **json.loads(one.to_json())} for one in reports)
        return cls(name, rows, made, delay, audits, remarks(runs, reports))

    @cached_property
    def cells(self) -> tuple[str, ...]:
        """Names of the cells."""
        return tuple(dict.fromkeys(run.cell for run in self.runs))

    @cached_property
    def policies(self) -> tuple[str, ...]:
        """Names of the policies."""
        return tuple(dict.fromkeys(run.policy for run in self.runs))

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(dict.fromkeys(run.seed for run in self.runs))

    @cached_property
    def _by_place(self) -> dict[tuple[str, str], list[Run]]:
        found: dict[tuple[str, str], list[Run]] = {}
        for run in self.runs:
            found.setdefault((run.cell, run.policy), []).append(run)
        return found

    def of_policy(self, policy: str, cell: str | None = None) -> list[Run]:
        """Its runs in a cell, one a seed.

        Raises:
            StudyError: it did not play there, or there are several cells and none is named.
        """
        if cell is None and len(self.cells) > 1:
            raise StudyError(f"name a cell; there are: {'; '.join(self.cells)}")
        found = self._by_place.get((cell or self.cells[0], policy))
        if found is None:
            raise StudyError(
                f"no run of {policy!r} in {cell or self.cells[0]!r}; there are: {', '.join(self.policies)}"
            )
        return found

    def gain(self, over: str, of: str | None = None, cell: str | None = None) -> Difference:
        """What a policy gains in welfare over another, paired by seed and conversation, with its 95 % interval.

        Args:
            of: default the first policy.
        """
        ours, theirs = (self.of_policy(name, cell) for name in (of or self.policies[0], over))
        return compare([run.score.judged(self.delay) for run in ours], [run.score.judged(self.delay) for run in theirs])

    def mean(self, policy: str, figure: str, cell: str | None = None) -> float:
        """A figure's mean over seeds."""
        return float(np.mean([_figure(run, figure, self.delay) for run in self.of_policy(policy, cell)]))

    def parts(self, cell: str) -> tuple[str, ...]:
        """Names of the parts of a cell's mix; none where it is no mix of several."""
        figures = self.of_policy(self.policies[0], cell)[0].played.figures
        found = dict.fromkeys(name.rpartition(".")[0] for name in figures)
        return tuple(part for part in found if all(f"{part}.{name}" in figures for name in BY_PART))

    def interval(self, policy: str, figure: str, cell: str | None = None) -> tuple[float, float]:
        """A figure's 95 % interval over seeds, by the bootstrap of the mean (Efron 1979)."""
        values = np.array([_figure(run, figure, self.delay) for run in self.of_policy(policy, cell)])
        if len(values) < 2 or np.isnan(values).any():
            return nan, nan
        rng = np.random.default_rng(0)
        means = values[rng.integers(len(values), size=(2000, len(values)))].mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return float(low), float(high)

    def frame(self) -> "polars.DataFrame":
        """One row a run: the axes, policy, seed, and every figure."""
        import polars

        rows = [
            {
                "cell": run.cell,
                **run.axes,
                "policy": run.policy,
                "seed": run.seed,
                **{name: _figure(run, name, self.delay) for name in FIGURES},
                **run.played.figures,
            }
            for run in self.runs
        ]
        return polars.DataFrame(rows, infer_schema_length=None)

    def summary(self) -> "polars.DataFrame":
        """One row a cell and policy: means over seeds, and what the first policy gains over it."""
        import polars

        rows = []
        for cell in self.cells:
            for policy in self.policies:
                gain = self.gain(policy, cell=cell) if policy != self.policies[0] else None
                low, high = self.interval(policy, "welfare", cell)
                rows.append(
                    {
                        "cell": cell,
                        **self.of_policy(policy, cell)[0].axes,
                        "policy": policy,
                        **{name: self.mean(policy, name, cell) for name in FIGURES},
                        "welfare_low": low,
                        "welfare_high": high,
                        "gain_over_it": None if gain is None else gain.share,
                        "gain_low": None if gain is None else gain.low,
                        "gain_high": None if gain is None else gain.high,
                        "seeds_won": None if gain is None else gain.wins,
                    }
                )
        return polars.DataFrame(rows, infer_schema_length=None)

    def to_pandas(self) -> "pandas.DataFrame":
        """`frame` for pandas, which must be installed."""
        try:
            import pandas
        except ImportError as error:
            raise StudyError("pandas is not installed; use frame(), or install iemas[notebooks]") from error
        return pandas.DataFrame(self.frame().to_dict(as_series=False))

    def plot(self, figure: str = "welfare", x: str | None = None) -> "go.Figure":
        """A figure by policy, with 95 % intervals over seeds; lines along an axis of the study where `x` names one.

        Raises:
            StudyError: there is no such figure or axis.
        """
        from experiments.studies.study.telling.figures import drawn

        return drawn(self, figure, x)

    def table(self, width: int = 160) -> str:
        """The tables that the command prints."""
        from experiments.studies.study.telling.tables import written

        return written(self, width)

    def report(self, path: str | Path = "report.html") -> Path:
        """Write one page that needs nothing else."""
        from experiments.studies.study.telling.page import write_study

        return write_study(self, Path(path))

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON: what is no number is null."""
        gains = [
            {"cell": cell, "of": self.policies[0], "over": name, **asdict(self.gain(name, cell=cell))}
            for cell in self.cells
            for name in self.policies[1:]
        ]
        found = {
            "format": FORMAT,
            "name": self.name,
            "simulated": True,
            "delay": self.delay,
            "described": dict(self.described),
            "made": self.made.as_dict(),
            "audits": [dict(one) for one in self.audits],
            "gains": gains,
            "runs": [
                {
                    "cell": run.cell,
                    "axes": dict(run.axes),
                    "policy": run.policy,
                    "seed": run.seed,
                    "run": plain(run.played),
                }
                for run in self.runs
            ],
        }
        made: dict[str, Any] = _without_nan(found)
        return made

    def save(self, path: str | Path) -> Path:
        """Write a file that `load` and `iemas study diff` read; whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(json.dumps(self.as_dict()) + "\n", encoding="utf-8")
        return beside.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """What `save` wrote.

        Raises:
            StudyError: it is no such file.
        """
        try:
            row = json.loads(Path(path).read_text(encoding="utf-8"))
            if not isinstance(row, dict) or "format" not in row:
                raise ValueError("it says no format")
            if row["format"] != FORMAT:
                raise StudyError(f"{path} is of format {row['format']!r}; this version reads {FORMAT}: run it again")
            runs = tuple(
                Run(one["cell"], one["axes"], one["policy"], one["seed"], _read_run(one["run"])) for one in row["runs"]
            )
            made = Made(**{**row["made"], "seeds": tuple(row["made"]["seeds"])})
            return cls(row["name"], runs, made, row["delay"], tuple(row["audits"]), row["described"])
        except StudyError:
            raise
        except OSError as error:
            raise StudyError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise StudyError(f"{path} is no result of a study ({why}); `iemas study` writes one") from error

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<study {self.name}: {len(self.cells)} cells, {len(self.policies)} policies, {len(self.seeds)} seeds>"

    def _repr_html_(self) -> str:
        from experiments.studies.study.telling.page import html_made, html_tables

        return html_tables(self) + html_made(self)


def figures_of(result: StudyResult) -> list[str]:
    """All that may be plotted: ours, then those of measures."""
    return [*FIGURES, *dict.fromkeys(name for run in result.runs for name in run.played.figures)]


def _figure(run: Run, name: str, delay: str) -> float:
    if name == "welfare":
        return sum(run.score.judged(delay))
    if name in run.played.figures:
        return run.played.figures[name]
    if name not in FIGURES:
        raise StudyError(f"no figure {name!r}; there are: {', '.join((*FIGURES, *run.played.figures))}")
    return float(getattr(run.score, name))


def _without_nan(given: Any) -> Any:
    """NaN is no JSON: null; what is infinite is text."""
    if isinstance(given, float):
        return None if given != given else given if isfinite(given) else str(given)
    if isinstance(given, dict):
        return {name: _without_nan(value) for name, value in given.items()}
    if isinstance(given, (list, tuple)):
        return [_without_nan(value) for value in given]
    return given


def _with_nan(given: Any) -> Any:
    """What `_without_nan` wrote of figures, as it was."""
    if given is None or given in ("inf", "-inf"):
        return nan if given is None else float(given)
    if isinstance(given, dict):
        return {name: _with_nan(value) for name, value in given.items()}
    return [_with_nan(value) for value in given] if isinstance(given, list) else given


def _read_run(row: dict[str, Any]) -> Played:
    return played({**row, "score": _with_nan(row["score"]), "figures": _with_nan(row["figures"])})
