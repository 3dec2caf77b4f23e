"""`Study`: a result as charts look at it, and the few computations that several of them share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.reports.charts.figures import blank
from experiments.reports.charts.palette import Look, looks
from experiments.results.columns import Cell, column
from experiments.results.measures import Measures
from experiments.results.results import DemoResult
from experiments.worlds.running.run import PolicyRun
from runtime import Served

#: A curve or a cloud of more points is thinned out: the eye sees no more, and the file stays small.
MOST_POINTS = 1500
#: Times are drawn at no less than this on a logarithmic axis, in seconds.
SHORTEST_S = 1e-3

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Study:
    """A result as the charts look at it: one table, one look per policy, and the policy that stands out."""

    result: DemoResult

    @cached_property
    def table(self) -> dict[str, tuple[Measures, Measures]]:
        """Measures of each policy: mean and spread over seeds."""
        return self.result.table()

    @cached_property
    def looks(self) -> dict[str, Look]:
        """A look for each policy."""
        return looks(self.result.policies)

    @cached_property
    def chosen(self) -> str:
        """`iemas`, or else the first policy that predicted, or else the first."""
        policies = self.result.policies
        predicted = (name for name in policies if any(one.predicted for run in self.runs(name) for one in run.served))
        return "iemas" if "iemas" in policies else next(predicted, next(iter(policies), ""))

    @cached_property
    def names(self) -> list[str]:
        """Policies of which somebody was served."""
        return [name for name in self.result.policies if any(run.served for run in self.runs(name))]

    @property
    def several_seeds(self) -> bool:
        """Whether there is a spread to show."""
        return len(self.result.seeds) > 1

    @property
    def was(self) -> str:
        """No simulated figure is called measured."""
        return "simulated" if self.result.simulated else "measured"

    def runs(self, name: str) -> tuple[PolicyRun, ...]:
        """The runs of a policy."""
        return self.result.runs_of(name)

    def served(self, name: str) -> list[Served]:
        """Of all seeds."""
        return [one for run in self.runs(name) for one in run.served]

    def cells(self, figure: str) -> dict[str, Cell]:
        """A column's cells, by policy."""
        return column(figure).cells(self.table, spread=self.several_seeds)

    def figures(self, figure: str, names: Sequence[str]) -> tuple[list[float], list[float]]:
        """Means and standard deviations, in the column's unit."""
        factor = column(figure).factor
        pairs = [self.table[name] for name in names]
        return (
            [factor * float(getattr(mean, figure)) for mean, _ in pairs],
            [factor * float(getattr(spread, figure)) if self.several_seeds else 0.0 for _, spread in pairs],
        )

    def drawn(self) -> list[str]:
        """Policies in the order of drawing: who stands out comes last, on top."""
        return sorted(self.names, key=lambda name: name == self.chosen)

    def blank(self, height: int, *, x: str, y: str = "", **layout: Any) -> Any:
        """An empty figure in the report's style."""
        return blank(height, simulated=self.result.simulated, x=x, y=y, **layout)


def thin(points: int, most: int) -> NDArray[np.intp]:
    """Evenly spaced indices, first and last included."""
    return np.unique(np.linspace(0, points - 1, min(points, most)).round().astype(np.intp))
