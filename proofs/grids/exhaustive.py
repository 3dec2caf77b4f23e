"""`Exhaustive`: every property over a whole grid; truthfulness by menus instead of pairs.

Taxation principle (Hammond 1979; Guesnerie 1981): fix what the others report. Then a bidder's reports merely pick from
a menu, which holds each option (agents for the bidder's requests) at a price. If one option is to be had at two prices,
the cheaper one is what a deviator takes. So truth-telling is a dominant strategy exactly if every true type already
gets its favourite from the menu of cheapest prices. That replaces |T| ** 2 pairs of reports by |T| * options
comparisons, and assumes nothing of the mechanism.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from allocation.money import Money
from mechanisms import DirectMechanism
from mechanisms.mechanism import has_batch_path
from proofs.claims.property import BatchProperty, DeviationProperty, OutcomeProperty, Property, RegretProperty
from proofs.errors import AuditError
from proofs.evidence.counterexample import Answer, Counterexample
from proofs.evidence.engine import Progress
from proofs.evidence.finding import Finding, Status
from proofs.grids.checkpoint import RERUN_SHARE, Checkpoint, fingerprint
from proofs.grids.sweep import GridOutcomes, PlayerOutcomes, SweepResult, Swept, compared, forgiving, players_of, tried
from proofs.grids.symmetry import describe_symmetry, orbits, stands
from proofs.grids.table import Block, Enumeration, Table, outcome_at, unstable
from proofs.grids.workers import Pool, Serial
from proofs.scopes.grid import Grid, Scope
from proofs.scopes.profiles import by_players
from proofs.subject.reach import watching
from proofs.subject.subject import outcome_of

#: Price of an option that no report buys.
_NEVER = 2**61

#: Cells of menus looked at a time, few enough to stay in a processor's cache.
_CHUNK = 2**16


#: Profiles that are asked again: a difference on 1 % of a grid is then noticed with probability 99 %.
RERUNS = 459


def rerun_note(again: int, profiles: int, *, batch: bool) -> str:
    """What asking again is worth: the chance to notice answers that differ on 1 % of the profiles."""
    paths = "through run_many, and through run" if batch else "twice"
    if again >= profiles:
        return f"every profile asked {paths}"
    differing = max(1, profiles // 100)
    missed = 1.0
    for k in range(again):
        missed *= max(0, profiles - differing - k) / (profiles - k)
    chance = "more than 99.9 %" if missed < 0.001 else f"{100 * (1 - missed):.1f} %"
    return (
        f"{again:,} of {profiles:,} profiles asked {paths}: answers that differ on 1 % of them are noticed with "
        f"probability {chance}"
    )


def regrets(options: NDArray[np.intp], payments: Money, values: Money) -> Money:
    """(Q, T) what each true type would gain from its best misreport, in micro-units, >= 0.

    Args:
        options: (Q, T) option that report t buys when the others report q.
        payments: (Q, T) what it pays there.
        values: (T, O) what each option is worth to each true type.
    """
    honest = values[np.arange(values.shape[0]), options] - payments
    best = honest.copy()
    for option in range(values.shape[1]):
        price = np.where(options == option, payments, _NEVER).min(axis=1)
        np.maximum(best, values[:, option] - price[:, None], out=best)
    return best - honest


@dataclass(frozen=True, slots=True)
class Menu:
    """All menus of one player: `profiles` (Q, T); `options`, `payments` and `values` as in `regrets`."""

    player: int
    profiles: NDArray[np.int64]
    options: NDArray[np.intp]
    payments: Money
    values: Money

    @classmethod
    def of(cls, table: Table, grid: Grid, player: int) -> "Menu":
        """The player's menus in a table; agents are numbered after the bidders."""
        seat, mine = PlayerOutcomes.of(table, grid, player), (player,)
        profiles = by_players(np.arange(grid.profiles), grid, mine)
        options, payments = by_players(seat.options, grid, mine), by_players(seat.payments, grid, mine)
        return cls(player, profiles, options, payments, seat.values)

    def worst(self) -> tuple[int, int, int]:
        """(gain, profile, report): the largest gain, its first profile, and the first type whose report earns it."""
        most, others, true = 0, 0, 0
        step = max(1, _CHUNK // self.values.shape[0])
        for start in range(0, len(self.options), step):
            gains = regrets(self.options[start : start + step], self.payments[start : start + step], self.values)
            place, own = np.unravel_index(int(gains.argmax()), gains.shape)
            if gains[place, own] > most:
                most, others, true = int(gains[place, own]), start + int(place), int(own)
        earned = self.values[true, self.options[others]] - self.payments[others]
        return most, int(self.profiles[others, true]), int(earned.argmax())


@dataclass(frozen=True, slots=True)
class Exhaustive:
    """The engine of `Grid`: one run per profile, then arrays. Sound and complete there for any deterministic mechanism.

    Args:
        reruns: how many profiles are asked again, one by one, to catch mechanisms that are not deterministic, and batch
            paths that decide otherwise than `run`. The finding says how likely that is to notice a difference.
        pool: who runs the mechanism; the findings do not depend on it.
        checkpoint: keeps what was run, and goes on from it.
        symmetry: check which bidders are interchangeable on the grid, and let one stand for the others in what is about
            misreports of bidders; the finding's note says which.
    """

    reruns: int = RERUNS
    pool: Pool = field(default_factory=Serial)
    checkpoint: Checkpoint | None = None
    symmetry: bool = False

    def accepts(self, prop: Property, scope: Scope) -> bool:
        """Every property, over grids; a stranger's `DeviationProperty` by trying every misreport of every bidder."""
        deterministic = isinstance(scope, Grid) and scope.ties == "first"
        return deterministic and isinstance(prop, OutcomeProperty | Swept | DeviationProperty)

    def examine(
        self, mechanism: DirectMechanism, scope: Scope, properties: Sequence[Property], progress: Progress
    ) -> list[Finding]:
        """One finding per property, VERIFIED or REFUTED.

        Raises:
            AuditError: the mechanism misbehaves, or answers the same market differently twice.
        """
        if not isinstance(scope, Grid):
            raise AuditError(f"{type(scope).__name__} cannot be enumerated; give a Grid")
        started = perf_counter()
        watched = tuple(prop for prop in properties if isinstance(prop, OutcomeProperty))
        work = Enumeration(mechanism, scope, watched)
        with watching() as opened:
            blocks, kept = self._blocks(work, progress, opened)
            table = Table.of(blocks, work)
            old = self._run_kept_again(table, work, kept) if kept else ""
            again = table.ask_again(work, self.reruns)
            how = "; ".join(filter(None, (rerun_note(again, scope.profiles, batch=has_batch_path(mechanism)), old)))
            if self.checkpoint is not None:
                # Workers open files where this process does not see it; the profiles asked again open them here.
                self.checkpoint.note(opened)
        swept = perf_counter() - started
        played = GridOutcomes(mechanism, scope, table, orbits(table, scope) if self.symmetry else None)
        outcomes = iter(zip(table.worst, table.notes, strict=True))
        findings = []
        for prop in properties:
            if isinstance(prop, OutcomeProperty):
                (amount, profile), note = next(outcomes)
                found = SweepResult(scope.profiles, amount, scope.market(profile), note=note)
                seconds = swept
            else:
                found = _swept(prop, played)
                seconds = perf_counter() - started
            findings.append(_finding(prop, mechanism, scope, found, seconds, how))
        return findings

    def _run_kept_again(self, table: Table, work: Enumeration, kept: Sequence[int]) -> str:
        """Run a share of the profiles that a file answered for, and say what that is worth."""
        old = np.concatenate([np.arange(k * work.size, min((k + 1) * work.size, work.grid.profiles)) for k in kept])
        count = min(old.size, max(RERUNS, int(np.ceil(RERUN_SHARE * old.size))))
        drawn = np.random.default_rng(old.size).choice(old, count, replace=False)
        for profile in np.sort(drawn).tolist():
            truth = work.grid.market(profile)
            if Answer.of(outcome_at(table, profile, truth)) != Answer.of(outcome_of(work.mechanism, truth)):
                raise AuditError(
                    f"{self.checkpoint and self.checkpoint.path} holds another answer to {truth} than the mechanism "
                    "gives now: its code, its data or its environment has changed; name another file, or delete it"
                )
        return f"of those kept in a file {rerun_note(count, old.size, batch=False)}"

    def _blocks(self, work: Enumeration, progress: Progress, opened: set[str]) -> tuple[list[Block], list[int]]:
        """All blocks, and the numbers of those that a file had."""
        # Once, before anything is run: sources that change meanwhile are not those that answer.
        mark = "" if self.checkpoint is None else fingerprint(work)
        found = {} if self.checkpoint is None else self.checkpoint.load(work)
        kept = sorted(found)
        done = sum(len(block.agents) for block in found.values())
        progress(done, work.grid.profiles)
        left = [number for number in range(work.blocks) if number not in found]
        for block in self.pool.answer(work, left):
            found[block.number] = block
            if self.checkpoint is not None:
                self.checkpoint.save(block, mark, opened)
            done += len(block.agents)
            progress(done, work.grid.profiles)
        return [found[number] for number in range(work.blocks)], kept


def worst_misreport(played: GridOutcomes, players: Sequence[int]) -> SweepResult:
    """The report that earns a player most, over all profiles and all these players; `worst` is 0 where none pays."""
    grid, classes = played.grid, played.interchangeable
    examined = [player for player in players if stands((player,), classes or ())]
    ranked = [(menu.worst(), menu.player) for menu in (Menu.of(played.table, grid, player) for player in examined)]
    (gain, profile, report), player = max(ranked, key=lambda entry: entry[0][0])
    note = "" if classes is None else describe_symmetry(classes, grid)
    return SweepResult(grid.pairs_of(players), gain, grid.market(profile), grid.misreport(player, report), note)


def _swept(prop: Property, played: GridOutcomes) -> SweepResult:
    if isinstance(prop, Swept):
        return prop.sweep(played)
    if isinstance(prop, RegretProperty):
        return forgiving(prop, worst_misreport(played, players_of(prop, played.grid)))
    if isinstance(prop, DeviationProperty):
        return _one_by_one(prop, played)
    raise AuditError(f"{prop.name} is neither about outcomes nor about misreports; no grid can be swept for it")


def _one_by_one(prop: DeviationProperty, played: GridOutcomes) -> SweepResult:
    grid = played.grid
    return tried(
        played,
        lambda profile, truth, honest: (
            misreport for bidder in range(grid.bidders) for misreport in grid.misreports(profile, bidder)
        ),
        compared(played, prop),
    )


def _finding(
    prop: Property, mechanism: DirectMechanism, grid: Grid, found: SweepResult, seconds: float, how: str
) -> Finding:
    witness = confirmed(prop, mechanism, found)
    status = Status.VERIFIED if witness is None else Status.REFUTED
    note = "; ".join(part for part in (found.note, "" if witness else how) if part)
    return Finding(prop, status, grid, found.cases, seconds, found.worst, witness, note)


def confirmed(
    prop: Property, mechanism: DirectMechanism, found: SweepResult, ties: str = "first"
) -> Counterexample | None:
    """The counterexample of what a sweep found, computed from scratch; None where it found nothing.

    Raises:
        AuditError: it does not come out again.
    """
    if found.worst == 0:
        return None
    if found.truth is None:
        raise AuditError(f"{prop.name} found a violation of {found.worst} without the market where it happens")
    witness = Counterexample.of(prop, mechanism, found.truth, found.deviation, ties)
    if witness is None or witness.amount != found.worst:
        if isinstance(prop, BatchProperty):
            raise AuditError(f"{prop.name}: amounts finds {found.worst}, check finds otherwise, on {found.truth}")
        raise unstable(mechanism, found.truth)
    return witness
