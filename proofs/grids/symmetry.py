"""Which bidders are interchangeable on a grid, so that one of them may stand for the others.

Checked on every profile of that very grid, by exchanging neighbours, which generates every permutation. What must be
exchanged along with two bidders is what each GETS and PAYS. That their utilities under honesty are exchanged is not
enough: a type that is indifferent between two bundles may get one in the first seat and the other in the second, and a
deviator who reports this type is not indifferent.
"""

from itertools import pairwise

import numpy as np

from allocation import Market
from proofs.grids.sweep import PlayerOutcomes
from proofs.grids.table import Table
from proofs.scopes.grid import Grid
from proofs.scopes.profiles import exchanged


def orbits(table: Table, grid: Grid) -> tuple[tuple[int, ...], ...]:
    """Runs of neighbouring bidders who are interchangeable, each of at least two; nothing where agents are players."""
    if grid.agent_types:
        return ()
    seats = [PlayerOutcomes.of(table, grid, bidder) for bidder in range(grid.bidders)]
    runs = [[0]]
    for first, second in pairwise(range(grid.bidders)):
        if _same_terms(grid.template, first, second) and _exchanged(seats, grid, first):
            runs[-1].append(second)
        else:
            runs.append([second])
    return tuple(tuple(run) for run in runs if len(run) > 1)


def stands(coalition: tuple[int, ...], classes: tuple[tuple[int, ...], ...]) -> bool:
    """Whether the coalition stands for all that are like it: it has the first members of each class."""
    return all(
        set(members) & set(coalition) == set(members[: len(set(members) & set(coalition))]) for members in classes
    )


def describe_symmetry(classes: tuple[tuple[int, ...], ...], grid: Grid) -> str:
    """What a finding says of the reduction."""
    if not classes:
        return "no two bidders are interchangeable on this scope, and all were examined"
    named = " and ".join(f"bidders {', '.join(map(str, members))}" for members in classes)
    return (
        f"{named} are interchangeable: neighbours who exchange reports exchange what they get and pay on all "
        f"{grid.profiles:,} profiles, so the first stands for the others"
    )


def _same_terms(template: Market, first: int, second: int) -> bool:
    one, two = template.requests_of(first), template.requests_of(second)
    return bool(
        one.size == two.size
        and (template.costs[one] == template.costs[two]).all()
        and (template.weights[one] == template.weights[two]).all()
    )


def _exchanged(seats: list[PlayerOutcomes], grid: Grid, first: int) -> bool:
    """Whether exchanging the reports of `first` and the next bidder exchanges their seats, and changes no other."""
    after = list(range(grid.bidders))
    after[first], after[first + 1] = first + 1, first
    for bidder, place in enumerate(after):
        here, there = seats[bidder], seats[place]
        if not np.array_equal(here.values, there.values):
            return False
        for mine, theirs in ((here.options, there.options), (here.payments, there.payments)):
            if not np.array_equal(exchanged(mine, grid, first), theirs):
                return False
    return True
