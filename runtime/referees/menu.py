"""The prices that a bidder faced: what each place would have cost them, whatever they had stated.

With VCG a bidder with one request chooses, in effect, from a menu that the others' reports alone have written (the
taxation principle: Hammond 1979, Guesnerie 1981): place c costs its cost and fee, and what the others would lose by one
place less there. Their allocation is what is worth most to them at these prices, their charge its price.
"""

from dataclasses import dataclass

import numpy as np

from allocation import UNSERVED, MinCostFlow
from runtime.rounds.kept import RoundMade


@dataclass(frozen=True, slots=True)
class Line:
    """A place in an agent's line, counted from 0: what it is worth by the bidder's own report, what it costs them."""

    agent: str
    place: int
    value: int
    price: int


@dataclass(frozen=True, slots=True)
class Menu:
    """All places that could have served a request; `chosen` is the index of the one that it got, None if none."""

    lines: tuple[Line, ...]
    chosen: int | None

    @property
    def best(self) -> int:
        """The most that anything on the menu leaves the bidder, in micro-units; nothing at all leaves 0."""
        return max([0, *(line.value - line.price for line in self.lines)])


def menu(made: RoundMade, i: int) -> Menu | None:
    """The menu of request `i` of a VCG round over an exact allocator; None where it had none of its own.

    It has none without an auction, and where its bidder had other requests in the round: those were one player, who
    chose from bundles.
    """
    outcome, basis = made.decision.outcome, made.decision.basis
    bidder = made.offers[i].request.bidder
    if outcome is None or sum(offer.request.bidder == bidder for offer in made.offers) > 1:
        return None
    market = outcome.reported
    columns = np.arange(market.shape[1]) if basis is None else basis.columns
    asked = market.costs if basis is None or basis.fees is None else market.costs + basis.fees[:, columns]
    solve = MinCostFlow()
    rest = market.replace(costs=asked).requests(np.flatnonzero(np.arange(market.shape[0]) != i))
    alone = rest.welfare(solve.allocate(rest))
    able = market.capacities > 0
    if market.feasible is not None:
        able = able & market.feasible[i]
    lines: list[Line] = []
    chosen, column = None, int(outcome.allocation.agents[i])
    for c in map(int, np.flatnonzero(able)):
        less = market.capacities.copy()
        less[c] -= 1
        short = rest.replace(capacities=less)
        displaced = alone - short.welfare(solve.allocate(short))
        if c == column != UNSERVED:
            chosen = len(lines)
        place = int((columns[:c] == columns[c]).sum())
        name = made.fleet.agents[columns[c]].name
        lines.append(Line(name, place, int(market.values[i, c]), int(asked[i, c]) + displaced))
    return Menu(tuple(lines), chosen)
