"""Claims on average over a prior: `BayesianTruthful`, `InterimRational`. Averages are exact: integer weights, no float.

A player knows their own type and takes the others' from the prior given it, which allows correlated types. Amounts of
violations are micro-units times weight; the text gives the exact expected gain in micro-units.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import ClassVar

from allocation import Market
from mechanisms import Outcome, Prior
from mechanisms.prior import State, market_of, state_of
from proofs.claims.property import Run, Violation, gain_of
from proofs.errors import AuditError
from proofs.grids.sweep import GridOutcomes, SweepResult
from proofs.misreports.coalition import AgentMisreport
from proofs.misreports.misreport import Misreport, spelled_rows
from proofs.scopes.grid import Grid

#: A bidder or an agent, as ("bidder", 0).
Player = tuple[str, int]


@dataclass(frozen=True, slots=True)
class BayesianTruthful:
    """No player gains on average by a misreport while the others tell the truth (d'Aspremont and Gerard-Varet 1979).

    Bidders are players, and so are agents whose costs or capacities are private on the grid.

    Args:
        prior: what everybody believes; every state must lie on the grid that is audited.
    """

    prior: Prior
    name: ClassVar[str] = "bayesian-truthful"

    def violated(self, run: Run, truth: Market, misreport: Misreport | AgentMisreport) -> Violation | None:
        """The gain of the misreport on average over the states in which the deviator has their type of `truth`."""
        player: Player = (
            ("bidder", misreport.bidder) if isinstance(misreport, Misreport) else ("agent", misreport.agent)
        )
        gain = weight = 0
        for market, likely in _given(self.prior, truth, player):
            change = gain_of(market, misreport, run(market), run(misreport.applied(market)))
            if change is None:
                return None
            gain += likely * change
            weight += likely
        if gain <= 0:
            return None
        return Violation(
            gain, f"{misreport} instead of {misreport.instead_of(truth)} and gains {Fraction(gain, weight)} on average"
        )

    def sweep(self, played: GridOutcomes) -> SweepResult:
        """Every misreport of every type of every player that the prior holds possible.

        Raises:
            AuditError: a state of the prior is not on the grid.
        """
        grid = played.grid
        _on(grid, self.prior)
        sides: list[Player] = [("bidder", bidder) for bidder in range(grid.bidders)]
        sides += [("agent", agent) for agent in range(len(grid.agent_types))]
        return SweepResult.of(
            (self.violated(played.run, truth, misreport), truth, misreport)
            for index, player in enumerate(sides)
            for truth in _types(self.prior, grid.template, player)
            for misreport in map(partial(grid.misreport, index), range(grid.sizes[index]))
        )


@dataclass(frozen=True, slots=True)
class InterimRational:
    """No bidder who tells the truth expects to lose, once they know their own type; agents too where they have types.

    Args:
        prior: what everybody believes; every state must lie on the grid that is audited.
    """

    prior: Prior
    name: ClassVar[str] = "interim-rational"

    def violated(self, run: Run, truth: Market, misreport: None) -> Violation | None:
        """The greatest expected loss, times weight, of a player with their type of `truth`; ties to the first."""
        worst: Violation | None = None
        for player in _players(truth):
            found = self._of(run, truth, player)
            if found is not None and found.amount > (0 if worst is None else worst.amount):
                worst = found
        return worst

    def sweep(self, played: GridOutcomes) -> SweepResult:
        """Every player with every type that the prior holds possible.

        Raises:
            AuditError: a state of the prior is not on the grid.
        """
        template = played.grid.template
        _on(played.grid, self.prior)
        return SweepResult.of(
            (self._of(played.run, truth, player), truth, None)
            for player in _players(template)
            for truth in _types(self.prior, template, player)
        )

    def _of(self, run: Run, truth: Market, player: Player) -> Violation | None:
        loss = weight = 0
        for market, likely in _given(self.prior, truth, player):
            loss -= likely * _utility(run(market), market, player)
            weight += likely
        if loss <= 0:
            return None
        text = f"{player[0]} {player[1]} of type {_type(truth, player)} tells the truth and loses"
        return Violation(loss, f"{text} {Fraction(loss, weight)} on average")


def grid_prior(grid: Grid, weights: Sequence[int] | None = None) -> Prior:
    """The prior under which all entries of all values are independent draws; private types of agents are uniform.

    Args:
        grid: its profiles are the states.
        weights: one integer > 0 per value of the grid; default: equal.

    Raises:
        AuditError: not one weight per value.
    """
    if weights is None:
        return Prior.over(map(grid.market, range(grid.profiles)))
    if len(weights) != len(grid.values):
        raise AuditError(f"{len(weights)} weights for the values {list(grid.values)}; give one each")
    share = dict(zip(grid.values, weights, strict=True))
    markets = [grid.market(profile) for profile in range(grid.profiles)]
    likely = [math.prod(share[value] for value in market.values.ravel().tolist()) for market in markets]
    return Prior.over(markets, likely)


def _given(prior: Prior, truth: Market, player: Player) -> Iterator[tuple[Market, int]]:
    """States, with weights, in which the player has their type of `truth`; none unless `truth` itself is possible."""
    if prior.shape == truth.shape and prior.weight(truth):
        own = _part(state_of(truth), truth, player)
        for state, likely in zip(prior.states, prior.weights, strict=True):
            if _part(state, truth, player) == own:
                yield market_of(state, truth), likely


def _types(prior: Prior, template: Market, player: Player) -> list[Market]:
    """One state per type of the player, as a market."""
    states = {_part(state, template, player): state for state in reversed(prior.states)}
    return [market_of(state, template) for state in states.values()]


def _players(market: Market) -> list[Player]:
    return [("bidder", bidder) for bidder in market.players] + [("agent", agent) for agent in range(market.shape[1])]


def _part(state: State, template: Market, player: Player) -> object:
    (values, costs, room), (side, index) = state, player
    if side == "bidder":
        return tuple(values[request] for request in template.requests_of(index).tolist())
    return tuple(row[index] for row in costs), room[index]


def _type(market: Market, player: Player) -> str:
    """A player's type in words."""
    side, index = player
    if side == "bidder":
        return spelled_rows(market.values[market.requests_of(index)])
    return f"{market.costs[:, index].tolist()} and {market.capacities[index]}"


def _utility(outcome: Outcome, market: Market, player: Player) -> int:
    side, index = player
    return outcome.bidder_utilities(market)[index] if side == "bidder" else int(outcome.agent_utilities(market)[index])


def _on(grid: Grid, prior: Prior) -> None:
    possible = {state_of(grid.market(profile)) for profile in range(grid.profiles)}
    for state in prior.states:
        if state not in possible:
            raise AuditError(f"the prior holds {state} possible, which is not on {grid}")
