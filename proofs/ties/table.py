"""`TiedTable`: every tied outcome of every profile of a grid; what `table` is where ties are broken one way."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from allocation import Market
from mechanisms import DirectMechanism, Outcome
from proofs.claims.property import OutcomeProperty
from proofs.errors import AuditError
from proofs.evidence.counterexample import Answer, Counterexample
from proofs.evidence.engine import Progress
from proofs.grids.table import Graded, Table, outcome_at, unstable
from proofs.scopes.grid import Grid
from proofs.subject.subject import outcome_of
from proofs.subject.tie_outcomes import outcomes_of


@dataclass(slots=True)
class Watch:
    """An outcome property, and the worst that it has seen."""

    prop: OutcomeProperty
    witness: Counterexample | None = None
    grade: Fraction | None = None
    graded: Market | None = None

    def see(self, outcome: Outcome, truth: Market, ties: str) -> None:
        """Check and grade one outcome."""
        found = self.prop.check(outcome, truth)
        if found is not None and (self.witness is None or found.amount > self.witness.amount):
            self.witness = Counterexample.from_violation(self.prop, truth, None, found, outcome, None, ties)
        grade = self.prop.grade(outcome, truth) if isinstance(self.prop, Graded) else None
        if grade is not None and (self.grade is None or grade < self.grade):
            self.grade, self.graded = grade, truth

    @property
    def notes(self) -> list[str]:
        """What a finding should say of the grades."""
        if self.graded is None:
            return []
        return [f"worst on the scope: {self.grade}, at values {self.graded.values.tolist()}"]


@dataclass(frozen=True, slots=True, eq=False)
class TiedTable:
    """The tied outcomes of a grid: a `table` of E rows, one per outcome; and `profiles` (E,), ascending, of each."""

    grid: Grid
    table: Table
    profiles: NDArray[np.int64]

    def outcomes(self, profile: int) -> list[Outcome]:
        """The outcomes of one profile."""
        first, last = np.searchsorted(self.profiles, (profile, profile + 1)).tolist()
        market = self.grid.market(profile)
        return [outcome_at(self.table, row, market) for row in range(first, last)]

    @property
    def note(self) -> str:
        """How many profiles tie, in words."""
        total, each = self.grid.profiles, np.bincount(self.profiles, minlength=self.grid.profiles)
        if self.grid.ties == "refuse":
            return f"{total - int(each.sum()):,} of {total:,} profiles tie and are left out"
        return f"{int((each > 1).sum()):,} of {total:,} profiles tie, with up to {int(each.max())} outcomes"


def gathered(
    mechanism: DirectMechanism, grid: Grid, watches: Sequence[Watch], progress: Progress, reruns: int
) -> TiedTable:
    """Every tied outcome of every profile that the grid speaks of, shown to the properties of outcomes on the way.

    Raises:
        AuditError: as `ties.AllTies.examine`.
    """
    n, m = grid.template.shape
    columns = [bytearray() for _ in range(3)]
    profiles: list[int] = []
    twice = set(np.linspace(0, grid.profiles - 1, reruns).astype(np.int64).tolist())
    first: dict[int, list[Answer]] = {}
    for profile in range(grid.profiles):
        truth = grid.market(profile)
        outcomes = outcomes_of(mechanism, truth, grid.ties)
        if outcomes and Answer.of(outcomes[0]) != Answer.of(outcome_of(mechanism, truth)):
            raise AuditError(
                f"{type(mechanism).__name__} runs {truth} to another outcome than the first that it lists; list "
                "that of run(market) first, and let both decide alike"
            )
        for outcome in outcomes:
            parts = outcome.allocation.agents, outcome.payments.charges, outcome.payments.receipts
            for column, part in zip(columns, parts, strict=True):
                column += part.tobytes()
            profiles.append(profile)
            for watch in watches:
                watch.see(outcome, truth, grid.ties)
        if profile in twice:
            first[profile] = list(map(Answer.of, outcomes))
        progress(profile + 1, grid.profiles)
    for profile, answers in first.items():
        _demand_stable(mechanism, grid.market(profile), grid.ties, answers)
    if not profiles:
        raise AuditError(f"every profile ties, so that nothing is left of {grid}; use ties='all', or other values")
    agents, charges, receipts = (
        np.frombuffer(bytes(column), np.int64).reshape(len(profiles), width)
        for column, width in zip(columns, (n, n, m), strict=True)
    )
    return TiedTable(grid, Table(agents, charges, receipts, (), ()), np.array(profiles, np.int64))


def _demand_stable(mechanism: DirectMechanism, market: Market, ties: str, answers: list[Answer]) -> None:
    if list(map(Answer.of, outcomes_of(mechanism, market, ties))) != answers:
        raise unstable(mechanism, market)
