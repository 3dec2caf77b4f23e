"""`AllTies`: properties over a whole grid under every tie-break, or where no market ties; truthfulness by menus.

The menu argument of `menu` with two changes. Honesty counts at its worst: a type has the least that any tied outcome of
its own report leaves it. And an option's price is the lowest at any tied outcome of *another* report, since a selection
of outcomes gives each report one of its own. Per option the lowest prices of two different reports are enough: a type
that is offered the cheapest by its own report falls back on the other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from allocation.money import Money
from mechanisms import DirectMechanism
from proofs.claims.property import DeviationProperty, OutcomeProperty, Property, RegretProperty
from proofs.errors import AuditError
from proofs.evidence.counterexample import Counterexample
from proofs.evidence.engine import Progress
from proofs.evidence.finding import Finding, Status
from proofs.grids.exhaustive import confirmed
from proofs.grids.sweep import PlayerOutcomes, SweepResult, Swept, forgiving, players_of
from proofs.scopes.grid import Grid, Scope
from proofs.scopes.profiles import by_players
from proofs.ties.table import TiedTable, Watch, gathered

#: Price of an option that no report buys, and utility of a type that is not spoken of.
_NEVER = 2**62


@dataclass(frozen=True, slots=True)
class TiedMenu:
    """All menus of one player, for Q reports of the others, T types of the player's own and O options.

    `honest` (Q, T) is what a type has at its worst tied outcome, `prices` (Q, T, O) what an option costs at the best
    tied outcome of a report, `counts` (Q, T) how many outcomes there are; `values` (T, O) as in `PlayerOutcomes`.
    """

    player: int
    honest: Money
    prices: Money
    counts: NDArray[np.int64]
    values: Money
    profiles: Money

    @classmethod
    def of(cls, tied: TiedTable, player: int) -> "TiedMenu":
        """The player's menus; agents are numbered after the bidders."""
        seat, grid = PlayerOutcomes.of(tied.table, tied.grid, player), tied.grid
        profiles = by_players(np.arange(grid.profiles), grid, (player,))
        cells = np.empty(grid.profiles, np.int64)
        cells[profiles.ravel()] = np.arange(grid.profiles)
        at = cells[tied.profiles]
        honest = np.full(grid.profiles, _NEVER)
        np.minimum.at(honest, at, seat.values[at % profiles.shape[1], seat.options] - seat.payments)
        prices = np.full((grid.profiles, seat.values.shape[1]), _NEVER)
        np.minimum.at(prices, (at, seat.options), seat.payments)
        counts = np.bincount(at, minlength=grid.profiles)
        shape = profiles.shape
        return cls(
            player, honest.reshape(shape), prices.reshape(*shape, -1), counts.reshape(shape), seat.values, profiles
        )

    @property
    def cases(self) -> int:
        """Pairs of an outcome of a truth and an outcome of a misreport."""
        return int((self.counts.sum(axis=1) ** 2 - (self.counts**2).sum(axis=1)).sum())

    def worst(self) -> tuple[int, int, int]:
        """(gain, profile, report): the largest gain, 0 where none is, its profile, and the report that earns it."""
        best, types = (0, int(self.profiles[0, 0]), 0), np.arange(self.profiles.shape[1])
        if types.size == 1:
            return best
        spoken = self.counts > 0
        honest = np.where(spoken, self.honest, 0)
        two = np.partition(self.prices, 1, axis=1)[:, :2]
        cheapest = self.prices.argmin(axis=1)
        for option, values in enumerate(self.values.T):
            price = np.where(cheapest[:, option, None] == types, two[:, 1, option, None], two[:, 0, option, None])
            gains = np.where(spoken & (price < _NEVER), values - price - honest, 0)
            if gains.max() > best[0]:
                others, own = np.unravel_index(int(gains.argmax()), gains.shape)
                offered = self.prices[others, :, option].copy()
                offered[own] = _NEVER
                best = int(gains[others, own]), int(self.profiles[others, own]), int(offered.argmin())
        return best


@dataclass(frozen=True, slots=True)
class AllTies:
    """The engine of a `Grid` whose `ties` are `all` or `refuse`: every tied outcome of every profile, then arrays.

    Args:
        reruns: how many profiles are asked twice, and held against `run`.
    """

    reruns: int = 16

    def accepts(self, prop: Property, scope: Scope) -> bool:
        """Every property over such a grid; those that it cannot examine are named when it is asked to."""
        return isinstance(scope, Grid) and scope.ties != "first"

    def examine(
        self, mechanism: DirectMechanism, scope: Scope, properties: Sequence[Property], progress: Progress
    ) -> list[Finding]:
        """One finding per property, VERIFIED or REFUTED; its cases are outcomes, or pairs of them.

        Raises:
            AuditError: a property has no meaning over ties here, the mechanism does not say what its ties are, or not
                twice the same, or every profile ties and all are left out.
        """
        if not isinstance(scope, Grid):
            raise AuditError(f"{type(scope).__name__} cannot be enumerated; give a Grid")
        for prop in properties:
            _demand_examinable(prop)
        started = perf_counter()
        watches = {prop.name: Watch(prop) for prop in properties if isinstance(prop, OutcomeProperty)}
        tied = gathered(mechanism, scope, list(watches.values()), progress, self.reruns)
        swept = perf_counter() - started
        findings = []
        for prop in properties:
            if prop.name in watches:
                watch = watches[prop.name]
                findings.append(_finding(prop, tied, tied.profiles.size, swept, watch.witness, watch.notes))
            else:
                found = _swept(prop, tied)
                witness = confirmed(prop, mechanism, found, scope.ties)
                notes = [found.note] if found.note else []
                findings.append(_finding(prop, tied, found.cases, perf_counter() - started, witness, notes))
        return findings


def worst_tied_misreport(tied: TiedTable, players: Iterable[int]) -> SweepResult:
    """The misreport that earns a player most, the ties being against the truth; `worst` is 0 where none pays."""
    cases, best = 0, SweepResult(0)
    for player in players:
        menu = TiedMenu.of(tied, player)
        gain, profile, report = menu.worst()
        cases += menu.cases
        if gain > best.worst:
            best = SweepResult(0, gain, tied.grid.market(profile), tied.grid.misreport(player, report))
    return SweepResult(cases, best.worst, best.truth, best.deviation)


def _swept(prop: Property, tied: TiedTable) -> SweepResult:
    if isinstance(prop, RegretProperty):
        return forgiving(prop, worst_tied_misreport(tied, players_of(prop, tied.grid)))
    if isinstance(prop, DeviationProperty):
        return _one_by_one(prop, tied)
    raise AuditError(f"{prop.name} is neither about outcomes nor about misreports; no grid can be swept for it")


def _one_by_one(prop: DeviationProperty, tied: TiedTable) -> SweepResult:
    grid = tied.grid
    pairs = (
        (truth, misreport, here, there)
        for profile in range(grid.profiles)
        for truth, honest in [(grid.market(profile), tied.outcomes(profile))]
        for bidder in range(grid.bidders if honest else 0)
        for report, deviated in enumerate(grid.deviations(profile, bidder))
        if deviated != profile
        for misreport in [grid.misreport(bidder, report)]
        for there in tied.outcomes(deviated)
        for here in honest
    )
    return SweepResult.of((prop.compare(*pair), *pair[:2]) for pair in pairs)


def _demand_examinable(prop: Property) -> None:
    if isinstance(prop, Swept) and not isinstance(prop, RegretProperty | OutcomeProperty):
        raise AuditError(
            f"{prop.name} is not examined under other tie-breaks; audit it with ties='first', or one of: "
            "properties of outcomes, truthful, truthful-agents, truthful-both, epsilon-truthful, or a property of your "
            "own with compare(truth, misreport, honest, deviating)"
        )


def _finding(
    prop: Property, tied: TiedTable, cases: int, seconds: float, witness: Counterexample | None, notes: list[str]
) -> Finding:
    status = Status.VERIFIED if witness is None else Status.REFUTED
    worst = 0 if witness is None else witness.amount
    return Finding(prop, status, tied.grid, cases, seconds, worst, witness, "; ".join([*notes, tied.note]))
