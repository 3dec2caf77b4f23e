"""A property of a described mechanism as a question to a solver: is there a market in which it fails?

The unknowns are true values ("value", i, j), the deviator's reports ("report", i, j), costs ("cost", i, j) where they
may be anything, and a few auxiliary amounts. A choice among assignments is a disjunction over them, each with the
inequalities under which it may be chosen, so one answer holds for every tie-break.

Groves' term cancels: the welfare of the others without a bidder is a function of their reports alone, hence the same
number whether the bidder misreports or not, and drops out of the gain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proofs.claims.property import Efficient, IndividuallyRational, NoDeficit, Property, Truthful
from proofs.errors import AuditError
from proofs.reals.scope import Reals
from proofs.symbols.description import (
    Assignment,
    ByWeight,
    Charges,
    Choice,
    Description,
    InTurn,
    Optimal,
    Space,
    Weights,
    taken,
)
from proofs.symbols.linear import AtLeast, Condition, Either, Every, Greatest, Linear, equal, matrix, untied

#: The properties that can be asked about, exactly as they are: a subclass or a parameter may mean something else.
PROVABLE: tuple[Property, ...] = (Truthful(), IndividuallyRational(), NoDeficit(), Efficient())

#: Choices whose `anonymous` and `settled` are not claims: they follow from the conditions in `description`.
TRUSTED: tuple[type, ...] = (Optimal, ByWeight, InTurn)

_BEFORE, _AFTER = Linear.of(("before", 0, 0)), Linear.of(("after", 0, 0))


@dataclass(frozen=True, slots=True)
class Question:
    """The property fails exactly where `condition` holds with `gap` > 0.

    `bidder` is the deviator or the loser, if there is one; `cases` is the number of assignments, or pairs of them,
    covered.
    """

    bidder: int | None
    condition: Condition
    gap: Linear
    cases: int


@dataclass(frozen=True, slots=True)
class World:
    """The unknowns of a scope and what its mechanism may do; `apart`: only where no tie matters."""

    scope: Reals
    described: Description
    apart: bool = False

    @property
    def space(self) -> Space:
        """Bidders and agents, as descriptions see them."""
        return self.scope.space

    @property
    def charges(self) -> Charges:
        """What the described rule charges."""
        return self.described.charges

    def values(self, deviator: int | None = None) -> Weights:
        """True values, but for those that the deviator reports."""
        n, m = self.scope.template.shape
        mine = () if deviator is None else self.space.requests_of(deviator)
        return matrix(n, m, lambda i, j: Linear.of(("report" if i in mine else "value", i, j)))

    @property
    def costs(self) -> Weights:
        """Costs: unknowns where they may be anything, else numbers."""
        n, m = self.scope.template.shape
        if self.scope.any_costs:
            return matrix(n, m, lambda i, j: Linear.of(("cost", i, j)))
        public = self.scope.template.costs.tolist()
        return matrix(n, m, lambda i, j: Linear({}, public[i][j]))

    def weights(self, deviator: int | None = None) -> Weights:
        """Values less costs."""
        values, costs = self.values(deviator), self.costs
        n, m = self.scope.template.shape
        return matrix(n, m, lambda i, j: values[i][j] - costs[i][j])

    def chosen(self, weights: Weights, absent: tuple[int, ...] = ()) -> Mapping[Assignment, Condition]:
        """Assignments that may be chosen without the absent requests, and when."""
        found = self.described.choice.conditions(self.space, weights, absent)
        return {agents: untied(part) for agents, part in found.items()} if self.apart else found

    def charge(self, bidder: int, agents: Assignment, deviator: int | None = None) -> Linear:
        """What the bidder pays, short of the multiple of `without(bidder)` that the externality adds."""
        mine = self.space.requests_of(bidder)
        others = tuple(i for i in range(len(agents)) if i not in mine)
        rule = self.charges
        parts = [Linear({}, rule.served * sum(agents[i] >= 0 for i in mine))]
        if rule.value:
            parts.append(rule.value * taken(self.values(deviator), agents, mine))
        if rule.cost:
            parts.append(rule.cost * taken(self.costs, agents, mine))
        if rule.externality:
            parts.append(-rule.externality * taken(self.weights(deviator), agents, others))
        return Linear.total(parts)

    def alternative(self, bidder: int, *, least: bool = False) -> Condition:
        """`without(bidder)` is the welfare of what the allocator chooses without that bidder.

        Args:
            least: the gap shrinks as it grows, so that lower bounds on it say as much.
        """
        if not self.charges.externality:
            return Every(())
        return self._pinned(_without(bidder), self.chosen(self.weights(), self.space.requests_of(bidder)), least)

    def substitute(self, agent: int, *, least: bool) -> Condition:
        """`lacking(agent)` is the welfare of what the allocator chooses without that agent; `least` as above."""
        return self._pinned(_lacking(agent), self.chosen_lacking(agent), least)

    def chosen_lacking(self, agent: int) -> Mapping[Assignment, Condition]:
        """Assignments that may be chosen without that agent, and when."""
        found = self.described.choice.conditions(self.space.lacking(agent), self.weights(), ())
        return {agents: untied(part) for agents, part in found.items()} if self.apart else found

    def _pinned(self, amount: Linear, chosen: Mapping[Assignment, Condition], least: bool) -> Condition:
        weights = self.weights()
        if least and all(isinstance(when, Greatest) for when in chosen.values()):
            return Every(tuple(AtLeast(amount - taken(weights, agents)) for agents in chosen))
        return Either(tuple(Every((when, equal(amount, taken(weights, agents)))) for agents, when in chosen.items()))


def _without(bidder: int) -> Linear:
    return Linear.of(("without", bidder, 0))


def _lacking(agent: int) -> Linear:
    return Linear.of(("lacking", agent, 0))


def questions(prop: Property, described: Description, scope: Reals, *, apart: bool = False) -> list[Question]:
    """The questions whose answers decide the property: no market in any of them means that it holds.

    Args:
        apart: ask for markets in which no two assignments tie, so that every way of breaking ties fails alike.

    Raises:
        AuditError: the property is none of `PROVABLE`.
    """
    world = World(scope, described, apart)
    if prop == Truthful():
        return [_misreport(world, bidder) for bidder in _representatives(world)]
    if prop == IndividuallyRational():
        return [_loss(world, bidder) for bidder in _representatives(world)]
    if prop == NoDeficit():
        return [_deficit(world)]
    if prop == Efficient():
        return [_waste(world)]
    raise AuditError(f"{prop.name} cannot be asked about all real values; audit it over a Grid")


def bounds(scope: Reals, deviator: int | None) -> Condition:
    """The box around every value and the deviator's reports, and costs >= 0 where they are unknown."""
    n, m = scope.template.shape
    parts: list[Condition] = []
    for i in range(n):
        for j in range(m):
            if scope.any_costs:
                parts.append(AtLeast(Linear.of(("cost", i, j))))
            if scope.box is not None:
                low, high = scope.box
                for kind in ("value", "report") if scope.space.owners[i] == deviator else ("value",):
                    entry = Linear.of((kind, i, j))
                    parts += [AtLeast(entry - Linear({}, low)), AtLeast(Linear({}, high) - entry)]
    return Every(tuple(parts))


def _representatives(world: World) -> Sequence[int]:
    """Bidders of whom one stands for all with as many requests, if public terms and mechanism treat them alike."""
    costs = world.scope.template.costs
    # What a choice that is not ours says of itself is a claim: there every bidder is asked about.
    if type(world.described.choice) not in TRUSTED or not world.described.choice.anonymous or (costs != costs[0]).any():
        return world.space.bidders
    first = {len(world.space.requests_of(bidder)): bidder for bidder in reversed(world.space.bidders)}
    return sorted(first.values())


def _settled(choice: Choice, space: Space, bidder: int, agents: Assignment) -> Assignment:
    """What no report of the bidder can move, by a choice that is ours; nothing by one that only says so."""
    return choice.settled(space, bidder, agents) if type(choice) in TRUSTED else ()


def _misreport(world: World, bidder: int) -> Question:
    space, choice = world.space, world.described.choice
    mine = space.requests_of(bidder)
    worth = world.values()
    honest: dict[Assignment, list[Condition]] = {}
    deviating: dict[Assignment, list[Condition]] = {}
    for agents, when in world.chosen(world.weights()).items():
        utility = taken(worth, agents, mine) - world.charge(bidder, agents)
        honest.setdefault(_settled(choice, space, bidder, agents), []).append(Every((when, AtLeast(_BEFORE - utility))))
    for agents, when in world.chosen(world.weights(bidder)).items():
        utility = taken(worth, agents, mine) - world.charge(bidder, agents, bidder)
        deviating.setdefault(_settled(choice, space, bidder, agents), []).append(
            Every((when, AtLeast(utility - _AFTER)))
        )
    either = Either(
        tuple(Every((Either(tuple(before)), Either(tuple(deviating[settled])))) for settled, before in honest.items())
    )
    cases = sum(len(before) * len(deviating[settled]) for settled, before in honest.items())
    return Question(bidder, either, _AFTER - _BEFORE, cases)


def _loss(world: World, bidder: int) -> Question:
    mine = world.space.requests_of(bidder)
    owed = world.charges.externality * _without(bidder)
    chosen = world.chosen(world.weights())
    worth = world.values()
    parts = tuple(
        Every((when, AtLeast(_BEFORE - taken(worth, agents, mine) + world.charge(bidder, agents) + owed)))
        for agents, when in chosen.items()
    )
    return Question(bidder, Every((Either(parts), world.alternative(bidder))), -1 * _BEFORE, len(parts))


def _deficit(world: World) -> Question:
    rule, bidders = world.charges, world.space.bidders
    agents_paid = range(len(world.space.capacities)) if rule.contribution else ()
    weights = world.weights()
    elsewhere = Linear.total(
        [rule.externality * _without(bidder) for bidder in bidders]
        + [rule.contribution * _lacking(agent) for agent in agents_paid]
    )
    parts = []
    for agents, when in world.chosen(weights).items():
        charges = Linear.total(world.charge(bidder, agents) for bidder in bidders)
        receipts = rule.receipts * taken(world.costs, agents) + (
            rule.contribution * len(agents_paid) * taken(weights, agents)
        )
        parts.append(Every((when, AtLeast(_BEFORE - charges - elsewhere + receipts))))
    alternatives = [world.alternative(bidder, least=rule.externality > 0) for bidder in bidders]
    alternatives += [world.substitute(agent, least=rule.contribution > 0) for agent in agents_paid]
    return Question(None, Every((Either(tuple(parts)), *alternatives)), -1 * _BEFORE, len(parts))


def _waste(world: World) -> Question:
    weights = world.weights()
    worth = [taken(weights, agents) for agents in world.space.assignments()]
    parts = tuple(
        Every((when, AtLeast(_BEFORE - taken(weights, agents)))) for agents, when in world.chosen(weights).items()
    )
    better = Either(tuple(AtLeast(welfare - _AFTER) for welfare in worth))
    return Question(None, Every((Either(parts), better)), _AFTER - _BEFORE, len(parts) * len(worth))
