"""`Exhaustive`: every property over a whole grid; truthfulness by menus instead of pairs.

Taxation principle (Hammond 1979; Guesnerie 1981): fix what the others report. Then a bidder's reports merely pick from
a menu, which holds each option (agents for his requests) at a price. If one option is to be had at two prices, the
cheaper one is what a liar takes. So truth-telling is a dominant strategy exactly if every true type already gets its
favourite from the menu of cheapest prices. That replaces |T| ** 2 pairs of reports by |T| * options comparisons, and
assumes nothing of the mechanism.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from allocation.money import Money
from mechanisms import DirectMechanism
from proofs.counterexample import Counterexample
from proofs.engine import Progress
from proofs.errors import AuditError
from proofs.finding import Finding, Status
from proofs.lies import Lie
from proofs.properties import OutcomeProperty, Property, Truthful
from proofs.scope import Grid, Scope
from proofs.table import Table, tabulate, unstable

#: Price of an option that no report buys.
_NEVER = 2**62


def regrets(options: NDArray[np.intp], payments: Money, worth: Money) -> Money:
    """(Q, T) what each true type would gain from its best lie, in ticks, >= 0.

    Args:
        options: (Q, T) option that report t buys when the others report q.
        payments: (Q, T) what it pays there.
        worth: (T, O) what each option is worth to each true type.
    """
    honest = worth[np.arange(worth.shape[0]), options] - payments
    best = honest.copy()
    for option in range(worth.shape[1]):
        price = np.where(options == option, payments, _NEVER).min(axis=1)
        offered = price < _NEVER
        best[offered] = np.maximum(best[offered], worth[:, option] - price[offered, None])
    return best - honest


@dataclass(frozen=True, slots=True)
class Menu:
    """All menus of one bidder: `options`, `payments`, `worth` as in `regrets`, and the `profiles` (Q, T) behind."""

    bidder: int
    options: NDArray[np.intp]
    payments: Money
    worth: Money
    profiles: Money

    @classmethod
    def of(cls, table: Table, grid: Grid, bidder: int) -> "Menu":
        """The bidder's menus in a table."""
        mine = grid.template.requests_of(bidder)
        bundles, options = np.unique(table.agents[:, mine], axis=0, return_inverse=True)
        types = grid.types(bidder)
        # One column of zeros at the end, where UNSERVED = -1 finds it.
        values = np.concatenate([types, np.zeros((*types.shape[:2], 1), np.int64)], axis=2)
        worth = values[:, np.arange(mine.size), bundles].sum(axis=2)

        size, later = grid.sizes[bidder], math.prod(grid.sizes[bidder + 1 :])

        def by_others(column: Money) -> Money:
            return column.reshape(-1, size, later).swapaxes(1, 2).reshape(-1, size)

        return cls(
            bidder,
            by_others(options.reshape(-1)),
            by_others(table.charges[:, mine].sum(axis=1)),
            worth,
            by_others(np.arange(grid.profiles)),
        )

    def worst(self) -> tuple[int, int, int]:
        """(gain, profile, report): the largest gain, its first profile, and the first type whose report earns it."""
        gains = regrets(self.options, self.payments, self.worth)
        others, true = np.unravel_index(int(gains.argmax()), gains.shape)
        earned = self.worth[true, self.options[others]] - self.payments[others]
        return int(gains[others, true]), int(self.profiles[others, true]), int(earned.argmax())


@dataclass(frozen=True, slots=True)
class Exhaustive:
    """The engine of `Grid`: one run per profile, then arrays. Sound and complete there for any deterministic mechanism.

    Args:
        reruns: how many profiles are asked twice, to catch mechanisms that are not deterministic.
    """

    reruns: int = 16

    def accepts(self, prop: Property, scope: Scope) -> bool:
        """Truthfulness and all properties of outcomes, over grids."""
        return isinstance(scope, Grid) and isinstance(prop, Truthful | OutcomeProperty)

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
        watched = [prop for prop in properties if isinstance(prop, OutcomeProperty)]
        table = tabulate(mechanism, scope, watched, progress, self.reruns)
        swept = perf_counter() - started
        worst = iter(table.worst)
        findings = []
        for prop in properties:
            if isinstance(prop, OutcomeProperty):
                amount, witness = next(worst)
                findings.append(_finding(prop, scope, scope.profiles, swept, amount, witness))
            else:
                amount, witness = _worst_lie(prop, mechanism, scope, table)
                seconds = perf_counter() - started
                findings.append(_finding(prop, scope, scope.pairs, seconds, amount, witness))
        return findings


def _worst_lie(
    prop: Property, mechanism: DirectMechanism, grid: Grid, table: Table
) -> tuple[int, Counterexample | None]:
    ranked = [(menu.worst(), menu.bidder) for menu in (Menu.of(table, grid, bidder) for bidder in range(grid.bidders))]
    (gain, profile, report), bidder = max(ranked, key=lambda entry: entry[0][0])
    if gain == 0:
        return 0, None
    truth = grid.market(profile)
    witness = Counterexample.of(prop, mechanism, truth, Lie.of(bidder, grid.types(bidder)[report]))
    if witness is None or witness.amount != gain:
        raise unstable(mechanism, truth)
    return gain, witness


def _finding(
    prop: Property, grid: Grid, cases: int, seconds: float, worst: int, witness: Counterexample | None
) -> Finding:
    status = Status.VERIFIED if witness is None else Status.REFUTED
    return Finding(prop, status, grid, cases, seconds, worst, witness)
