"""Agents as players: truthfulness in costs and capacities, rationality; and truthfulness up to some micro-units.

An agent that overstates its capacity may be sent more than it can serve. It cannot deliver then, so no such misreport
counts as a gain; one that is not called upon for more than it has does count. Understating, or withholding, always
does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocation import Market
from mechanisms import Outcome
from proofs.claims.property import Truthful, Violation
from proofs.errors import AuditError
from proofs.grids.exhaustive import worst_misreport
from proofs.grids.sweep import GridOutcomes, SweepResult
from proofs.misreports.coalition import AgentMisreport
from proofs.misreports.misreport import Deviation, Misreport, tempting_misreports
from proofs.scopes.checks import at_least
from proofs.scopes.grid import Grid

_LIARS = 3


@dataclass(frozen=True, slots=True)
class TruthfulAgents:
    """No agent gains by reporting anything but its true costs and capacity, whatever the others report."""

    name: ClassVar[str] = "truthful-agents"

    def compare(
        self, truth: Market, misreport: AgentMisreport, honest: Outcome, deviating: Outcome
    ) -> Violation | None:
        """The deviator's gain in true utility, where there is one and it can deliver."""
        gain = agent_gain(truth, misreport, honest, deviating)
        if gain is None or gain <= 0:
            return None
        costs, room = truth.costs[:, misreport.agent].tolist(), int(truth.capacities[misreport.agent])
        return Violation(gain, f"{misreport} instead of {costs} and {room}, and gains {gain}")

    def sweep(self, played: GridOutcomes) -> SweepResult:
        """Every menu of every agent.

        Raises:
            AuditError: costs and capacities are public on this grid.
        """
        return worst_misreport(played, agents_of(played.grid, self.name))

    def attempts(
        self, rng: np.random.Generator, truth: Market, bounds: Sequence[tuple[int, int]]
    ) -> Iterator[Deviation]:
        """Other costs and capacities for a few of the agents."""
        for agent in rng.permutation(truth.shape[1])[:_LIARS].tolist():
            yield from tempting_agent_misreports(rng, truth, agent, bounds[1], bounds[2])


@dataclass(frozen=True, slots=True)
class TruthfulBoth:
    """No bidder and no agent gains by a misreport: `Truthful` and `TruthfulAgents` at once."""

    name: ClassVar[str] = "truthful-both"

    def compare(
        self, truth: Market, misreport: Misreport | AgentMisreport, honest: Outcome, deviating: Outcome
    ) -> Violation | None:
        """The deviator's gain, on whichever side he stands."""
        if isinstance(misreport, Misreport):
            return Truthful().compare(truth, misreport, honest, deviating)
        return TruthfulAgents().compare(truth, misreport, honest, deviating)

    def sweep(self, played: GridOutcomes) -> SweepResult:
        """Every menu of every player.

        Raises:
            AuditError: costs and capacities are public on this grid.
        """
        return worst_misreport(played, [*range(played.grid.bidders), *agents_of(played.grid, self.name)])

    def attempts(
        self, rng: np.random.Generator, truth: Market, bounds: Sequence[tuple[int, int]]
    ) -> Iterator[Deviation]:
        """Lies of a few bidders, then of a few agents."""
        for deviator in rng.permutation(len(truth.players))[:_LIARS].tolist():
            yield from tempting_misreports(rng, truth, truth.players[deviator], *bounds[0])
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
    """No bidder gains more than `ticks` micro-units by a misreport; the finding's note has the scope's worst regret.

    Raises:
        AuditError: `ticks` is negative.
    """

    ticks: int = 0
    name: ClassVar[str] = "epsilon-truthful"

    def __post_init__(self) -> None:
        at_least(0, self.ticks, "ticks")

    def compare(self, truth: Market, misreport: Misreport, honest: Outcome, deviating: Outcome) -> Violation | None:
        """The deviator's whole gain, where it exceeds `ticks`."""
        found = Truthful().compare(truth, misreport, honest, deviating)
        if found is None or found.amount <= self.ticks:
            return None
        return Violation(found.amount, f"{found.text}, more than {self.ticks}")

    def sweep(self, played: GridOutcomes) -> SweepResult:
        """Every menu of every bidder."""
        found = worst_misreport(played, range(played.grid.bidders))
        note = "; ".join(part for part in (f"worst regret on the scope: {found.worst}", found.note) if part)
        if found.worst <= self.ticks:
            return SweepResult(found.cases, note=note)
        return SweepResult(found.cases, found.worst, found.truth, found.deviation, note)


def agent_gain(truth: Market, misreport: AgentMisreport, honest: Outcome, deviating: Outcome) -> int | None:
    """What the agent gains in true utility, perhaps nothing; None where it is sent more than it can serve."""
    if int((deviating.allocation.agents == misreport.agent).sum()) > truth.capacities[misreport.agent]:
        return None
    return int(deviating.agent_utilities(truth)[misreport.agent] - honest.agent_utilities(truth)[misreport.agent])


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


def tempting_agent_misreports(
    rng: np.random.Generator, truth: Market, agent: int, costs: tuple[int, int], capacities: tuple[int, int]
) -> Iterator[AgentMisreport]:
    """Costs scaled, shifted past a rival's, or random; a slot more or less; both at once. All within the bounds."""
    true, room = truth.costs[:, agent], int(truth.capacities[agent])
    rival = truth.costs[:, int(rng.integers(truth.shape[1]))]
    rows = [true, true + 1, true - 1, true // 2, 2 * true, rival - 1, rival + 1, np.full_like(true, costs[1])]
    rows.append(np.full_like(true, int(rng.integers(*costs, endpoint=True))))
    for row in rows:
        said = tuple(np.clip(row, *costs).tolist())
        for slots in dict.fromkeys((room, room - 1, room + 1, 0)):
            if capacities[0] <= slots <= capacities[1] and (said, slots) != (tuple(true.tolist()), room):
                yield AgentMisreport(agent, said, slots)
