"""Is the object what its description says? Compared outcome by outcome, where a proof in symbols cannot look.

A proof over all real values is one of the description. What ties it to the Python object is this comparison: the
object's allocation is one that the description allows, and it charges each bidder, and pays each agent, exactly what
the description says. A comparison proves no equality. So it looks where rules that are not what they say differ: at
every profile of a small grid, at random and structured markets of growing magnitude up to the ends of what is allowed,
beside powers of two and ten, and beside every number that stands in the source of the mechanism's own classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from allocation import MAX_AMOUNT, Market
from allocation.money import Money
from mechanisms import DirectMechanism, Outcomes
from mechanisms.mechanism import has_batch_path
from proofs.errors import AuditError
from proofs.grids.table import run_checked
from proofs.reals.constants import constants
from proofs.reals.encoding import World
from proofs.reals.scope import Reals
from proofs.scopes.grid import Grid
from proofs.scopes.profiles import values_of
from proofs.symbols.batch import Batch
from proofs.symbols.description import Assignment, Description, DescriptionError, Weights, taken
from proofs.symbols.linear import Condition, Linear

#: The grid: at most so many bidders and agents, these values; known to expose what coarser grids hide.
_SIDE, _VALUES = 2, range(4)

#: Greatest values of the random markets.
_MAGNITUDES = (5, 10**3, 10**6, 10**9, MAX_AMOUNT)

#: Markets of each kind and magnitude, of a mechanism with a batch path and of one that runs them one by one.
_MANY, _FEW = 400, 40

#: Markets of a kind times squared assignments, at most.
_WORK = 200_000

#: Matrices of unknown costs that are tried.
_COSTS = 6


@dataclass(frozen=True, slots=True)
class Agreement:
    """On how many markets the object did what its description says, and up to which greatest amount, in micro-units."""

    markets: int
    magnitude: int

    def __str__(self) -> str:
        return f"the object AGREES with its description on {self.markets:,} markets, amounts up to {self.magnitude:,}"


def compare(mechanism: DirectMechanism, described: Description, scope: Reals) -> Agreement:
    """Hold the object to its description, and say on what.

    Raises:
        DescriptionError: they differ, with the market where.
        AuditError: the mechanism misbehaves.
    """
    markets = magnitude = 0
    for shape, template, values in _batches(mechanism, scope):
        _Described.of(described, shape).hold(mechanism, values, template)
        markets += len(values)
        greatest = max(np.abs(values).max(initial=0), np.abs(template.costs).max(initial=0))
        magnitude = max(magnitude, int(greatest))
    if markets == 0:
        raise AuditError(f"{scope} has no market in whole micro-units to compare the object on; widen the box")
    return Agreement(markets, magnitude)


def _batches(mechanism: DirectMechanism, scope: Reals) -> Iterator[tuple[Reals, Market, Money]]:
    """(scope of the shape, template, values (B, N, M)) of everything that is compared."""
    small = Grid(
        bidders=min(_SIDE, scope.bidders),
        agents=min(_SIDE, scope.agents),
        values=_VALUES,
        costs=cost_matrices(scope, 1)[0][: min(_SIDE, scope.bidders), :_SIDE],
        capacities=scope.template.capacities[:_SIDE],
    )
    corner = Reals(small.bidders, small.agents, capacities=small.capacities, costs=small.costs, limit=scope.limit)
    yield corner, small.template, _inside(scope, values_of(small, np.arange(small.profiles)))
    # Each market is held against every assignment without each bidder: where these are many, markets are fewer.
    each = max(4, min(_MANY if has_batch_path(mechanism) else _FEW, _WORK // len(scope.space.assignments()) ** 2))
    rng, marks = np.random.default_rng(0), constants(mechanism)
    for costs in cost_matrices(scope, _COSTS, marks):
        template = scope.template.replace(costs=costs)
        for values in _draws(rng, template.shape, scope, each, marks):
            yield scope, template, _inside(scope, values)


def cost_matrices(scope: Reals, most: int, marks: Sequence[int] = ()) -> list[Money]:
    """The scope's costs; where they may be anything, small unequal ones, and up to `most` greater ones."""
    n, m = scope.template.shape
    if not scope.any_costs:
        return [scope.template.costs]
    rng = np.random.default_rng(1)
    small: Money = np.add.outer(np.arange(n), 2 * np.arange(m)) % 3
    pool = np.unique([0, 1, *(mark + step for mark in marks for step in (-1, 0, 1) if mark + step >= 0)])
    drawn = [rng.choice(pool, (n, m)) for _ in range(2)]
    drawn += [rng.integers(0, bound, (n, m), endpoint=True) for bound in _MAGNITUDES[1:]]
    return [small, *drawn][:most]


def _draws(
    rng: np.random.Generator, shape: tuple[int, int], scope: Reals, each: int, marks: Sequence[int]
) -> Iterator[Money]:
    n, m = shape
    for bound in _MAGNITUDES:
        yield rng.integers(-1 - bound // 5, bound, (each, n, m), endpoint=True)
        # Products tie up to a factor: the same request is worth most everywhere, the same agent best for all.
        sides = rng.integers(0, max(2, int(bound**0.5)), (each, n, 1)), rng.integers(0, 8, (each, 1, m))
        yield np.minimum(sides[0] * sides[1], bound)
        yield rng.choice([0, bound - 1, bound], (each, n, m))
    beside = [base**power for base in (2, 10) for power in range(41) if base**power <= MAX_AMOUNT] + list(marks)
    pool = np.unique([mark + step for mark in beside for step in (-1, 0, 1)]).clip(-MAX_AMOUNT, MAX_AMOUNT)
    yield rng.choice(pool, (2 * each, n, m))
    if marks:
        near = np.unique([0, *(mark + step for mark in marks for step in (-1, 0, 1))])
        yield rng.choice(near.clip(-MAX_AMOUNT, MAX_AMOUNT), (4 * each, n, m))
    if scope.box is not None:
        low, high = whole_box(scope.box)
        if low <= high:
            yield rng.choice([low, high], (each, n, m))
            yield rng.integers(low, high, (4 * each, n, m), endpoint=True)


def _inside(scope: Reals, values: Money) -> Money:
    """Those of the markets that the scope speaks of."""
    if scope.box is None:
        return values
    low, high = whole_box(scope.box)
    kept: Money = values[((values >= low) & (values <= high)).all(axis=(1, 2))]
    return kept


def whole_box(box: tuple[int | Fraction, int | Fraction]) -> tuple[int, int]:
    """The least and the greatest whole number of micro-units within a box."""
    return ceil(box[0]), floor(box[1])


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

    def hold(self, mechanism: DirectMechanism, values: Money, template: Market) -> None:
        """Compare B markets; the first that differs is named.

        Raises:
            DescriptionError: one differs.
        """
        if not len(values):
            return
        outcomes = run_checked(mechanism, np.ascontiguousarray(values), template)
        distinct, which = np.unique(outcomes.agents, axis=0, return_inverse=True)
        for number, row in enumerate(distinct.tolist()):
            places = np.flatnonzero(which.ravel() == number)
            self._hold(mechanism, tuple(row), places, values, outcomes, template)

    def _hold(
        self,
        mechanism: DirectMechanism,
        agents: Assignment,
        places: NDArray[np.intp],
        values: Money,
        outcomes: Outcomes,
        template: Market,
    ) -> None:
        batch = Batch(values[places], template.costs)

        def demand(fine: NDArray[np.bool_], what: str, amounts: Money | None = None) -> None:
            if not fine.all():
                wrong = int((~fine).argmax())
                said = what if amounts is None else f"{what} {amounts[wrong]} for {list(agents)}"
                market = template.replace(values=values[places[wrong]])
                raise _differs(mechanism, self.world.described, market, said)

        demand(batch.holds(self.chosen[agents]), f"it serves {list(agents)}")
        served = [i for i, agent in enumerate(agents) if agent >= 0]
        for agent in range(template.shape[1]):
            cost = sum(int(template.costs[i, agent]) for i in served if agents[i] == agent)
            base = Linear({}, self.world.charges.receipts * cost)
            received = outcomes.receipts[places, agent]
            demand(self._receivable(batch, base, agent, agents, received), f"agent {agent} receives", received)
        for bidder in self.world.space.bidders:
            paid = outcomes.charges[places][:, list(self.world.space.requests_of(bidder))].sum(axis=1)
            demand(self._possible(batch, bidder, agents, paid), f"bidder {bidder} pays", paid)

    def _possible(self, batch: Batch, bidder: int, agents: Assignment, paid: Money) -> NDArray[np.bool_]:
        """(B,) whether it is what the bidder may owe: one number, unless the allocator's ties without them matter."""
        base = self.charges[agents][bidder]
        if not self.without:
            return batch.equal(base, paid)
        factor, fine = self.world.charges.externality, np.zeros(len(paid), np.bool_)
        for other, when in self.without[bidder].items():
            fine |= batch.equal(base + factor * taken(self.weights, other), paid) & batch.holds(when)
        return fine

    def _receivable(
        self, batch: Batch, base: Linear, agent: int, agents: Assignment, received: Money
    ) -> NDArray[np.bool_]:
        if not self.lacking:
            return batch.equal(base, received)
        have, factor = taken(self.weights, agents), self.world.charges.contribution
        fine = np.zeros(len(received), np.bool_)
        for other, when in self.lacking[agent].items():
            fine |= batch.equal(base + factor * (have - taken(self.weights, other)), received) & batch.holds(when)
        return fine


def _differs(mechanism: DirectMechanism, described: Description, market: Market, what: str) -> DescriptionError:
    return DescriptionError(
        f"{type(mechanism).__name__} is not what its description says ({described}): {what} on {market}; correct "
        "either, or audit it over a Grid"
    )
