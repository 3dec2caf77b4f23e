"""`Table`: the answers of a mechanism to every profile of a grid, from one run each; the slow part of an audit."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np

from allocation import Market
from allocation.money import Money
from mechanisms import DirectMechanism, Outcome
from proofs.counterexample import Answer, Counterexample
from proofs.engine import Progress
from proofs.errors import AuditError
from proofs.properties import OutcomeProperty
from proofs.scope import Grid
from proofs.subject import outcome_of


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """`agents` (P, N), `charges` (P, N) and `receipts` (P, M) of every profile.

    `worst` is the largest violation of each outcome property, `notes` what those that grade outcomes saw at worst.
    """

    agents: Money
    charges: Money
    receipts: Money
    worst: tuple[tuple[int, Counterexample | None], ...]
    notes: tuple[str, ...]


def tabulate(
    mechanism: DirectMechanism, grid: Grid, properties: Sequence[OutcomeProperty], progress: Progress, reruns: int
) -> Table:
    """Run the mechanism once per profile, checking the properties of outcomes on the way.

    Args:
        reruns: profiles, evenly spread, that are asked again at the end.

    Raises:
        AuditError: the mechanism misbehaves, or answers a profile differently the second time.
    """
    n, m = grid.template.shape
    twice = set(np.linspace(0, grid.profiles - 1, reruns).astype(np.int64).tolist())
    first: dict[int, Answer] = {}
    agents, charges = np.empty((grid.profiles, n), np.int64), np.empty((grid.profiles, n), np.int64)
    receipts = np.empty((grid.profiles, m), np.int64)
    worst: list[tuple[int, Counterexample | None]] = [(0, None)] * len(properties)
    grades: list[tuple[Fraction, Market] | None] = [None] * len(properties)
    for profile in range(grid.profiles):
        truth = grid.market(profile)
        outcome = outcome_of(mechanism, truth)
        agents[profile] = outcome.allocation.agents
        charges[profile] = outcome.payments.charges
        receipts[profile] = outcome.payments.receipts
        for index, prop in enumerate(properties):
            found = prop.check(outcome, truth)
            if found is not None and found.amount > worst[index][0]:
                worst[index] = found.amount, Counterexample.told(prop, truth, None, found, outcome, None)
            if isinstance(prop, Graded):
                grades[index] = _lower(grades[index], prop.grade(outcome, truth), truth)
        if profile in twice:
            first[profile] = Answer.of(outcome)
        progress(profile + 1, grid.profiles)
    for profile, answer in first.items():
        truth = grid.market(profile)
        if Answer.of(outcome_of(mechanism, truth)) != answer:
            raise unstable(mechanism, truth)
    return Table(agents, charges, receipts, tuple(worst), tuple(map(_note, grades)))


@runtime_checkable
class Graded(OutcomeProperty, Protocol):
    """A claim that says how good each outcome is, so that a finding can name the worst of the scope."""

    def grade(self, outcome: Outcome, truth: Market) -> Fraction | None:
        """An exact number, lower is worse; None where it is not defined."""
        ...


def _lower(
    worst: tuple[Fraction, Market] | None, grade: Fraction | None, truth: Market
) -> tuple[Fraction, Market] | None:
    if grade is None or (worst is not None and worst[0] <= grade):
        return worst
    return grade, truth


def _note(worst: tuple[Fraction, Market] | None) -> str:
    return "" if worst is None else f"worst on the scope: {worst[0]}, at values {worst[1].values.tolist()}"


def unstable(mechanism: DirectMechanism, market: Market) -> AuditError:
    """The error for a mechanism that is not a function of the market."""
    return AuditError(
        f"{type(mechanism).__name__} answers {market} differently when asked again; an audit of it would mean nothing: "
        "give it a seed, and no memory of earlier rounds"
    )
