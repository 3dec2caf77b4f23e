"""`GridOutcomes`: a grid played out once, and what properties with sweeps of their own read from it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from allocation import UNSERVED, Market
from allocation.money import Money
from mechanisms import DirectMechanism, Outcome
from proofs.claims.property import DeviationProperty, Property, RegretProperty, Violation
from proofs.errors import AuditError
from proofs.grids.table import Table, outcome_at
from proofs.misreports.misreport import Deviation
from proofs.scopes.grid import Grid
from proofs.subject.remembered import Remembered

#: Value of serving more requests than capacity allows; below every payment, with space for a difference.
IMPOSSIBLE = -(2**60)

#: Bundles are told apart by a table of at most this many codes, or by sorting them.
_CODES = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class PlayerOutcomes:
    """What one player gets in every profile.

    `options` (P,) is an index of what they receive, or serve, `payments` (P,) what they pay for it, and `values` (T, O)
    what each option is worth to each of their types.
    """

    options: NDArray[np.intp]
    payments: Money
    values: Money

    @classmethod
    def of(cls, table: Table, grid: Grid, player: int) -> "PlayerOutcomes":
        """The seat of a bidder, or, numbered after the bidders, of an agent."""
        return _bidder(table, grid, player) if player < grid.bidders else _agent(table, grid, player - grid.bidders)


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep found: `cases` examined, the largest violation, where it happens, and a note for the finding."""

    cases: int
    worst: int = 0
    truth: Market | None = None
    deviation: Deviation | None = None
    note: str = ""

    @classmethod
    def of(cls, examined: Iterable[tuple[Violation | None, Market, Deviation | None]]) -> "SweepResult":
        """The count of what was examined, and the largest violation; ties to the first."""
        cases, worst = 0, cls(0)
        for found, truth, deviation in examined:
            cases += 1
            if found is not None and found.amount > worst.worst:
                worst = cls(0, found.amount, truth, deviation)
        return replace(worst, cases=cases)


@dataclass(frozen=True, slots=True, eq=False)
class GridOutcomes:
    """A mechanism, a grid, its answers to every profile, and a memory of the other markets it was asked about.

    `interchangeable` bidders need not all be examined (`symmetry.orbits`); None where nobody asked which they are.
    """

    mechanism: DirectMechanism
    grid: Grid
    table: Table
    interchangeable: tuple[tuple[int, ...], ...] | None = None
    _memory: Remembered = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_memory", Remembered(self.mechanism))

    def outcome(self, profile: int) -> Outcome:
        """The answer to one profile."""
        return outcome_at(self.table, profile, self.grid.market(profile))

    def run(self, market: Market) -> Outcome:
        """The answer to any market, asked for once."""
        return self._memory.run(market)


@runtime_checkable
class Swept(Property, Protocol):
    """A claim that knows how to examine a whole grid."""

    def sweep(self, played: GridOutcomes) -> SweepResult:
        """Examine every case of the grid.

        Raises:
            AuditError: the claim makes no sense on this grid.
        """
        ...


def players_of(prop: RegretProperty, grid: Grid) -> Sequence[int]:
    """Who may misreport on a grid.

    Raises:
        AuditError: an agent, and costs and capacities are public there.
    """
    players = prop.players(grid)
    if max(players, default=0) >= grid.bidders:
        agents_of(grid, prop.name)
    return players


def agents_of(grid: Grid, name: str) -> range:
    """The agents of a grid as players.

    Raises:
        AuditError: costs and capacities are public there.
    """
    if not grid.agent_types:
        raise AuditError(
            f"{name}: costs and capacities are public on {grid}; give private_costs=range(3), or private_capacities"
        )
    return range(grid.bidders, len(grid.sizes))


def forgiving(prop: RegretProperty, found: SweepResult) -> SweepResult:
    """The greatest gain that a sweep found, held against what the claim allows; then a note names it."""
    if prop.slack is None:
        return found
    note = "; ".join(part for part in (f"worst regret on the scope: {found.worst}", found.note) if part)
    return SweepResult(found.cases, note=note) if found.worst <= prop.slack else replace(found, note=note)


def tried(
    played: GridOutcomes,
    deviations: Callable[[int, Market, Outcome], Iterable[Deviation]],
    found: Callable[[Market, Any, Outcome], Violation | None],
) -> SweepResult:
    """Every deviation of every profile, one after the other: `found` judges it beside the honest outcome."""
    profiles = range(played.grid.profiles)
    honesty = ((profile, played.grid.market(profile), played.outcome(profile)) for profile in profiles)
    return SweepResult.of(
        (found(truth, deviation, honest), truth, deviation)
        for profile, truth, honest in honesty
        for deviation in deviations(profile, truth, honest)
    )


def compared(played: GridOutcomes, prop: DeviationProperty) -> Callable[[Market, Any, Outcome], Violation | None]:
    """A judge for `tried`: what the property finds between honesty and the deviation."""
    return lambda truth, deviation, honest: prop.compare(truth, deviation, honest, played.run(deviation.applied(truth)))


def _bidder(table: Table, grid: Grid, bidder: int) -> PlayerOutcomes:
    mine = grid.template.requests_of(bidder)
    bundles, options = _bundles(table.agents[:, mine], UNSERVED, grid.agents)
    paid = table.charges[:, mine].sum(axis=1, dtype=np.int64)
    return PlayerOutcomes(options, paid, grid.bundle_values(bidder, bundles))


def _agent(table: Table, grid: Grid, agent: int) -> PlayerOutcomes:
    bundles, options = _bundles((table.agents == agent).view(np.int8), 0, 2)
    types = grid.agent_types[agent]
    values = np.where(bundles.sum(axis=1) <= types.room[:, None], -(types.rows @ bundles.T), IMPOSSIBLE)
    return PlayerOutcomes(options, -table.receipts[:, agent].astype(np.int64), values)


def _bundles(rows: NDArray[np.signedinteger], least: int, beyond: int) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """(O, K) the different rows among (P, K) of integers in [least, beyond), in order; and (P,) which each one is."""
    base, columns = beyond - least, rows.shape[1]
    if base**columns > _CODES:
        bundles, options = np.unique(rows, axis=0, return_inverse=True)
        return bundles.astype(np.int64), options.reshape(-1)
    codes = np.zeros(rows.shape[0], np.intp)
    for column in range(columns):
        codes = codes * base + (rows[:, column] - least)
    found = np.zeros(base**columns, np.bool_)
    found[codes] = True
    digits = np.flatnonzero(found)[:, None] // base ** np.arange(columns)[::-1] % base
    return digits + least, (np.cumsum(found) - 1)[codes]
