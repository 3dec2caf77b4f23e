"""Claims about what is left once requests have run: costs off their predictions, some requests failed.

An auction is run on predictions, and a `Settlement` turns its payments into final ones. An `ExecutionRisk` says how a
run may turn out; every way is settled, in exact fractions. Truthfulness is claimed on average over the luck, since
nobody knows it when they report; rationality and the budget in every single run. All utilities are computed from what
was measured, and from the true values: a served success is worth the true value over the chance of success, a failure
nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar, TypeAlias

import numpy as np

from allocation import Market
from mechanisms import Outcome, serving_costs
from mechanisms.settlement import Execution, OnPrediction, Settlement
from proofs.claims.execution_risk import ExecutionRisk
from proofs.claims.property import Violation, gain_of
from proofs.grids.sweep import GridOutcomes, SweepResult, agents_of, tried
from proofs.misreports.coalition import AgentMisreport
from proofs.misreports.misreport import Misreport

#: ("bidder", 0), ("agent", 0) or ("the auctioneer", None).
Party: TypeAlias = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class TruthfulRealised:
    """No bidder gains on average over the luck by reporting anything but their true expected values."""

    settlement: Settlement = field(default_factory=OnPrediction)
    luck: ExecutionRisk = field(default_factory=ExecutionRisk)
    name: ClassVar[str] = "truthful-realised"

    def compare(self, truth: Market, misreport: Misreport, honest: Outcome, deviating: Outcome) -> Violation | None:
        """The deviator's expected gain; in micro-units times `ExecutionRisk.weight` of the market's requests."""
        return _gained(_Averages(self), truth, misreport, honest, deviating)

    def sweep(self, played: GridOutcomes) -> SweepResult:
        """Every misreport of every bidder in every profile."""
        return _swept(self, played, range(played.grid.bidders))


@dataclass(frozen=True, slots=True)
class TruthfulAgentsRealised:
    """No agent gains on average over the luck by announcing anything but its true expected costs and its capacity."""

    settlement: Settlement = field(default_factory=OnPrediction)
    luck: ExecutionRisk = field(default_factory=ExecutionRisk)
    name: ClassVar[str] = "truthful-agents-realised"

    def compare(
        self, truth: Market, misreport: AgentMisreport, honest: Outcome, deviating: Outcome
    ) -> Violation | None:
        """The deviator's expected gain, where it can deliver; the amount as in `TruthfulRealised`."""
        return _gained(_Averages(self), truth, misreport, honest, deviating)

    def sweep(self, played: GridOutcomes) -> SweepResult:
        """Every misreport of every agent in every profile.

        Raises:
            AuditError: costs and capacities are public on this grid.
        """
        return _swept(self, played, agents_of(played.grid, self.name))


@dataclass(frozen=True, slots=True)
class RationalRealised:
    """No bidder who tells the truth ends below zero, however their requests run."""

    settlement: Settlement = field(default_factory=OnPrediction)
    luck: ExecutionRisk = field(default_factory=ExecutionRisk)
    name: ClassVar[str] = "individually-rational-realised"

    def check(self, outcome: Outcome, truth: Market) -> Violation | None:
        """The greatest loss of a bidder in any run; ties to the first."""
        return _worst(self, outcome, truth, "bidder")


@dataclass(frozen=True, slots=True)
class AgentsRationalRealised:
    """No agent that tells the truth ends below zero, however the requests run that it serves."""

    settlement: Settlement = field(default_factory=OnPrediction)
    luck: ExecutionRisk = field(default_factory=ExecutionRisk)
    name: ClassVar[str] = "agents-rational-realised"

    def check(self, outcome: Outcome, truth: Market) -> Violation | None:
        """The greatest loss of an agent in any run; ties to the first."""
        return _worst(self, outcome, truth, "agent")


@dataclass(frozen=True, slots=True)
class NoDeficitInAnyRun:
    """The auctioneer loses nothing, however the requests run: `NoDeficitRealised` with failures."""

    settlement: Settlement = field(default_factory=OnPrediction)
    luck: ExecutionRisk = field(default_factory=ExecutionRisk)
    name: ClassVar[str] = "no-deficit-in-any-run"

    def check(self, outcome: Outcome, truth: Market) -> Violation | None:
        """The greatest loss in any run; ties to the first."""
        return _worst(self, outcome, truth, "the auctioneer")


_About = TruthfulRealised | TruthfulAgentsRealised | RationalRealised | AgentsRationalRealised | NoDeficitInAnyRun


def _left(prop: _About, truth: Market, outcome: Outcome, execution: Execution) -> dict[Party, Fraction]:
    """What a run leaves to whom, by the true values; payments are settled on what was reported."""
    payments = prop.settlement.settle(outcome, execution)
    left: dict[Party, Fraction] = {("the auctioneer", None): Fraction(payments.surplus)}
    left |= {("bidder", bidder): Fraction(0) for bidder in truth.players}
    values = truth.take(truth.values, outcome.allocation).tolist()
    rows = zip(truth.bidders.tolist(), values, execution.succeeded.tolist(), payments.charges.tolist(), strict=True)
    for bidder, value, done, charge in rows:
        left["bidder", bidder] += (Fraction(value) / prop.luck.odds if done else 0) - charge
    spent = np.where(outcome.allocation.served, execution.costs, 0)
    for agent, receipt in enumerate(payments.receipts.tolist()):
        left["agent", agent] = Fraction(receipt - int(spent[outcome.allocation.agents == agent].sum()))
    return left


def _worst(prop: _About, outcome: Outcome, truth: Market, side: str) -> Violation | None:
    """The greatest loss on a side in any run, ties to the first; the amount in whole shares of a micro-unit."""
    worst, (who, index), execution = min(
        (
            (utility, party, execution)
            for _, execution in prop.luck.runs(truth, outcome)
            for party, utility in _left(prop, truth, outcome, execution).items()
            if party[0] == side
        ),
        key=lambda entry: entry[0],
    )
    if worst >= 0:
        return None
    name = who if index is None else f"{who} {index}"
    return Violation(int(-worst * prop.luck.odds.numerator), f"{name} loses {-worst} {_ran(outcome, execution)}")


@dataclass(frozen=True, slots=True)
class _Averages:
    """What everybody pays and gets on average over the luck, under each outcome and true costs; each settled once."""

    prop: _About
    known: dict[tuple[bytes, bytes], tuple[list[Fraction], list[Fraction]]] = field(default_factory=dict)

    def utility(self, truth: Market, outcome: Outcome, misreport: Misreport | AgentMisreport) -> Fraction:
        """Expected true utility of the deviator; requests count at expected value, and cost errors cancel out."""
        charges, receipts = self._payments(truth, outcome)
        if isinstance(misreport, Misreport):
            values = truth.take(truth.values, outcome.allocation)
            mine = truth.requests_of(misreport.bidder).tolist()
            return sum((int(values[request]) - charges[request] for request in mine), Fraction(0))
        return receipts[misreport.agent] - int(serving_costs(truth, outcome.allocation)[misreport.agent])

    def _payments(self, truth: Market, outcome: Outcome) -> tuple[list[Fraction], list[Fraction]]:
        key = outcome.reported.key(), truth.costs.tobytes()
        if key not in self.known:
            n, m = truth.shape
            charges, receipts = [Fraction(0)] * n, [Fraction(0)] * m
            for likely, execution in self.prop.luck.runs(truth, outcome):
                payments = self.prop.settlement.settle(outcome, execution)
                for sums, amounts in ((charges, payments.charges), (receipts, payments.receipts)):
                    for index, amount in enumerate(amounts.tolist()):
                        sums[index] += likely * amount
            self.known[key] = charges, receipts
        return self.known[key]


def _gained(
    averages: _Averages, truth: Market, misreport: Misreport | AgentMisreport, honest: Outcome, deviating: Outcome
) -> Violation | None:
    if gain_of(truth, misreport, honest, deviating) is None:
        return None
    gain = averages.utility(truth, deviating, misreport) - averages.utility(truth, honest, misreport)
    if gain <= 0:
        return None
    amount = int(gain * averages.prop.luck.weight(truth.shape[0]))
    return Violation(amount, f"{misreport} instead of {misreport.instead_of(truth)} and gains {gain} on average")


def _swept(prop: _About, played: GridOutcomes, players: Sequence[int]) -> SweepResult:
    grid, averages = played.grid, _Averages(prop)
    return tried(
        played,
        lambda profile, truth, honest: (
            misreport for player in players for misreport in grid.misreports(profile, player)
        ),
        lambda truth, misreport, honest: _gained(
            averages, truth, misreport, honest, played.run(misreport.applied(truth))
        ),
    )


def _ran(outcome: Outcome, execution: Execution) -> str:
    """How a run went, in words."""
    fates = [
        f"request {request} costs {execution.costs[request]} and {'succeeds' if done else 'fails'}"
        for request, done in enumerate(execution.succeeded.tolist())
        if outcome.allocation.served[request]
    ]
    return f"where {', '.join(fates)}" if fates else "where nothing runs"
