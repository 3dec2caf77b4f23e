"""Many profiles of a grid at once, as arrays: what the batch path of a mechanism is asked."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from allocation import Market
from allocation.money import Money
from proofs.scopes.grid import Grid


def values_of(grid: Grid, profiles: NDArray[np.int64]) -> Money:
    """(P, N, M) the values of these profiles, as `Grid.market` has them one by one."""
    values = np.empty((profiles.size, *grid.template.shape), np.int64)
    behind = grid.profiles
    for bidder in range(grid.bidders):
        behind //= grid.sizes[bidder]
        values[:, grid.template.requests_of(bidder)] = grid.types(bidder)[profiles // behind % grid.sizes[bidder]]
    return values


def alike(grid: Grid, start: int, stop: int) -> Iterator[tuple[NDArray[np.int64], Market]]:
    """Profiles of the range that differ in values alone, with a market that has their costs and capacities."""
    profiles = np.arange(start, stop)
    terms = math.prod(grid.sizes[grid.bidders :])
    for first in range(min(terms, profiles.size)):
        same = profiles[first::terms]
        yield same, grid.market(start + first) if grid.agent_types else grid.template


def by_own(column: NDArray[np.int64], grid: Grid, player: int) -> NDArray[np.int64]:
    """(P,) per profile as (Q, T): one row per report of the others, one column per type of the player."""
    size = grid.sizes[player]
    later = math.prod(grid.sizes[player + 1 :])
    return column.reshape(-1, size, later).swapaxes(1, 2).reshape(-1, size)


def profile_of(grid: Grid, player: int, others: int, own: int) -> int:
    """The profile in row `others`, column `own` of `by_own`."""
    later = math.prod(grid.sizes[player + 1 :])
    before, after = divmod(others, later)
    return (before * grid.sizes[player] + own) * later + after
