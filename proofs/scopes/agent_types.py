"""`AgentTypes`: what the agents of a grid may privately be; costs and capacities as their types."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from allocation.money import Money
from proofs.misreports.coalition import AgentMisreport


@dataclass(frozen=True, eq=False)
class AgentTypes:
    """Types of one agent: every cost row that `ticks` allow with every capacity; capacity moves fastest.

    Args:
        costs: (N,) public costs of each request, where `ticks` is None.
        capacity: public, where `capacities` is None.
        ticks: the integers, in micro-units, that a private cost may be.
        capacities: the integers that a private capacity may be.
        per_pair: whether each request may cost something else; otherwise one cost for all requests.
    """

    costs: tuple[int, ...]
    capacity: int
    ticks: Sequence[int] | None = None
    capacities: Sequence[int] | None = None
    per_pair: bool = False

    @cached_property
    def _ladder(self) -> Money:
        """(C, N) every cost row."""
        if self.ticks is None:
            return np.array([self.costs], np.int64).reshape(1, -1)
        ticks, n = np.array(self.ticks, np.int64), len(self.costs)
        if not self.per_pair:
            return np.repeat(ticks[:, None], n, axis=1)
        digits = np.arange(ticks.size**n)[:, None] // ticks.size ** np.arange(n)[::-1] % ticks.size
        rows: Money = ticks[digits]
        return rows

    @cached_property
    def _rooms(self) -> NDArray[np.int64]:
        """Every capacity."""
        return np.array((self.capacity,) if self.capacities is None else self.capacities, np.int64)

    @property
    def size(self) -> int:
        """Number of types, counted without listing them."""
        ladder = 1 if self.ticks is None else len(self.ticks) ** (len(self.costs) if self.per_pair else 1)
        return ladder * (1 if self.capacities is None else len(self.capacities))

    @cached_property
    def rows(self) -> Money:
        """(T, N) costs of each type."""
        return np.repeat(self._ladder, self._rooms.size, axis=0)

    @cached_property
    def room(self) -> NDArray[np.int64]:
        """(T,) capacity of each type."""
        return np.tile(self._rooms, len(self._ladder))

    def misreport(self, agent: int, index: int) -> AgentMisreport:
        """The report of one type."""
        return AgentMisreport(agent, tuple(self.rows[index].tolist()), int(self.room[index]))
