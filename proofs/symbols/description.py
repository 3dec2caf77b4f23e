"""What a mechanism is, in symbols: which allocations it may choose at which weights, and what it charges for them.

A solver cannot read Python. So a proof over all real valuations is a proof about a `Description`, which covers every
way of breaking ties at once, and `agreement` compares the Python object with it. What ships is described here. A
stranger's allocator, rule or mechanism describes itself by an attribute `symbolic`; one without any is refused. So is
one that inherits it and overrides the method that it speaks of: it has to say so anew.

    class HalfPrice:
        symbolic = Charges(value=Fraction(1, 2))
        def charge(self, market, allocation, allocator): ...
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import ClassVar, Protocol, runtime_checkable

from allocation import UNSERVED, Greedy, stands_for
from mechanisms import VCG, FirstCome, Mechanism, PayAsBid, PostedPrice
from mechanisms.rules.two_sided import ProcurementVCG, TwoSidedVCG
from proofs.errors import AuditError
from proofs.symbols.linear import AtLeast, Condition, Either, Every, Greatest, Linear, Rational

#: The agent of each request, or `UNSERVED`.
Assignment = tuple[int, ...]
Weights = tuple[tuple[Linear, ...], ...]


class DescriptionError(AuditError):
    """A mechanism that does not say in symbols what it is, or is not what it says."""


@dataclass(frozen=True, slots=True)
class Space:
    """The public part of a market: `owners` (N,) numbers the bidder of each request, `capacities` (M,)."""

    owners: tuple[int, ...]
    capacities: tuple[int, ...]

    def requests_of(self, bidder: int) -> tuple[int, ...]:
        """The bidder's requests."""
        return tuple(i for i, owner in enumerate(self.owners) if owner == bidder)

    @property
    def bidders(self) -> tuple[int, ...]:
        """Each bidder once."""
        return tuple(sorted(set(self.owners)))

    def lacking(self, agent: int) -> "Space":
        """The same without this agent's capacity."""
        capacities = (*self.capacities[:agent], 0, *self.capacities[agent + 1 :])
        return Space(self.owners, capacities)

    def assignments(self, absent: tuple[int, ...] = ()) -> tuple[Assignment, ...]:
        """Every feasible assignment in which the `absent` requests are unserved."""
        return _assignments(len(self.owners), self.capacities, absent)


@cache
def _assignments(n: int, capacities: tuple[int, ...], absent: tuple[int, ...]) -> tuple[Assignment, ...]:
    agents = (UNSERVED, *range(len(capacities)))
    options = [(UNSERVED,) if i in absent else agents for i in range(n)]
    return tuple(
        chosen
        for chosen in product(*options)
        if all(chosen.count(agent) <= room for agent, room in enumerate(capacities))
    )


def taken(entries: Weights, agents: Assignment, requests: tuple[int, ...] | None = None) -> Linear:
    """Sum of the entries at the agents of the given requests, by default of all."""
    rows = range(len(agents)) if requests is None else requests
    return Linear.total(entries[i][agents[i]] for i in rows if agents[i] != UNSERVED)


@runtime_checkable
class Choice(Protocol):
    """Which assignments an allocator may choose.

    `anonymous`: requests are treated alike up to ties, so that one bidder stands for all with as many requests.
    """

    @property
    def anonymous(self) -> bool:
        """Whether renaming requests renames the answer, ties aside."""
        ...

    def conditions(self, space: Space, weights: Weights, absent: tuple[int, ...]) -> Mapping[Assignment, Condition]:
        """For each assignment that may be chosen, when. The `absent` requests are not in the market."""
        ...

    def settled(self, space: Space, bidder: int, agents: Assignment) -> Assignment:
        """The part of an assignment that the bidder's own report cannot move, whatever it is."""
        ...


@dataclass(frozen=True, slots=True)
class Optimal:
    """Any assignment of greatest welfare."""

    anonymous: ClassVar[bool] = True

    def conditions(self, space: Space, weights: Weights, absent: tuple[int, ...]) -> Mapping[Assignment, Condition]:
        """Its welfare is the greatest."""
        welfare = {agents: taken(weights, agents) for agents in space.assignments(absent)}
        among = tuple(welfare.values())
        return {agents: Greatest(worth, among) for agents, worth in welfare.items()}

    def settled(self, space: Space, bidder: int, agents: Assignment) -> Assignment:
        """Nothing."""
        return ()

    def __str__(self) -> str:
        return "any welfare-optimal assignment"


@dataclass(frozen=True, slots=True)
class ByWeight:
    """Pairs by falling weight while they fit and are worth more than nothing, equal weights in any order.

    These are exactly the assignments in which every unused pair is worth nothing, or its request is served by a pair of
    at least its weight, or its agent is full of such pairs: order the used pairs first among equals.
    """

    anonymous: ClassVar[bool] = True

    def conditions(self, space: Space, weights: Weights, absent: tuple[int, ...]) -> Mapping[Assignment, Condition]:
        """Used pairs are worth something, unused ones are dominated."""
        return {
            agents: Every(tuple(self._pairs(space, weights, absent, agents))) for agents in space.assignments(absent)
        }

    def _pairs(self, space: Space, weights: Weights, absent: tuple[int, ...], agents: Assignment) -> "list[Condition]":
        found: list[Condition] = []
        for i, j in product(range(len(agents)), range(len(space.capacities))):
            weight = weights[i][j]
            if i in absent:
                continue
            if agents[i] == j:
                found.append(AtLeast(weight, strict=True))
                continue
            why: list[Condition] = [AtLeast(-1 * weight)]
            if agents[i] != UNSERVED:
                why.append(AtLeast(weights[i][agents[i]] - weight))
            if agents.count(j) == space.capacities[j]:
                rivals = (k for k, agent in enumerate(agents) if agent == j)
                why.append(Every(tuple(AtLeast(weights[k][j] - weight) for k in rivals)))
            found.append(Either(tuple(why)))
        return found

    def settled(self, space: Space, bidder: int, agents: Assignment) -> Assignment:
        """Nothing."""
        return ()

    def __str__(self) -> str:
        return "greedy by weight"


@dataclass(frozen=True, slots=True)
class InTurn:
    """Bidders in turn take the bundle they like best, at `markup` a request, from what is left."""

    markup: Rational = 0
    anonymous: ClassVar[bool] = False

    def conditions(self, space: Space, weights: Weights, absent: tuple[int, ...]) -> Mapping[Assignment, Condition]:
        """Each bidder's bundle is the favourite among those for which earlier bidders left capacity."""
        margins = tuple(tuple(weight - Linear({}, self.markup) for weight in row) for row in weights)
        favourites: dict[tuple[int, tuple[int, ...]], dict[Assignment, Condition]] = {}
        found: dict[Assignment, Condition] = {}
        for agents in space.assignments(absent):
            room, parts = list(space.capacities), []
            for bidder in self._turns(space):
                mine = tuple(i for i in space.requests_of(bidder) if i not in absent)
                key = (bidder, tuple(room))
                if key not in favourites:
                    others = tuple(i for i in range(len(agents)) if i not in mine)
                    worth = {
                        tuple(bundle[i] for i in mine): taken(margins, bundle)
                        for bundle in _assignments(len(agents), tuple(room), others)
                    }
                    among = tuple(worth.values())
                    favourites[key] = {bundle: Greatest(part, among) for bundle, part in worth.items()}
                bundle = tuple(agents[i] for i in mine)
                parts.append(favourites[key][bundle])
                for agent in bundle:
                    if agent != UNSERVED:
                        room[agent] -= 1
            found[agents] = Every(tuple(parts))
        return found

    def settled(self, space: Space, bidder: int, agents: Assignment) -> Assignment:
        """What earlier bidders took: each sees their own row and what is left, and breaks ties by these alone."""
        turns = self._turns(space)
        earlier = set(turns[: turns.index(bidder)])
        return tuple(agent for agent, owner in zip(agents, space.owners, strict=True) if owner in earlier)

    def _turns(self, space: Space) -> list[int]:
        return list(dict.fromkeys(space.owners))

    def __str__(self) -> str:
        return f"bidders in turn, each his favourite at cost plus {self.markup}"


@dataclass(frozen=True, slots=True)
class Charges:
    """What a bidder pays, and what an agent receives, as sums of multiples.

    Args:
        value: times the value that is reported for what the bidder gets.
        cost: times the cost of it.
        externality: times the welfare that the same allocator gives the others alone, minus what they have.
        served: micro-units for each of the bidder's requests that is served.
        receipts: times the cost of what an agent serves, paid to it.
        contribution: times the welfare that would be missing without the agent, paid to it.
    """

    value: Rational = 0
    cost: Rational = 0
    externality: Rational = 0
    served: Rational = 0
    receipts: Rational = 1
    contribution: Rational = 0

    def __str__(self) -> str:
        parts = [
            f"{'' if part == 1 else f'{part} x '}{name}"
            for name, part in (("value", self.value), ("cost", self.cost), ("externality", self.externality))
            if part
        ]
        if self.served:
            parts.append(f"{self.served} a slot")
        paid = " + ".join(parts) or "nothing"
        if (self.receipts, self.contribution) == (1, 0):
            return f"charges {paid}"
        return f"charges {paid}, pays agents {self.receipts} x cost + {self.contribution} x contribution"


@dataclass(frozen=True, slots=True)
class Description:
    """A mechanism in symbols."""

    choice: Choice
    charges: Charges

    def __str__(self) -> str:
        return f"{self.choice}, {self.charges}"


def describe(mechanism: object) -> Description:
    """The description of a mechanism: its own `symbolic`, or that of its allocator and its payment rule.

    Raises:
        DescriptionError: it has none.
    """
    own = _own(mechanism, "symbolic", "run")
    if isinstance(own, Description):
        return own
    if type(mechanism) is Mechanism:
        return Description(_choice(mechanism.allocator), _charges(mechanism.rule))
    raise _undescribed(mechanism, "Description(choice, charges)")


def _choice(allocator: object) -> Choice:
    own = _own(allocator, "symbolic", "allocate")
    if isinstance(own, Choice):
        return own
    if _own(allocator, "exact", "allocate") is True:
        return Optimal()
    if type(allocator) is Greedy:
        return ByWeight()
    if type(allocator) is FirstCome:
        return InTurn(allocator.markup)
    raise _undescribed(allocator, "a Choice such as Optimal() or ByWeight(), or exact = True")


def _charges(rule: object) -> Charges:
    own = _own(rule, "symbolic", "charge")
    if isinstance(own, Charges):
        return own
    if type(rule) is VCG:
        return Charges(cost=1, externality=1)
    if type(rule) is TwoSidedVCG:
        return Charges(cost=1, externality=1, contribution=1)
    if type(rule) is ProcurementVCG:
        return Charges(value=1, contribution=1)
    if type(rule) is PayAsBid:
        return Charges(value=1)
    if type(rule) is PostedPrice:
        return Charges(cost=1, served=rule.markup)
    raise _undescribed(rule, "Charges(...)")


def _own(thing: object, attribute: str, method: str) -> object:
    """The attribute, unless it is inherited and speaks of a method that has been overridden since."""
    return getattr(thing, attribute, None) if stands_for(thing, attribute, method) else None


def _undescribed(thing: object, remedy: str) -> DescriptionError:
    kind = type(thing).__name__
    return DescriptionError(
        f"{kind} does not say in symbols what it does, so nothing can be proved of it for all real values; give it an "
        f"attribute symbolic = {remedy}, or audit it over a Grid"
    )
