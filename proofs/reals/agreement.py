"""Is the object what its description says? Compared outcome by outcome, where a proof in symbols cannot look.

A proof over all real values is one of the description. What ties it to the Python object is this comparison: on every
profile of a small grid and on some random markets of the scope's own shape, the object's allocation is one that the
description allows, and it charges each bidder, and pays each agent, exactly what the description says.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from allocation import Market
from allocation.money import Money
from mechanisms import DirectMechanism, serving_costs
from proofs.reals.encoding import World
from proofs.reals.scope import Reals
from proofs.scopes.grid import Grid
from proofs.subject.subject import outcome_of
from proofs.symbols.description import Assignment, Description, DescriptionError, Weights, taken
from proofs.symbols.linear import Condition, Linear, Point, Rational, holds

#: The grid: at most so many bidders and agents, these values; known to expose what coarser grids hide.
_SIDE, _VALUES = 2, range(4)

#: Random markets of the scope's own shape; values low, so that many tie, and some negative.
_DRAWS, _LOW, _HIGH = 48, -1, 5


def compare(mechanism: DirectMechanism, described: Description, scope: Reals) -> str:
    """Hold the object to its description, and say on what.

    Raises:
        DescriptionError: they differ, with the market where.
        AuditError: the mechanism misbehaves.
    """
    small = Grid(
        bidders=min(_SIDE, scope.bidders),
        agents=min(_SIDE, scope.agents),
        values=_VALUES,
        costs=_costs(scope)[: min(_SIDE, scope.bidders), :_SIDE],
        capacities=scope.template.capacities[:_SIDE],
    )
    corner = Reals(small.bidders, small.agents, capacities=small.capacities, costs=small.costs, limit=scope.limit)
    told = _Described.of(described, corner)
    for profile in range(small.profiles):
        told.hold(mechanism, small.market(profile))
    told = _Described.of(described, scope)
    for market in _draws(scope):
        told.hold(mechanism, market)
    capacities = ",".join(map(str, corner.template.capacities.tolist()))
    return (
        f"the object agrees with its description on all {small.profiles} profiles of {small.bidders} x {small.agents}, "
        f"values {{{_VALUES[0]}..{_VALUES[-1]}}}, capacities {capacities}, and on {_DRAWS} random markets of the scope"
    )


@dataclass(frozen=True, slots=True)
class _Described:
    """A description over one shape, ready to be evaluated at markets."""

    world: World
    chosen: Mapping[Assignment, Condition]
    charges: Mapping[Assignment, Sequence[Linear]]
    without: Sequence[Mapping[Assignment, Condition]]
    lacking: Sequence[Mapping[Assignment, Condition]]
    weights: Weights

    @classmethod
    def of(cls, described: Description, scope: Reals) -> "_Described":
        world = World(Reals(scope.bidders, scope.agents, scope.capacities, None, "any", scope.owners), described)
        weights, space = world.weights(), world.space
        chosen = world.chosen(weights)
        charges = {agents: tuple(world.charge(bidder, agents) for bidder in space.bidders) for agents in chosen}
        needed = space.bidders if described.charges.externality else ()
        without = [world.chosen(weights, space.requests_of(bidder)) for bidder in needed]
        missed = range(len(space.capacities)) if described.charges.contribution else ()
        return cls(world, chosen, charges, without, [world.chosen_lacking(agent) for agent in missed], weights)

    def hold(self, mechanism: DirectMechanism, market: Market) -> None:
        outcome = outcome_of(mechanism, market)
        point = _point(market)
        agents = tuple(outcome.allocation.agents.tolist())
        described = self.world.described
        if not holds(self.chosen[agents], point):
            raise _differs(mechanism, described, market, f"it serves {list(agents)}")
        costs, received = serving_costs(market, outcome.allocation).tolist(), outcome.payments.receipts.tolist()
        for agent, (cost, amount) in enumerate(zip(costs, received, strict=True)):
            if amount not in self._receivable(agent, agents, cost, point):
                raise _differs(mechanism, described, market, f"agent {agent} receives {amount} for {list(agents)}")
        for bidder in self.world.space.bidders:
            paid = int(outcome.payments.charges[market.requests_of(bidder)].sum())
            if paid not in self._possible(bidder, agents, point):
                raise _differs(mechanism, described, market, f"bidder {bidder} pays {paid} for {list(agents)}")

    def _possible(self, bidder: int, agents: Assignment, point: Point) -> set[Rational]:
        """What the bidder may owe: one number, unless the allocator's ties without that bidder matter."""
        base = self.charges[agents][bidder].at(point)
        if not self.without:
            return {base}
        factor = self.world.charges.externality
        return {base + factor * welfare for welfare in self._welfares(self.without[bidder], point)}

    def _receivable(self, agent: int, agents: Assignment, cost: int, point: Point) -> set[Rational]:
        base = self.world.charges.receipts * cost
        if not self.lacking:
            return {base}
        have, factor = taken(self.weights, agents).at(point), self.world.charges.contribution
        return {base + factor * (have - welfare) for welfare in self._welfares(self.lacking[agent], point)}

    def _welfares(self, chosen: Mapping[Assignment, Condition], point: Point) -> set[Rational]:
        return {taken(self.weights, agents).at(point) for agents, when in chosen.items() if holds(when, point)}


def _costs(scope: Reals) -> Money:
    """The scope's costs; where they may be anything, 0, 1 and 2 in turn."""
    n, m = scope.template.shape
    return np.add.outer(np.arange(n), 2 * np.arange(m)) % 3 if scope.any_costs else scope.template.costs


def _draws(scope: Reals) -> Iterator[Market]:
    rng = np.random.default_rng(0)
    for _ in range(_DRAWS):
        values = rng.integers(_LOW, _HIGH, scope.template.shape, endpoint=True)
        yield scope.template.replace(values=values, costs=_costs(scope))


def _point(market: Market) -> Point:
    n, m = market.shape
    values, costs = market.values.tolist(), market.costs.tolist()
    known: dict[tuple[str, int, int], int] = {}
    for i in range(n):
        for j in range(m):
            known["value", i, j], known["cost", i, j] = values[i][j], costs[i][j]
    return known


def _differs(mechanism: DirectMechanism, described: Description, market: Market, what: str) -> DescriptionError:
    return DescriptionError(
        f"{type(mechanism).__name__} is not what its description says ({described}): {what} on {market}; correct "
        "either, or audit it over a Grid"
    )
