"""Deviations by false reports beyond one bidder's lie: an agent's, a coalition's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allocation import Market
from proofs.errors import AuditError
from proofs.lies import Deviation, Lie


@dataclass(frozen=True, slots=True)
class AgentLie:
    """What `agent` reports in place of the truth: `costs` (N,) of the requests, in ticks, and its `capacity`."""

    agent: int
    costs: tuple[int, ...]
    capacity: int

    @property
    def size(self) -> int:
        """One report."""
        return 1

    @property
    def numbers(self) -> tuple[int, ...]:
        """The costs, then the capacity."""
        return (*self.costs, self.capacity)

    def applied(self, truth: Market) -> Market:
        """The market that the mechanism sees: every other report is the truth.

        Raises:
            AuditError: there is no such agent, a cost too few or too many, or a negative capacity.
        """
        n, m = truth.shape
        if not 0 <= self.agent < m or len(self.costs) != n or self.capacity < 0:
            raise AuditError(
                f"agent {self.agent} lies with {len(self.costs)} costs and capacity {self.capacity}; agents here are "
                f"0..{m - 1}, requests {n}, and a capacity is >= 0"
            )
        costs, capacities = truth.costs.copy(), truth.capacities.copy()
        costs[:, self.agent] = self.costs
        capacities[self.agent] = self.capacity
        return truth.replace(costs=costs, capacities=capacities)

    def renumbered(self, numbers: Sequence[int]) -> "AgentLie":
        """The same agent with other costs and another capacity."""
        return AgentLie(self.agent, tuple(numbers[:-1]), numbers[-1])

    def restricted(self, truth: Market, kept: NDArray[np.intp], labels: Mapping[int, int]) -> "AgentLie":
        """The costs of the requests that are kept."""
        return AgentLie(self.agent, tuple(self.costs[request] for request in kept.tolist()), self.capacity)

    def without_agent(self, agent: int) -> "AgentLie | None":
        """None where the liar goes; otherwise its new index."""
        return None if agent == self.agent else AgentLie(_moved(self.agent, agent), self.costs, self.capacity)

    def parts(self) -> Iterator[Deviation]:
        """None: one report is as few as there are."""
        yield from ()

    def __str__(self) -> str:
        return f"agent {self.agent} reports costs {list(self.costs)} and capacity {self.capacity}"


@dataclass(frozen=True, slots=True)
class Coalition:
    """Several players who lie together, each at most once; at least one `Lie` or `AgentLie`."""

    lies: tuple[Lie | AgentLie, ...]

    @property
    def size(self) -> int:
        """One report per member."""
        return len(self.lies)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The members' numbers, one member after the other."""
        return tuple(number for lie in self.lies for number in lie.numbers)

    def applied(self, truth: Market) -> Market:
        """The market that the mechanism sees: outsiders report the truth.

        Raises:
            AuditError: there are no members, one appears twice, or a lie does not fit.
        """
        seats = [(type(lie).__name__, lie.bidder if isinstance(lie, Lie) else lie.agent) for lie in self.lies]
        if not seats or len(set(seats)) < len(seats):
            raise AuditError(f"a coalition of {seats}; it needs members, each once")
        for lie in self.lies:
            truth = lie.applied(truth)
        return truth

    def renumbered(self, numbers: Sequence[int]) -> "Coalition":
        """The same members with other reports."""
        rest = list(numbers)
        lies = []
        for lie in self.lies:
            lies.append(lie.renumbered(rest[: len(lie.numbers)]))
            rest = rest[len(lie.numbers) :]
        return Coalition(tuple(lies))

    def restricted(self, truth: Market, kept: NDArray[np.intp], labels: Mapping[int, int]) -> "Coalition | None":
        """The members that are left."""
        return _coalition(lie.restricted(truth, kept, labels) for lie in self.lies)

    def without_agent(self, agent: int) -> "Coalition | None":
        """The members that are left."""
        return _coalition(lie.without_agent(agent) for lie in self.lies)

    def parts(self) -> Iterator[Deviation]:
        """The coalition without each of its members in turn."""
        if len(self.lies) > 1:
            for index in range(len(self.lies)):
                yield Coalition(self.lies[:index] + self.lies[index + 1 :])

    def __str__(self) -> str:
        return " and ".join(map(str, self.lies))


def _coalition(lies: Iterator[Lie | AgentLie | None]) -> Coalition | None:
    left = tuple(lie for lie in lies if lie is not None)
    return Coalition(left) if left else None


def _moved(agent: int, gone: int) -> int:
    return agent - (agent > gone)
