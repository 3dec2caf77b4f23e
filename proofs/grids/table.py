"""`Table`: the answers of a mechanism to every profile of a grid, from one run each; the slow part of an audit.

A grid is cut into blocks of profiles. Where the cuts are depends on grid and mechanism alone, and a block's answers on
nothing outside it, so that blocks can be worked off anywhere, in any order, and put together to the same table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from allocation import UNSERVED, Allocation, Market
from allocation.money import Money
from mechanisms import BatchMechanism, DirectMechanism, Outcome, Outcomes, Payments
from mechanisms.mechanism import has_batch_path
from proofs.claims.property import BatchProperty, OutcomeProperty
from proofs.errors import AuditError
from proofs.evidence.counterexample import Answer
from proofs.scopes.grid import Grid
from proofs.scopes.profiles import alike, values_of
from proofs.subject.subject import MAX_CHARGE, outcome_of, owed

#: Profiles in a block, of a mechanism that is asked for many markets at once, and of one that is asked one by one.
MANY, FEW = 2**16, 2**8

#: The largest violation of a property, and the first profile where it happens.
Worst = tuple[int, int]

#: The lowest grade of a property that grades, and the first profile where it happens.
Grade = tuple[Fraction, int]


@runtime_checkable
class Graded(OutcomeProperty, Protocol):
    """A claim that says how good each outcome is, so that a finding can name the worst of the scope."""

    def grade(self, outcome: Outcome, truth: Market) -> Fraction | None:
        """An exact number, lower is worse; None where it is not defined."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """`agents` (B, N), `charges` (B, N), `receipts` (B, M) of B profiles in a row, in the narrowest integers that fit.

    `worst` and `grades` hold one entry per property of outcomes; a grade is None where nothing was graded.
    """

    number: int
    agents: NDArray[np.signedinteger]
    charges: NDArray[np.signedinteger]
    receipts: NDArray[np.signedinteger]
    worst: tuple[Worst, ...]
    grades: tuple[Grade | None, ...]


@dataclass(frozen=True, slots=True)
class Enumeration:
    """The work of filling a table: a mechanism on a grid, and the properties of outcomes to check on the way."""

    mechanism: DirectMechanism
    grid: Grid
    properties: tuple[OutcomeProperty, ...]

    @property
    def size(self) -> int:
        """Profiles in a block; the last one may have fewer."""
        return MANY if has_batch_path(self.mechanism) else FEW

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return -(-self.grid.profiles // self.size)

    def answer(self, number: int) -> Block:
        """Run the mechanism on every profile of one block.

        Raises:
            AuditError: the mechanism misbehaves.
        """
        start, stop = number * self.size, min((number + 1) * self.size, self.grid.profiles)
        n, m = self.grid.template.shape
        rows = stop - start
        whole = Outcomes(np.empty((rows, n), np.int64), np.empty((rows, n), np.int64), np.empty((rows, m), np.int64))
        worst: list[Worst] = [(0, start)] * len(self.properties)
        grades: list[Grade | None] = [None] * len(self.properties)
        for profiles, template in alike(self.grid, start, stop):
            values = values_of(self.grid, profiles)
            outcomes = run_checked(self.mechanism, values, template)
            whole.agents[profiles - start] = outcomes.agents
            whole.charges[profiles - start] = outcomes.charges
            whole.receipts[profiles - start] = outcomes.receipts
            for index, prop in enumerate(self.properties):
                amounts = _amounts(prop, outcomes, values, template)
                place = int(amounts.argmax())
                worst[index] = _worse(worst[index], (int(amounts[place]), int(profiles[place])))
                if isinstance(prop, Graded):
                    for place, profile in enumerate(profiles.tolist()):
                        truth = template.replace(values=values[place])
                        grade = prop.grade(outcome_at(outcomes, place, truth), truth)
                        grades[index] = _lower(grades[index], None if grade is None else (grade, profile))
        parts = (_narrow(whole.agents), _narrow(whole.charges), _narrow(whole.receipts))
        return Block(number, *parts, tuple(worst), tuple(grades))


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """`agents` (P, N), `charges` (P, N) and `receipts` (P, M) of every profile.

    `worst` is the largest violation of each outcome property, `notes` what those that grade outcomes saw at worst.
    """

    agents: NDArray[np.signedinteger]
    charges: NDArray[np.signedinteger]
    receipts: NDArray[np.signedinteger]
    worst: tuple[Worst, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, blocks: Sequence[Block], work: Enumeration) -> "Table":
        """The table that all blocks of an enumeration, in order, make up."""
        worst: list[Worst] = [(0, 0)] * len(work.properties)
        grades: list[Grade | None] = [None] * len(work.properties)
        for block in blocks:
            worst = [_worse(old, new) for old, new in zip(worst, block.worst, strict=True)]
            grades = [_lower(old, new) for old, new in zip(grades, block.grades, strict=True)]
        return cls(
            np.concatenate([block.agents for block in blocks]),
            np.concatenate([block.charges for block in blocks]),
            np.concatenate([block.receipts for block in blocks]),
            tuple(worst),
            tuple(_note(grade, work.grid) for grade in grades),
        )

    def ask_again(self, work: Enumeration, times: int) -> int:
        """Ask profiles drawn without return again, each alone, and return how many: all, if there are no more.

        Raises:
            AuditError: the mechanism answers one of them differently, or its two paths do.
        """
        profiles = work.grid.profiles
        drawn = np.random.default_rng(profiles).choice(profiles, min(times, profiles), replace=False)
        again = np.sort(drawn).tolist()
        for profile in again:
            truth = work.grid.market(profile)
            if Answer.of(outcome_at(self, profile, truth)) != Answer.of(outcome_of(work.mechanism, truth)):
                raise unstable(work.mechanism, truth)
        return len(again)


def run_checked(mechanism: DirectMechanism, values: Money, template: Market) -> Outcomes:
    """Run the mechanism on B markets, by its batch path if it has one, and hold it to what every mechanism owes.

    Args:
        values: (B, N, M) micro-units.
        template: what the markets share.

    Raises:
        AuditError: as `outcome_of`; the message shows the first market that it happens on.
    """
    if not has_batch_path(mechanism):
        return _one_by_one(mechanism, values, template)
    assert isinstance(mechanism, BatchMechanism)
    values.setflags(write=False)
    try:
        outcomes = mechanism.run_many(values, template)
    except Exception as error:
        error.add_note(f"while run_many of {type(mechanism).__name__} ran on {len(values)} markets like {template}")
        raise
    _demand_shapes(mechanism, outcomes, values.shape)
    # As in `owed`: what is kept is not what the mechanism may fill anew.
    outcomes = Outcomes(outcomes.agents.copy(), outcomes.charges.copy(), outcomes.receipts.copy())
    feasible = _feasible(outcomes.agents, template)
    paid = np.concatenate([outcomes.charges, outcomes.receipts], axis=1)
    modest = ((paid >= -MAX_CHARGE) & (paid <= MAX_CHARGE)).all(axis=1)
    if not (feasible & modest).all():
        place = int((feasible & modest).argmin())
        truth = template.replace(values=values[place])
        owed(outcome_at(outcomes, place, truth), truth, f"run_many of {type(mechanism).__name__}")
    return outcomes


def unstable(mechanism: DirectMechanism, market: Market) -> AuditError:
    """The error for a mechanism that is not a function of the market."""
    return AuditError(
        f"{type(mechanism).__name__} answers {market} differently when asked again; an audit of it would mean nothing: "
        "give it a seed, and no memory of earlier rounds, and let run_many decide as run does"
    )


def _one_by_one(mechanism: DirectMechanism, values: Money, template: Market) -> Outcomes:
    n, m = template.shape
    agents, charges = (np.empty((values.shape[0], n), np.int64) for _ in range(2))
    receipts = np.empty((values.shape[0], m), np.int64)
    for place, rows in enumerate(values):
        outcome = outcome_of(mechanism, template.replace(values=rows))
        agents[place] = outcome.allocation.agents
        charges[place], receipts[place] = outcome.payments.charges, outcome.payments.receipts
    return Outcomes(agents, charges, receipts)


def outcome_at(outcomes: "Outcomes | Table", place: int, truth: Market) -> Outcome:
    """The answer in one row, to the market it is of."""
    payments = Payments(outcomes.charges[place], outcomes.receipts[place])
    return Outcome(truth, Allocation(outcomes.agents[place]), payments)


def _demand_shapes(mechanism: DirectMechanism, outcomes: Outcomes, shape: tuple[int, ...]) -> None:
    batch, n, m = shape
    for name, expected in (("agents", (batch, n)), ("charges", (batch, n)), ("receipts", (batch, m))):
        found = np.asarray(getattr(outcomes, name))
        if found.shape != expected or found.dtype != np.int64:
            raise AuditError(
                f"run_many of {type(mechanism).__name__} returned {name} of shape {found.shape} and type "
                f"{found.dtype}; expected {expected} in int64"
            )


def _feasible(agents: NDArray[np.int64], template: Market) -> NDArray[np.bool_]:
    """(B,) whether every request is somewhere it may be, and no agent has more than its capacity."""
    n, m = template.shape
    fits = np.asarray(((agents >= UNSERVED) & (agents < m)).all(axis=1))
    for agent, room in enumerate(template.capacities.tolist()):
        np.logical_and(fits, (agents == agent).sum(axis=1) <= room, out=fits)
    if template.feasible is not None:
        open_ = np.concatenate([template.feasible, np.ones((n, 1), np.bool_)], axis=1)
        np.logical_and(fits, open_[np.arange(n), np.clip(agents, UNSERVED, m - 1)].all(axis=1), out=fits)
    return fits


def _amounts(prop: OutcomeProperty, outcomes: Outcomes, values: Money, template: Market) -> Money:
    """(B,) the violations, 0 where the property holds."""
    if isinstance(prop, BatchProperty):
        return prop.amounts(outcomes, values, template)
    amounts = np.zeros(values.shape[0], np.int64)
    for place, rows in enumerate(values):
        truth = template.replace(values=rows)
        found = prop.check(outcome_at(outcomes, place, truth), truth)
        amounts[place] = 0 if found is None else found.amount
    return amounts


def _worse(old: Worst, new: Worst) -> Worst:
    return new if (-new[0], new[1]) < (-old[0], old[1]) else old


def _lower(old: Grade | None, new: Grade | None) -> Grade | None:
    return min((grade for grade in (old, new) if grade is not None), default=None)


def _note(worst: Grade | None, grid: Grid) -> str:
    if worst is None:
        return ""
    return f"worst on the scope: {worst[0]}, at values {grid.market(worst[1]).values.tolist()}"


def _narrow(amounts: Money) -> NDArray[np.signedinteger]:
    low, high = int(amounts.min(initial=0)), int(amounts.max(initial=0))
    for kind in (np.int8, np.int16, np.int32):
        bounds = np.iinfo(kind)
        if bounds.min <= low and high <= bounds.max:
            return amounts.astype(kind)
    return amounts
