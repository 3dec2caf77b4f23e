"""Scopes: the markets and misreports that a finding speaks about. A scope is part of every claim and prints itself.

`Grid` is finite and enumerated whole, so it can verify; `Sample` is drawn at random, so it can only refute. Coarse
grids hide violations (pay-as-bid at no cost is truthful on values {0, 1}, and no longer on {0..2}), which is why no
finding is ever printed without its scope.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from allocation import FORBIDDEN, MAX_AMOUNT, Market, MarketError
from allocation.money import Money
from proofs.errors import AuditError
from proofs.misreports.coalition import AgentMisreport
from proofs.misreports.misreport import Misreport
from proofs.scopes.agent_types import AgentTypes
from proofs.scopes.checks import MOST_PAIRS, amounts_of, at_least, bounds_of, count, integer, integers
from proofs.subject.tie_outcomes import TIES, tie_treatment


class Scope(Protocol):
    """Which reports exist. Engines decide which scopes they can examine; a scope itself owes but its exact name."""

    def __str__(self) -> str:
        """The scope in one line, complete enough to set it up again."""
        ...


@dataclass(frozen=True, eq=False)
class Grid:
    """Every market whose values lie on a grid; costs and capacities are public unless given as private.

    A bidder's type is one value per (own request, agent) pair; a profile is one type per player; a pair is a profile
    and one bidder's other report. With g values, M agents and K requests a bidder has g ** (K * M) types. Agents are
    players too where their costs or capacities are private: then each agent's type is its costs and its capacity.

    Args:
        bidders: number of players, >= 1.
        agents: number of agents, >= 1.
        values: the integers (micro-units, unless you choose a finer unit) that an entry may be.
        costs: one integer, (M,) integers, one per agent, or (N, M); public.
        capacities: one integer, or (M,) integers; public.
        owners: (N,) which bidder owns each request, every one of 0..bidders-1 at least once; default:
            `requests_per_bidder` each.
        feasible: (N, M) bool, or None where every pair may be matched.
        requests_per_bidder: requests of each bidder where `owners` is not given. An owner of several is ONE player.
        limit: refuse to enumerate more profiles than this.
        private_costs: the integers that an agent's cost may be, in micro-units; in place of `costs`.
        private_capacities: the integers that an agent's capacity may be; in place of `capacities`.
        costs_per_pair: whether an agent's private cost may differ between requests; otherwise it has one cost.
        one_good: whether a request is worth the same at every agent, one value per request in place of M.
        ties: which outcomes of a market that ties the claim speaks of: the `first`, as the allocator breaks them;
            `all` of them, each with each; or those of markets without a tie alone, `refuse` (see `outcomes`).

    Raises:
        AuditError: the space is empty, malformed, or beyond `limit`.

    Example:
        >>> grid = Grid(bidders=2, agents=2, values=range(3))
        >>> grid.profiles, grid.pairs
        (81, 1296)
    """

    bidders: int = 3
    agents: int = 2
    values: Sequence[int] = range(4)
    costs: ArrayLike = 0
    capacities: ArrayLike = 1
    owners: Sequence[int] | None = None
    feasible: ArrayLike | None = None
    requests_per_bidder: int = 1
    limit: int = 1_000_000
    private_costs: Sequence[int] | None = None
    private_capacities: Sequence[int] | None = None
    costs_per_pair: bool = False
    one_good: bool = False
    ties: str = "first"

    def __post_init__(self) -> None:
        tie_treatment(self.ties)
        object.__setattr__(self, "values", amounts_of(self.values, "values"))
        for name, public in (("private_costs", self.costs), ("private_capacities", self.capacities)):
            ticks = getattr(self, name)
            if ticks is not None:
                least = None if name == "private_costs" else 0
                object.__setattr__(self, name, amounts_of(ticks, name, least))
                default = 0 if name == "private_costs" else 1
                if np.any(np.asarray(public) != default):
                    raise AuditError(f"{name} and {name[8:]} = {public!r} both say what agents are; give one of them")
        if self.profiles > integer(self.limit, "limit"):
            raise AuditError(
                f"{self.bidders} bidders x {self.agents} agents, {len(self.values)} values: {count(self.profiles)} "
                f"profiles, limit {self.limit:,}; use fewer values, bidders, requests or agents, or Sample(...), or "
                "raise limit"
            )

    @cached_property
    def template(self) -> Market:
        """The market of this scope with all values 0: its public part."""
        return _template(self)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of types of each bidder, and then, where agents are players, of each agent."""
        owned = np.bincount(self.template.bidders).tolist()
        bidders = tuple(len(self.values) ** (requests * self._columns) for requests in owned)
        return bidders + tuple(types.size for types in self.agent_types)

    @cached_property
    def agent_types(self) -> tuple[AgentTypes, ...]:
        """The types of each agent; nothing where costs and capacities are public."""
        if self.private_costs is None and self.private_capacities is None:
            return ()
        costs, capacities = self.template.costs.T.tolist(), self.template.capacities.tolist()
        private = (self.private_costs, self.private_capacities, self.costs_per_pair)
        return tuple(AgentTypes(tuple(row), room, *private) for row, room in zip(costs, capacities, strict=True))

    @cached_property
    def profiles(self) -> int:
        """Number of type profiles: the product of `sizes`."""
        return math.prod(self.sizes)

    @property
    def pairs(self) -> int:
        """Number of (profile, bidder, misreport) triples: every profile with every other report of every bidder."""
        return self.pairs_of(range(self.bidders))

    def pairs_of(self, players: Iterable[int]) -> int:
        """Number of (profile, player, misreport) triples of these players; agents are numbered after the bidders."""
        return self.profiles * sum(self.sizes[player] - 1 for player in players)

    def types(self, bidder: int) -> Money:
        """(T, K, M) all types of a bidder with K requests; the last entry moves fastest."""
        base, entries = len(self.values), self.template.requests_of(bidder).size * self._columns
        digits = np.arange(self.sizes[bidder])[:, None] // base ** np.arange(entries)[::-1] % base
        rows: Money = np.array(self.values, np.int64)[digits].reshape(self.sizes[bidder], -1, self._columns)
        return np.broadcast_to(rows, (*rows.shape[:2], self.agents)) if self.one_good else rows

    def bundle_values(self, bidder: int, bundles: NDArray[np.int64]) -> Money:
        """(T, O) the value of each bundle (O, K), agents or `UNSERVED`, to each type of a bidder with K requests."""
        # One column of zeros at the end, where UNSERVED = -1 finds it.
        types = np.pad(self.types(bidder), ((0, 0), (0, 0), (0, 1)))
        values: Money = types[:, np.arange(bundles.shape[1]), bundles].sum(axis=2)
        return values

    def market(self, profile: int) -> Market:
        """The market of one profile, 0 <= profile < `profiles`; the last bidder's type moves fastest."""
        values = np.empty(self.template.shape, np.int64)
        rows = self.rows(profile)
        for bidder, row in enumerate(rows[: self.bidders]):
            values[self.template.bidders == bidder] = self._types[bidder][row]
        if not self.agent_types:
            return self.template.replace(values=values)
        private = list(zip(self.agent_types, rows[self.bidders :], strict=True))
        costs = np.stack([types.rows[row] for types, row in private], axis=1)
        return self.template.replace(values=values, costs=costs, capacities=[types.room[row] for types, row in private])

    def misreport(self, player: int, index: int) -> Misreport | AgentMisreport:
        """The report of a player's type `index`; agents are numbered after the bidders."""
        if player < self.bidders:
            return Misreport.of(player, self._types[player][index])
        return self.agent_types[player - self.bidders].misreport(player - self.bidders, index)

    def misreports(self, profile: int, player: int) -> Iterator[Misreport | AgentMisreport]:
        """Every report of the player other than its type in this profile."""
        own = self.rows(profile)[player]
        for index in range(self.sizes[player]):
            if index != own:
                yield self.misreport(player, index)

    def deviations(self, profile: int, player: int) -> list[int]:
        """The profiles in which the player has each of its types, and the others those of this profile."""
        rows = self.rows(profile)
        return [self.profile([*rows[:player], row, *rows[player + 1 :]]) for row in range(self.sizes[player])]

    def profile(self, rows: Sequence[int]) -> int:
        """The profile in which each player has the type of this index; the inverse of `rows`."""
        profile = 0
        for row, size in zip(rows, self.sizes, strict=True):
            profile = profile * size + row
        return profile

    def rows(self, profile: int) -> list[int]:
        """Index of each player's type in a profile, 0 <= profile < `profiles`.

        Raises:
            AuditError: there is no such profile.
        """
        if not 0 <= profile < self.profiles:
            raise AuditError(f"profile {profile} is not on this grid; profiles are 0..{self.profiles - 1}")
        rows = []
        for size in reversed(self.sizes):
            profile, row = divmod(profile, size)
            rows.append(row)
        return rows[::-1]

    @property
    def _columns(self) -> int:
        """Values that make up a request's row."""
        return 1 if self.one_good else self.agents

    @cached_property
    def _types(self) -> tuple[Money, ...]:
        return tuple(self.types(bidder) for bidder in range(self.bidders))

    def __str__(self) -> str:
        terms = public_terms(self.template, _private(self.private_costs, self.private_capacities, self.costs_per_pair))
        alike = " alike at all agents" if self.one_good else ""
        return f"{_players(self.template)}, values {_spelled(self.values)}{alike}, {terms}; {TIES[self.ties]}"


@dataclass(frozen=True, eq=False)
class Sample:
    """Random markets far beyond any grid: values uniform, and so are private costs. Can refute, never verify.

    Args:
        bidders, agents, costs, capacities, owners, feasible, requests_per_bidder: as in `Grid`.
        values: (low, high), both included, in micro-units; misreports stay within them too.
        draws: number of markets, >= 1.
        seed: the draws are a function of it, and of their index, alone.
        private_costs: (low, high) of an agent's private cost, both included; in place of `costs`.
        private_capacities: (low, high) of its private capacity; in place of `capacities`.
        costs_per_pair: as in `Grid`.

    Raises:
        AuditError: the space is empty or malformed.
    """

    bidders: int = 8
    agents: int = 4
    values: tuple[int, int] = (0, 1000)
    costs: ArrayLike = 0
    capacities: ArrayLike = 1
    owners: Sequence[int] | None = None
    feasible: ArrayLike | None = None
    requests_per_bidder: int = 1
    draws: int = 100
    seed: int = 0
    private_costs: tuple[int, int] | None = None
    private_capacities: tuple[int, int] | None = None
    costs_per_pair: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", bounds_of(self.values, "values", -MAX_AMOUNT))
        if self.private_costs is not None:
            object.__setattr__(self, "private_costs", bounds_of(self.private_costs, "private_costs", -MAX_AMOUNT))
        if self.private_capacities is not None:
            object.__setattr__(self, "private_capacities", bounds_of(self.private_capacities, "private_capacities", 0))
        at_least(0, self.seed, "seed")
        at_least(1, self.draws, "draws")
        object.__setattr__(self, "draws", int(self.draws))
        _ = self.template  # built here, so that a malformed space fails where it was written

    @cached_property
    def template(self) -> Market:
        """The market of this scope with all values 0: its public part."""
        return _template(self)

    def rng(self, draw: int) -> np.random.Generator:
        """The generator that belongs to one draw."""
        return np.random.default_rng([self.seed, draw])

    def market(self, draw: int) -> Market:
        """The market of one draw, 0 <= draw < `draws`."""
        rng, (n, m) = self.rng(draw), self.template.shape
        values = rng.integers(*self.values, (n, m), endpoint=True)
        costs = capacities = None
        if self.private_costs is not None:
            rows = n if self.costs_per_pair else 1
            costs = np.repeat(rng.integers(*self.private_costs, (rows, m), endpoint=True), n // rows, axis=0)
        if self.private_capacities is not None:
            capacities = rng.integers(*self.private_capacities, m, endpoint=True)
        return self.template.replace(values=values, costs=costs, capacities=capacities)

    def __str__(self) -> str:
        low, high = self.values
        ranges = [
            None if pair is None else range(pair[0], pair[1] + 1)
            for pair in (self.private_costs, self.private_capacities)
        ]
        terms = public_terms(self.template, _private(ranges[0], ranges[1], self.costs_per_pair))
        return (
            f"{self.draws} random markets of {_players(self.template)}, values uniform on {{{low}..{high}}}, "
            f"{terms}, seed {self.seed}; {TIES['first']}"
        )


def public_terms(market: Market, private: Mapping[str, str] = MappingProxyType({})) -> str:
    """Capacities, costs and forbidden pairs of a market, in words; what is private is described by `private`."""
    capacities = ",".join(str(capacity) for capacity in market.capacities.tolist())
    uniform = np.unique(market.costs)
    costs = uniform[0] if uniform.size == 1 else market.costs.tolist()
    forbidden = np.argwhere(market.weights == FORBIDDEN).tolist()
    pairs = "" if not forbidden else f", forbidden pairs {', '.join(f'({i}, {j})' for i, j in forbidden)}"
    return f"capacities {private.get('capacities', capacities)}, costs {private.get('costs', costs)}{pairs}"


def _private(costs: Sequence[int] | None, capacities: Sequence[int] | None, per_pair: bool) -> dict[str, str]:
    said = {}
    if costs is not None:
        said["costs"] = f"private in {_spelled(costs)} per {'pair' if per_pair else 'agent'}"
    if capacities is not None:
        said["capacities"] = f"private in {_spelled(capacities)}"
    return said


def _template(scope: "Grid | Sample") -> Market:
    bidders, agents = at_least(1, scope.bidders, "bidders"), at_least(1, scope.agents, "agents")
    requests = bidders * at_least(1, scope.requests_per_bidder, "requests_per_bidder")
    if requests * agents > MOST_PAIRS:
        raise AuditError(
            f"{count(requests)} requests x {count(agents)} agents exceed {MOST_PAIRS:,} pairs; use fewer of them"
        )
    owners = _owners(scope, bidders)
    shape = (owners.size, agents)
    try:
        return Market(
            values=np.zeros(shape, np.int64),
            costs=np.ascontiguousarray(np.broadcast_to(scope.costs, shape)),
            capacities=np.ascontiguousarray(np.broadcast_to(scope.capacities, (agents,))),
            feasible=scope.feasible,
            bidders=owners,
        )
    except MarketError as error:
        raise AuditError(f"no market has these public terms: {error}") from error
    except ValueError as error:
        raise AuditError(
            f"costs of shape {np.shape(scope.costs)} and capacities of shape {np.shape(scope.capacities)} do not fit "
            f"{owners.size} requests x {agents} agents; give one integer, one per agent, or (for costs) one per pair"
        ) from error


def _owners(scope: "Grid | Sample", bidders: int) -> Money:
    each = at_least(1, scope.requests_per_bidder, "requests_per_bidder")
    if scope.owners is None:
        return np.repeat(np.arange(bidders), each)
    owners = np.array(integers(scope.owners, "owners"), np.int64)
    if each != 1:
        raise AuditError(f"owners and requests_per_bidder = {each} both say who owns what; give one of them")
    if sorted(set(owners.tolist())) != list(range(bidders)):
        raise AuditError(f"owners = {owners.tolist()} must name each of the bidders 0..{bidders - 1} at least once")
    return owners


def _players(template: Market) -> str:
    owned = np.bincount(template.bidders).tolist()
    crowd = f"{len(owned)} bidder{'s' * (len(owned) > 1)}"
    if set(owned) != {1}:
        ordered = template.bidders.tolist() == sorted(template.bidders.tolist())
        crowd += f" with {','.join(map(str, owned))} requests" if ordered else f" owning {template.bidders.tolist()}"
    return f"{crowd} x {template.shape[1]} agent{'s' * (template.shape[1] > 1)}"


def _spelled(values: Sequence[int]) -> str:
    if len(values) > 2 and values[-1] - values[0] == len(values) - 1:
        return f"{{{values[0]}..{values[-1]}}}"
    return f"{{{', '.join(map(str, values))}}}"
