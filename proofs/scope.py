"""Scopes: the markets and lies that a finding speaks about. A scope is part of every claim, and prints itself exactly.

`Grid` is finite and enumerated whole, so it can verify; `Sample` is drawn at random, so it can only refute. Coarse
grids hide violations (pay-as-bid at no cost is truthful on values {0, 1}, and no longer on {0..2}), which is why no
finding is ever printed without its scope.
"""

import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from allocation import FORBIDDEN, MAX_AMOUNT, Market, MarketError
from allocation.money import Money
from proofs.errors import AuditError
from proofs.lies import Lie

TIES = "ties as the allocator breaks them (first)"


class Scope(Protocol):
    """Which reports exist. Engines decide which scopes they can examine; a scope itself owes but its exact name."""

    def __str__(self) -> str:
        """The scope in one line, complete enough to set it up again."""
        ...


@dataclass(frozen=True, eq=False)
class Grid:
    """Every market whose values lie on a grid, with public costs and capacities.

    A bidder's type is one value per (request of his, agent) pair; a profile is one type per bidder; a pair is a profile
    and one bidder's other report. With g values, M agents and K requests a bidder has g ** (K * M) types.

    Args:
        bidders: number of players, >= 1.
        agents: number of agents, >= 1.
        values: the integers (ticks: micro-units unless you choose a finer unit) that an entry may be.
        costs: one integer, (M,) integers, one per agent, or (N, M); public.
        capacities: one integer, or (M,) integers; public.
        owners: (N,) which bidder owns each request, every one of 0..bidders-1 at least once; default:
            `requests_per_bidder` each.
        feasible: (N, M) bool, or None where every pair may be matched.
        requests_per_bidder: requests of each bidder where `owners` is not given. An owner of several is ONE player.
        limit: refuse to enumerate more profiles than this.

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

    def __post_init__(self) -> None:
        values = tuple(sorted(_integers(self.values, "values")))
        if not values:
            raise AuditError("values is empty; a grid needs at least one value, e.g. values=range(4)")
        if len(set(values)) < len(values):
            raise AuditError(f"values {list(values)} repeat; name each value once")
        if max(abs(values[0]), abs(values[-1])) > MAX_AMOUNT:
            raise AuditError(
                f"values reach {max(values, key=abs)}, beyond {MAX_AMOUNT} ticks; rescale the unit of money"
            )
        object.__setattr__(self, "values", values)
        if self.profiles > self.limit:
            raise AuditError(
                f"{self.bidders} bidders x {self.agents} agents, {len(values)} values: {self.profiles:,} profiles, "
                f"limit {self.limit:,}; use fewer values, bidders, requests or agents, or Sample(...), or raise limit"
            )

    @cached_property
    def template(self) -> Market:
        """The market of this scope with all values 0: its public part."""
        return _template(self)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of types of each bidder."""
        owned = np.bincount(self.template.bidders).tolist()
        return tuple(len(self.values) ** (requests * self.agents) for requests in owned)

    @cached_property
    def profiles(self) -> int:
        """Number of type profiles: the product of `sizes`."""
        return math.prod(self.sizes)

    @property
    def pairs(self) -> int:
        """Number of (profile, bidder, lie) triples: every profile with every other report of every bidder."""
        return self.profiles * sum(size - 1 for size in self.sizes)

    def types(self, bidder: int) -> Money:
        """(T, K, M) all types of a bidder with K requests; the last entry moves fastest."""
        base, entries = len(self.values), self.template.requests_of(bidder).size * self.agents
        digits = np.arange(self.sizes[bidder])[:, None] // base ** np.arange(entries)[::-1] % base
        rows: Money = np.array(self.values, np.int64)[digits].reshape(self.sizes[bidder], -1, self.agents)
        return rows

    def market(self, profile: int) -> Market:
        """The market of one profile, 0 <= profile < `profiles`; the last bidder's type moves fastest."""
        values = np.empty(self.template.shape, np.int64)
        for bidder, row in enumerate(self._rows(profile)):
            values[self.template.bidders == bidder] = self._types[bidder][row]
        return self.template.replace(values=values)

    def lies(self, profile: int, bidder: int) -> Iterator[Lie]:
        """Every report of the bidder other than his type in this profile."""
        own = self._rows(profile)[bidder]
        for index, rows in enumerate(self._types[bidder]):
            if index != own:
                yield Lie.of(bidder, rows)

    def _rows(self, profile: int) -> list[int]:
        """Index of each bidder's type in a profile."""
        if not 0 <= profile < self.profiles:
            raise AuditError(f"profile {profile} is not on this grid; profiles are 0..{self.profiles - 1}")
        rows = []
        for size in reversed(self.sizes):
            profile, row = divmod(profile, size)
            rows.append(row)
        return rows[::-1]

    @cached_property
    def _types(self) -> tuple[Money, ...]:
        return tuple(self.types(bidder) for bidder in range(self.bidders))

    def __str__(self) -> str:
        return f"{_players(self.template)}, values {_spelled(self.values)}, {public_terms(self.template)}; {TIES}"


@dataclass(frozen=True, eq=False)
class Sample:
    """Random markets far beyond any grid: values uniform, costs and capacities public. Can refute, never verify.

    Args:
        bidders, agents, costs, capacities, owners, feasible, requests_per_bidder: as in `Grid`.
        values: (low, high), both included, in ticks; lies stay within them too.
        draws: number of markets, >= 1.
        seed: the draws are a function of it, and of their index, alone.

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

    def __post_init__(self) -> None:
        bounds = _integers(self.values, "values")
        if len(bounds) != 2 or not -MAX_AMOUNT <= bounds[0] <= bounds[1] <= MAX_AMOUNT:
            raise AuditError(
                f"values = {self.values!r}; a sample draws from (low, high), both within {MAX_AMOUNT} ticks"
            )
        _at_least(0, self.seed, "seed")
        _at_least(1, self.draws, "draws")
        object.__setattr__(self, "values", bounds)
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
        low, high = self.values
        return self.template.replace(values=self.rng(draw).integers(low, high, self.template.shape, endpoint=True))

    def __str__(self) -> str:
        low, high = self.values
        return (
            f"{self.draws} random markets of {_players(self.template)}, values uniform on {{{low}..{high}}}, "
            f"{public_terms(self.template)}, seed {self.seed}; {TIES}"
        )


def public_terms(market: Market) -> str:
    """Capacities, costs and forbidden pairs of a market, in words."""
    capacities = ",".join(str(capacity) for capacity in market.capacities.tolist())
    uniform = np.unique(market.costs)
    costs = uniform[0] if uniform.size == 1 else market.costs.tolist()
    forbidden = np.argwhere(market.weights == FORBIDDEN).tolist()
    pairs = "" if not forbidden else f", forbidden pairs {', '.join(f'({i}, {j})' for i, j in forbidden)}"
    return f"capacities {capacities}, costs {costs}{pairs}"


def _template(scope: "Grid | Sample") -> Market:
    bidders, agents = _at_least(1, scope.bidders, "bidders"), _at_least(1, scope.agents, "agents")
    owners = _owners(scope, bidders)
    shape = (owners.size, agents)
    try:
        return Market(
            values=np.zeros(shape, np.int64),
            costs=np.broadcast_to(scope.costs, shape),
            capacities=np.broadcast_to(scope.capacities, (agents,)),
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
    each = _at_least(1, scope.requests_per_bidder, "requests_per_bidder")
    if scope.owners is None:
        return np.repeat(np.arange(bidders), each)
    owners = np.array(_integers(scope.owners, "owners"), np.int64)
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


def _integer(value: object, name: str) -> int:
    if isinstance(value, bool | np.bool_):
        raise AuditError(f"{name} holds {value!r}; expected integers")
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise AuditError(f"{name} holds {value!r}; expected integers: scale money to ticks first") from None


def _integers(values: object, name: str) -> tuple[int, ...]:
    if not isinstance(values, Iterable):
        raise AuditError(f"{name} = {values!r}; expected several integers, e.g. range(4)")
    return tuple(_integer(value, name) for value in values)


def _at_least(least: int, value: object, name: str) -> int:
    number = _integer(value, name)
    if number < least:
        raise AuditError(f"{name} = {number}; expected an integer >= {least}")
    return number
