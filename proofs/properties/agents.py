"""Agents as players: truthfulness in costs and capacities, rationality; and truthfulness up to some micro-units.

An agent that overstates its capacity may be sent more than it can serve. It cannot deliver then, so no such misreport
counts as a gain; one that is not called upon for more than it has does count. Understating, or withholding, always
does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from allocation import Market
from mechanisms import Outcome
from proofs.claims.property import Players, Truthful, Violation, gain_of
from proofs.misreports.coalition import AgentMisreport
from proofs.misreports.misreport import Misreport
from proofs.scopes.checks import at_least


@dataclass(frozen=True, slots=True)
class TruthfulAgents:
    """No agent gains by reporting anything but its true costs and capacity, whatever the others report."""

    name: ClassVar[str] = "truthful-agents"
    slack: ClassVar[int | None] = None

    def players(self, scope: Players) -> Sequence[int]:
        """Every agent."""
        return range(scope.bidders, scope.bidders + scope.agents)

    def compare(
        self, truth: Market, misreport: AgentMisreport, honest: Outcome, deviating: Outcome
    ) -> Violation | None:
        """The deviator's gain in true utility, where there is one and it can deliver."""
        gain = gain_of(truth, misreport, honest, deviating)
        if gain is None or gain <= 0:
            return None
        return Violation(gain, f"{misreport} instead of {misreport.instead_of(truth)}, and gains {gain}")


@dataclass(frozen=True, slots=True)
class TruthfulBoth:
    """No bidder and no agent gains by a misreport: `Truthful` and `TruthfulAgents` at once."""

    name: ClassVar[str] = "truthful-both"
    slack: ClassVar[int | None] = None

    def players(self, scope: Players) -> Sequence[int]:
        """Everybody."""
        return range(scope.bidders + scope.agents)

    def compare(
        self, truth: Market, misreport: Misreport | AgentMisreport, honest: Outcome, deviating: Outcome
    ) -> Violation | None:
        """The deviator's gain, on whichever side."""
        if isinstance(misreport, Misreport):
            return Truthful().compare(truth, misreport, honest, deviating)
        return TruthfulAgents().compare(truth, misreport, honest, deviating)


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

    @property
    def slack(self) -> int:
        """`ticks`."""
        return self.ticks

    def players(self, scope: Players) -> Sequence[int]:
        """Every bidder."""
        return range(scope.bidders)

    def compare(self, truth: Market, misreport: Misreport, honest: Outcome, deviating: Outcome) -> Violation | None:
        """The deviator's whole gain, where it exceeds `ticks`."""
        found = Truthful().compare(truth, misreport, honest, deviating)
        if found is None or found.amount <= self.ticks:
            return None
        return Violation(found.amount, f"{found.text}, more than {self.ticks}")
