"""Many profiles of a grid at once, as arrays: what the batch path of a mechanism is asked."""

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from allocation import Market
from allocation.money import Money
from proofs.scopes.grid import Grid

T = TypeVar("T", bound=np.generic)


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


def by_players(column: NDArray[T], grid: Grid, players: Sequence[int]) -> NDArray[T]:
    """(P,) per profile as (Q, J): one row per report of the others, one column per joint type of the players."""
    # Axes of length 1 say nothing, and there may be more of them than an array has axes.
    others = [player for player, size in enumerate(grid.sizes) if size > 1 and player not in players]
    kept = sorted((*others, *players))
    cube = column.reshape([grid.sizes[player] for player in kept])
    columns = math.prod(grid.sizes[player] for player in players)
    return cube.transpose([kept.index(player) for player in (*others, *players)]).reshape(-1, columns)


def exchanged(column: NDArray[T], grid: Grid, first: int) -> NDArray[T]:
    """(P,) per profile, read where the player `first` and the next, with equally many types, change places."""
    cube = column.reshape(math.prod(grid.sizes[:first]), grid.sizes[first], grid.sizes[first + 1], -1)
    return cube.swapaxes(1, 2).reshape(-1)
