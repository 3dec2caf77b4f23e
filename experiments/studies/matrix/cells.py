"""`Cell`: one rule and one property, tried on several scopes, beside what the rule promises."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mechanisms.promises import Domain
from proofs import Counterexample, Finding, Status, shrink
from proofs.subject.remembered import Remembered

#: Called with how many steps were made.
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Evidence:
    """A failure, shrunk and computed once more: in words, for JSON, and how simple it is (smaller is simpler)."""

    text: str
    data: dict[str, object]
    simplicity: tuple[int, ...]


@dataclass(frozen=True)
class Trial:
    """One property on one scope: whether the promise speaks of it, and the failure, if there is one.

    `worst` is the largest violation in micro-units; `evidence` shrinks it when asked, and is None where nothing failed.
    """

    scope: str
    inside: bool
    status: Status
    worst: int
    evidence: Callable[[], Evidence] | None


@dataclass(frozen=True)
class Cell:
    """What the trials of one row found about one property: one for each scope that the rule did not refuse.

    `why` is what the rule gives as its reason, where refusing is the property.
    """

    prop: str
    promise: Domain | None
    trials: tuple[Trial, ...]
    why: str = ""

    @property
    def refuted(self) -> tuple[Trial, ...]:
        """The trials that failed."""
        return tuple(trial for trial in self.trials if trial.status is Status.REFUTED)

    @property
    def broken(self) -> tuple[Trial, ...]:
        """The failures inside the promised domain."""
        return tuple(trial for trial in self.refuted if trial.inside)

    @property
    def too_modest(self) -> bool:
        """Whether the property held in every scope tried outside the promised domain."""
        return self.promise is not Domain.EVERYWHERE and not any(not trial.inside for trial in self.refuted)

    @property
    def untried(self) -> bool:
        """Whether there is a promise that no scope has tested."""
        return self.promise is not None and not any(trial.inside for trial in self.trials)


class Row(Protocol):
    """One thing that makes promises, and knows how to be held to them."""

    @property
    def rule(self) -> str:
        """The name by which it is asked for."""
        ...

    @property
    def steps(self) -> int:
        """How many steps `examine` reports, for a progress bar."""
        ...

    @property
    def few(self) -> bool:
        """Whether it is tried on too little to be called modest: proved right elsewhere, too slow to enumerate here."""
        ...

    def examine(self, progress: Progress) -> tuple[Cell, ...]:
        """Try every property on every scope, and report how far it is.

        Raises:
            AuditError: the mechanism misbehaves.
        """
        ...


def trial(finding: Finding, scope: str, inside: bool, mechanism: Remembered) -> Trial:
    """The trial that a finding of an audit stands for."""
    found = finding.counterexample
    evidence = None if found is None else lambda: _shrunk(found, mechanism)
    return Trial(scope, inside, finding.status, finding.worst, evidence)


def smallest(cell: Cell) -> Evidence | None:
    """The simplest failure of a cell; None where nothing failed.

    Raises:
        ReplayError: it does not happen again.
    """
    found = [trial.evidence() for trial in cell.refuted if trial.evidence is not None]
    return min(found, key=lambda evidence: evidence.simplicity, default=None)


def _shrunk(found: Counterexample, mechanism: Remembered) -> Evidence:
    small = shrink(found, mechanism)
    small.replay(mechanism.mechanism)
    return Evidence(str(small), small.as_dict(), small.simplicity)
