"""Deviations by false reports beyond one bidder's misreport: an agent's, a coalition's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allocation import Market
from proofs.errors import AuditError
from proofs.misreports.misreport import Deviation, Misreport


@dataclass(frozen=True, slots=True)
class AgentMisreport(Deviation):
    """What `agent` reports in place of the truth: `costs` (N,) of the requests, in micro-units, and its `capacity`."""

    agent: int
    costs: tuple[int, ...]
    capacity: int

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
                f"agent {self.agent} misreports with {len(self.costs)} costs and capacity {self.capacity}; "
                f"agents here are 0..{m - 1}, requests {n}, and a capacity is >= 0"
            )
        costs, capacities = truth.costs.copy(), truth.capacities.copy()
        costs[:, self.agent] = self.costs
        capacities[self.agent] = self.capacity
        return truth.replace(costs=costs, capacities=capacities)

    def renumbered(self, numbers: Sequence[int]) -> "AgentMisreport":
        """The same agent with other costs and another capacity."""
        return AgentMisreport(self.agent, tuple(numbers[:-1]), numbers[-1])

    def restricted(self, truth: Market, kept: NDArray[np.intp], labels: Mapping[int, int]) -> "AgentMisreport":
        """The costs of the requests that are kept."""
        return AgentMisreport(self.agent, tuple(self.costs[request] for request in kept.tolist()), self.capacity)

    def without_agent(self, agent: int) -> "AgentMisreport | None":
        """None where the deviator goes; otherwise its new index."""
        return None if agent == self.agent else AgentMisreport(_moved(self.agent, agent), self.costs, self.capacity)

    def instead_of(self, truth: Market) -> str:
        """What is true, in words."""
        return f"{truth.costs[:, self.agent].tolist()} and {truth.capacities[self.agent]}"

    def __str__(self) -> str:
        return f"agent {self.agent} reports costs {list(self.costs)} and capacity {self.capacity}"


@dataclass(frozen=True, slots=True)
class Coalition(Deviation):
    """Several players who misreport together, each at most once; at least one `Misreport` or `AgentMisreport`."""

    misreports: tuple[Misreport | AgentMisreport, ...]

    @property
    def size(self) -> int:
        """One report per member."""
        return len(self.misreports)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The members' numbers, one member after the other."""
        return tuple(number for misreport in self.misreports for number in misreport.numbers)

    def applied(self, truth: Market) -> Market:
        """The market that the mechanism sees: outsiders report the truth.

        Raises:
            AuditError: there are no members, one appears twice, or a misreport does not fit.
        """
        seats = [
            (type(misreport).__name__, misreport.bidder if isinstance(misreport, Misreport) else misreport.agent)
            for misreport in self.misreports
        ]
        if not seats or len(set(seats)) < len(seats):
            raise AuditError(f"a coalition of {seats}; it needs members, each once")
        for misreport in self.misreports:
            truth = misreport.applied(truth)
        return truth

    def renumbered(self, numbers: Sequence[int]) -> "Coalition":
        """The same members with other reports."""
        rest = list(numbers)
        misreports = []
        for misreport in self.misreports:
            misreports.append(misreport.renumbered(rest[: len(misreport.numbers)]))
            rest = rest[len(misreport.numbers) :]
        return Coalition(tuple(misreports))

    def restricted(self, truth: Market, kept: NDArray[np.intp], labels: Mapping[int, int]) -> "Coalition | None":
        """The members that are left."""
        return _coalition(misreport.restricted(truth, kept, labels) for misreport in self.misreports)

    def without_agent(self, agent: int) -> "Coalition | None":
        """The members that are left."""
        return _coalition(misreport.without_agent(agent) for misreport in self.misreports)

    def parts(self) -> Iterator[Deviation]:
        """The coalition without each of its members in turn."""
        if len(self.misreports) > 1:
            for index in range(len(self.misreports)):
                yield Coalition(self.misreports[:index] + self.misreports[index + 1 :])

    def __str__(self) -> str:
        return " and ".join(map(str, self.misreports))


def tempting_agent_misreports(
    rng: np.random.Generator, truth: Market, agent: int, costs: tuple[int, int], capacities: tuple[int, int]
) -> Iterator[AgentMisreport]:
    """Costs scaled, shifted past a rival's, or random; capacity one more or less; or both. All within the bounds."""
    true, room = truth.costs[:, agent], int(truth.capacities[agent])
    rival = truth.costs[:, int(rng.integers(truth.shape[1]))]
    rows = [true, true + 1, true - 1, true // 2, 2 * true, rival - 1, rival + 1, np.full_like(true, costs[1])]
    rows.append(np.full_like(true, int(rng.integers(*costs, endpoint=True))))
    for row in rows:
        said = tuple(np.clip(row, *costs).tolist())
        for load in dict.fromkeys((room, room - 1, room + 1, 0)):
            if capacities[0] <= load <= capacities[1] and (said, load) != (tuple(true.tolist()), room):
                yield AgentMisreport(agent, said, load)


def _coalition(misreports: Iterator[Misreport | AgentMisreport | None]) -> Coalition | None:
    left = tuple(misreport for misreport in misreports if misreport is not None)
    return Coalition(left) if left else None


def _moved(agent: int, gone: int) -> int:
    return agent - (agent > gone)
