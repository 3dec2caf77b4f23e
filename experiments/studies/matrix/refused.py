"""Rows of the matrix that are refusals: a rule over an allocator for which it has no prices, whatever the market."""

from dataclasses import dataclass

from experiments.studies.matrix.cells import Cell, Evidence, Progress, Trial
from experiments.studies.matrix.scopes import AVERAGE, SCOPES, TWO_SIDED
from mechanisms import DirectMechanism, MechanismError
from mechanisms.promises import Domain
from proofs import Grid, Status
from proofs.evidence.simpler import simplicity

REFUSED = "refused"


@dataclass(frozen=True)
class RefusedRow:
    """A pair of rule and allocator that is held to its refusal: to promise it nothing and to run it is a failure."""

    rule: str
    beside: str
    mechanism: DirectMechanism
    scopes: tuple[Grid, ...] = (*SCOPES, *TWO_SIDED, *AVERAGE)
    few: bool = False

    @property
    def steps(self) -> int:
        """Scopes."""
        return len(self.scopes)

    def examine(self, progress: Progress = lambda steps: None) -> tuple[Cell, ...]:
        """Ask for the first and the last market of every scope; an answer, in place of a typed error, is a failure."""
        trials, reasons = [], []
        for grid in self.scopes:
            failure = None
            for profile in (0, grid.profiles - 1):
                try:
                    self.mechanism.run(grid.market(profile))
                except MechanismError as error:
                    reasons.append(str(error))
                else:
                    failure = self._answered(grid, profile)
            status = Status.VERIFIED if failure is None else Status.REFUTED
            evidence = None if failure is None else lambda found=failure: found
            trials.append(Trial(str(grid), True, status, int(failure is not None), evidence))
            progress(1)
        return (Cell(REFUSED, Domain.EVERYWHERE, tuple(trials), "; ".join(dict.fromkeys(reasons))),)

    def _answered(self, grid: Grid, profile: int) -> Evidence:
        market = grid.market(profile)
        text = f"{REFUSED} fails: it answers {market}"
        data: dict[str, object] = {"amount": 1, "text": text, "values": market.values.tolist()}
        return Evidence(text, data, simplicity(market, None))

    def __str__(self) -> str:
        return f"{self.rule} over {self.beside}"
