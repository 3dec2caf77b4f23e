"""Agents as players: truthfulness in costs and capacities, rationality of agents; and truthfulness up to some ticks.

An agent that overstates its capacity may be sent more than it can serve. It cannot deliver then, so no such lie counts
as a gain; one that is not called upon for more than it has does count. Understating, or withholding, always does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocation import Market
from mechanisms import Outcome
from proofs._checks import at_least
from proofs.deviations import AgentLie
from proofs.errors import AuditError
from proofs.lies import Deviation, Lie, misreports
from proofs.menu import worst_lie
from proofs.played import Played, Sweep
from proofs.properties import Truthful, Violation
from proofs.scope import Grid

_LIARS = 3


@dataclass(frozen=True, slots=True)
class TruthfulAgents:
    """No agent gains by reporting anything but its true costs and capacity, whatever the others report."""

    name: ClassVar[str] = "truthful-agents"

    def compare(self, truth: Market, lie: AgentLie, honest: Outcome, lying: Outcome) -> Violation | None:
        """The liar's gain in true utility, where there is one and it can deliver."""
        gain = agent_gain(truth, lie, honest, lying)
        if gain is None or gain <= 0:
            return None
        costs, room = truth.costs[:, lie.agent].tolist(), int(truth.capacities[lie.agent])
        return Violation(gain, f"{lie} instead of {costs} and {room}, and gains {gain}")

    def sweep(self, played: Played) -> Sweep:
        """Every menu of every agent.

        Raises:
            AuditError: costs and capacities are public on this grid.
        """
        return worst_lie(played, agents_of(played.grid, self.name))

    def attempts(
        self, rng: np.random.Generator, truth: Market, bounds: Sequence[tuple[int, int]]
    ) -> Iterator[Deviation]:
        """Other costs and capacities for a few of the agents."""
        for agent in rng.permutation(truth.shape[1])[:_LIARS].tolist():
            yield from agent_misreports(rng, truth, agent, bounds[1], bounds[2])


@dataclass(frozen=True, slots=True)
class TruthfulBoth:
    """No bidder and no agent gains by a lie: `Truthful` and `TruthfulAgents` at once."""

    name: ClassVar[str] = "truthful-both"

    def compare(self, truth: Market, lie: Lie | AgentLie, honest: Outcome, lying: Outcome) -> Violation | None:
        """The liar's gain, on whichever side he stands."""
        if isinstance(lie, Lie):
            return Truthful().compare(truth, lie, honest, lying)
        return TruthfulAgents().compare(truth, lie, honest, lying)

    def sweep(self, played: Played) -> Sweep:
        """Every menu of every player.

        Raises:
            AuditError: costs and capacities are public on this grid.
        """
        return worst_lie(played, [*range(played.grid.bidders), *agents_of(played.grid, self.name)])

    def attempts(
        self, rng: np.random.Generator, truth: Market, bounds: Sequence[tuple[int, int]]
    ) -> Iterator[Deviation]:
        """Lies of a few bidders, then of a few agents."""
        for liar in rng.permutation(len(truth.players))[:_LIARS].tolist():
            yield from misreports(rng, truth, truth.players[liar], *bounds[0])
        yield from TruthfulAgents().attempts(rng, truth, bounds)


@dataclass(frozen=True, slots=True)
class AgentsRational:
    """No agent that tells the truth ends below zero: receipts cover the true cost of what it serves (ex post)."""

    name: ClassVar[str] = "agents-rational"

    def check(self, outcome: Outcome, truth: Market) -> Violation | None:
        """The greatest loss of a truthful agent; ties to the first."""
        utilities = outcome.agent_utilities(truth)
        agent = int(utilities.argmin())
        loss = -int(utilities[agent])
        return Violation(loss, f"agent {agent} tells the truth and loses {loss}") if loss > 0 else None


@dataclass(frozen=True, slots=True)
class EpsilonTruthful:
    """No bidder gains more than `ticks` by a lie; the finding's note gives the worst regret of the scope.

    Raises:
        AuditError: `ticks` is negative.
    """

    ticks: int = 0
    name: ClassVar[str] = "epsilon-truthful"

    def __post_init__(self) -> None:
        at_least(0, self.ticks, "ticks")

    def compare(self, truth: Market, lie: Lie, honest: Outcome, lying: Outcome) -> Violation | None:
        """The liar's whole gain, where it exceeds the ticks."""
        found = Truthful().compare(truth, lie, honest, lying)
        if found is None or found.amount <= self.ticks:
            return None
        return Violation(found.amount, f"{found.text}, more than {self.ticks}")

    def sweep(self, played: Played) -> Sweep:
        """Every menu of every bidder."""
        found = worst_lie(played, range(played.grid.bidders))
        note = "; ".join(part for part in (f"worst regret on the scope: {found.worst}", found.note) if part)
        if found.worst <= self.ticks:
            return Sweep(found.cases, note=note)
        return Sweep(found.cases, found.worst, found.truth, found.deviation, note)


def agent_gain(truth: Market, lie: AgentLie, honest: Outcome, lying: Outcome) -> int | None:
    """What the agent gains in true utility, perhaps nothing; None where it is sent more than it can serve."""
    if int((lying.allocation.agents == lie.agent).sum()) > truth.capacities[lie.agent]:
        return None
    return int(lying.agent_utilities(truth)[lie.agent] - honest.agent_utilities(truth)[lie.agent])


def agents_of(grid: Grid, name: str) -> range:
    """The agents of a grid as players.

    Raises:
        AuditError: costs and capacities are public there.
    """
    if not grid.agent_types:
        raise AuditError(
            f"{name}: costs and capacities are public on {grid}; give private_costs=range(3), or private_capacities"
        )
    return range(grid.bidders, len(grid.sizes))


def agent_misreports(
    rng: np.random.Generator, truth: Market, agent: int, costs: tuple[int, int], capacities: tuple[int, int]
) -> Iterator[AgentLie]:
    """Costs scaled, shifted past a rival's, or random; a slot more or less; both at once. All within the bounds."""
    true, room = truth.costs[:, agent], int(truth.capacities[agent])
    rival = truth.costs[:, int(rng.integers(truth.shape[1]))]
    rows = [true, true + 1, true - 1, true // 2, 2 * true, rival - 1, rival + 1, np.full_like(true, costs[1])]
    rows.append(np.full_like(true, int(rng.integers(*costs, endpoint=True))))
    for row in rows:
        said = tuple(np.clip(row, *costs).tolist())
        for slots in dict.fromkeys((room, room - 1, room + 1, 0)):
            if capacities[0] <= slots <= capacities[1] and (said, slots) != (tuple(true.tolist()), room):
                yield AgentLie(agent, said, slots)
