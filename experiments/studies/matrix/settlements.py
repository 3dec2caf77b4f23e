"""Rows of the matrix that are settlements: VCG on predictions, and final charges and receipts after the run."""

from dataclasses import dataclass
from functools import cache

from allocation import MinCostFlow
from experiments.studies.matrix.cells import Cell, Progress, Trial, trial
from mechanisms import VCG, Mechanism
from mechanisms.catalogue import SETTLEMENTS
from mechanisms.promises import Domain, Promises, promises_of
from mechanisms.settlement import CERTAIN, Settlement
from proofs import Grid, Property
from proofs.claims.execution_risk import ExecutionRisk
from proofs.grids.exhaustive import Exhaustive
from proofs.properties.realised import (
    AgentsRationalRealised,
    NoDeficitInAnyRun,
    RationalRealised,
    TruthfulAgentsRealised,
    TruthfulRealised,
)
from proofs.subject.remembered import Remembered

#: One in two, which divides every amount, and three in four, which makes settlements round.
HALF, MOST = ExecutionRisk(), ExecutionRisk(chance=CERTAIN * 3 // 4)

#: Where three requests run at once and errors of costs would make too many ways.
FAILING = ExecutionRisk((0,))

_APART = [[True, False], [False, True], [True, False]]

#: Single requests; a bidder with two, of which one is contested; agents that misreport about the cost of each.
SCOPES: tuple[tuple[Grid, ExecutionRisk], ...] = (
    (Grid(2, 1, range(4), costs=1), HALF),
    (Grid(2, 1, range(4), costs=1), MOST),
    (Grid(2, 2, (1, 4), owners=(0, 0, 1), feasible=_APART), FAILING),
    (Grid(2, 1, (2, 3), private_costs=(1, 2), costs_per_pair=True), HALF),
    (Grid(2, 1, (2, 3), private_costs=(1, 2), costs_per_pair=True), MOST),
)

_AUCTION = Mechanism(MinCostFlow(), VCG())

#: Promised where chances divide amounts; a market does not know its chances, so its risk is asked.
_ODDS = (Domain.UNIT_ODDS, Domain.SINGLE_UNIT_ODDS)


@dataclass(frozen=True)
class SettledRow:
    """VCG, settled in one way."""

    rule: str
    settlement: Settlement
    promises: Promises
    scopes: tuple[tuple[Grid, ExecutionRisk], ...] = SCOPES
    few: bool = False

    @property
    def steps(self) -> int:
        """Profiles of all scopes."""
        return sum(grid.profiles for grid, _ in self.scopes)

    def examine(self, progress: Progress = lambda steps: None) -> tuple[Cell, ...]:
        """Settle every run of every profile.

        Raises:
            AuditError: the settlement is not deterministic.
        """
        found: dict[str, list[Trial]] = {prop.name: [] for prop in properties(self.settlement, HALF, agents=True)}
        memory = Remembered(_AUCTION)
        for grid, risk in self.scopes:
            asked = properties(self.settlement, risk, agents=bool(grid.agent_types))
            for finding in Exhaustive().examine(_AUCTION, grid, asked, lambda done, total: None):
                name = finding.property.name
                promise = self.promises.get(name)
                inside = promise is not None and promise.covers(grid.template)
                inside = inside and (promise not in _ODDS or risk.odds.numerator == 1)
                found[name].append(trial(finding, f"{grid}; {risk}", inside, memory))
            progress(grid.profiles)
        return tuple(Cell(name, self.promises.get(name), tuple(trials)) for name, trials in found.items())

    def __str__(self) -> str:
        return f"vcg settled {self.rule}" if self.rule.startswith("on-") else f"vcg, {self.rule}"


def properties(settlement: Settlement, risk: ExecutionRisk, *, agents: bool) -> tuple[Property, ...]:
    """What is asked of a settlement; of agents' misreports only where they have types."""
    asked: tuple[Property, ...] = (TruthfulRealised(settlement, risk), RationalRealised(settlement, risk))
    asked += (TruthfulAgentsRealised(settlement, risk),) if agents else ()
    return (*asked, AgentsRationalRealised(settlement, risk), NoDeficitInAnyRun(settlement, risk))


@cache
def settlements() -> tuple[SettledRow, ...]:
    """Every settlement that ships."""
    made = {name: build() for name, build in SETTLEMENTS.items()}
    return tuple(SettledRow(name, way, promises_of(way)) for name, way in made.items())
