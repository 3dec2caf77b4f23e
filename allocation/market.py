"""`Market`: who wants what from whom, at which value and cost, and what holds of an allocation there.

A market has N requests and M agents. Serving request i at agent j is worth `values[i, j]` to the request's bidder and
costs `costs[i, j]`; their difference is the welfare of the pair. Agent j serves at most `capacities[j]` requests and
a request is served at most once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from reprlib import repr as shown

import numpy as np
from numpy.typing import ArrayLike, NDArray

from allocation.allocation import UNSERVED, Agents, Allocation, Mask, as_allocation
from allocation.checks import bidders_of, capacities_of, feasible_of, frozen, integer_of, rows_of
from allocation.errors import CertificateError, MarketError
from allocation.money import MAX_AMOUNT, Money, as_money
from allocation.notebook import market_table

#: Weight of a pair that may not be matched; far below any welfare, far above int64's edge.
FORBIDDEN = -(2**61)

#: Prices of a dual solution stay below this, or sums of them could leave int64.
MAX_PRICE = 2**60

#: So many requests fit whatever amounts they have: no sum of them reaches `MAX_PRICE`.
_NEVER_TOO_MANY = (MAX_PRICE - 1) // (2 * MAX_AMOUNT)


@dataclass(frozen=True, eq=False, init=False)
class Market:
    """One auction round, in int64 micro-units.

    Args:
        values: (N, M) worth of agent j's service to the bidder of request i; may be negative.
        costs: (N, M) what serving costs.
        capacities: (M,) slots per agent, >= 0.
        feasible: (N, M) bool, or None where every pair may be matched.
        bidders: (N,) who owns each request, or None where each request is a bidder of its own. All requests of an
            owner are ONE player.

    Raises:
        MarketError: on construction, naming row and column of the offending entry.

    Example:
        >>> market = Market(values=[[5, 3], [4, 1]], costs=[[1, 1], [1, 1]], capacities=[1, 1])
        >>> market.welfare(Allocation([1, 0]))
        5
        >>> market == market.replace(capacities=[1, 1]), market == market.replace(capacities=[1, 2])
        (True, False)
    """

    values: Money
    costs: Money
    capacities: NDArray[np.int64]
    feasible: Mask | None
    bidders: NDArray[np.int64]

    def __init__(
        self,
        values: ArrayLike,
        costs: ArrayLike,
        capacities: ArrayLike | Sequence[int],
        feasible: ArrayLike | None = None,
        bidders: ArrayLike | None = None,
    ) -> None:
        value_matrix = as_money(values, name="values", ndim=2)
        n, m = value_matrix.shape
        if m == 0:
            raise MarketError("values has no columns; a market needs at least one agent")
        cost_matrix = as_money(costs, name="costs", ndim=2)
        if cost_matrix.shape != (n, m):
            raise MarketError(f"costs has shape {cost_matrix.shape}, expected {(n, m)} like values")
        if n > _NEVER_TOO_MANY and n * _peak(value_matrix, cost_matrix) >= MAX_PRICE:
            raise MarketError(
                f"{n} requests of up to {_peak(value_matrix, cost_matrix)} micro-units could overflow a sum; "
                "rescale the unit"
            )
        object.__setattr__(self, "values", value_matrix)
        object.__setattr__(self, "costs", cost_matrix)
        object.__setattr__(self, "capacities", capacities_of(capacities, m))
        object.__setattr__(self, "feasible", feasible_of(feasible, (n, m)))
        object.__setattr__(self, "bidders", bidders_of(bidders, n))
        if bidders is None:
            object.__setattr__(self, "shared", _NOTHING_SHARED)

    @property
    def shape(self) -> tuple[int, int]:
        """(N requests, M agents)."""
        n, m = self.values.shape
        return n, m

    @cached_property
    def weights(self) -> Money:
        """(N, M) welfare of each pair, `values - costs`, and `FORBIDDEN` where a pair may not be matched."""
        weights = self.values - self.costs
        if self.feasible is not None:
            weights[~self.feasible] = FORBIDDEN
        weights.setflags(write=False)
        return weights

    @cached_property
    def players(self) -> tuple[int, ...]:
        """Owners of requests, each once, in order of first request."""
        return tuple(dict.fromkeys(self.bidders.tolist()))

    @cached_property
    def shared(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Requests of bidders with several, bidder by bidder; and (G + 1,) where each such bidder's begin in it."""
        if (self.bidders[1:] > self.bidders[:-1]).all():
            return _NOTHING_SHARED
        _, owner, owned = np.unique(self.bidders, return_inverse=True, return_counts=True)
        requests = np.argsort(owner, kind="stable")
        first = np.concatenate(([0], np.cumsum(owned[owned > 1])))
        return frozen(requests[owned[owner[requests]] > 1]), frozen(first)

    def key(self) -> bytes:
        """Bytes that two markets share exactly if they are equal: same amounts, capacities, bidders, forbidden pairs.

        As long as the market is large, and made anew each time, as are hashes and comparisons, which are made of it.
        """
        shut = b"" if self.feasible is None or self.feasible.all() else self.feasible.tobytes()
        parts = (np.array(self.shape), self.capacities, self.bidders, self.values, self.costs)
        return b"".join(part.tobytes() for part in parts) + shut

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Market):
            return NotImplemented
        return self is other or (self.shape == other.shape and self.key() == other.key())

    def __hash__(self) -> int:
        return hash(self.key())

    def _repr_html_(self, title: str = "") -> str:
        return market_table(self.values, self.costs, self.capacities, self.feasible, self.bidders, title)

    def __reduce__(self) -> tuple[object, ...]:
        # Arrays forget on the way that they are read-only.
        return type(self)._of_checked, (self.values, self.costs, self.capacities, self.feasible, self.bidders)

    def requests_of(self, bidder: int) -> NDArray[np.intp]:
        """Indices of a bidder's requests.

        Raises:
            MarketError: no request here is that bidder's.
        """
        return np.flatnonzero(self._owned_by(bidder))

    def _owned_by(self, bidder: int) -> Mask:
        mine: Mask = self.bidders == bidder if isinstance(bidder, int | np.integer) else np.zeros(0, np.bool_)
        if not mine.any():
            raise MarketError(f"no bidder {bidder!r}; bidders here are {list(self.players)}")
        return mine

    def loads(self, allocation: Allocation) -> NDArray[np.int64]:
        """(M,) how many requests each agent serves.

        Raises:
            CertificateError: it is of another number of requests, or of agents that are not here.
        """
        self._require_size(allocation)
        self._require_agents(allocation.agents)
        return self._loads(allocation)

    def _loads(self, allocation: Allocation) -> NDArray[np.int64]:
        served = allocation.agents[allocation.served]
        return np.bincount(served, minlength=self.shape[1]).astype(np.int64, copy=False)

    def take(self, matrix: Money, allocation: Allocation) -> Money:
        """(N,) the entry of `matrix` (N, M) at each request's agent; 0 where unserved.

        Raises:
            MarketError: the matrix is no (N, M) integers.
            CertificateError: as `loads`.
        """
        if not isinstance(matrix, np.ndarray) or matrix.shape != self.shape or matrix.dtype.kind not in "iu":
            raise MarketError(f"matrix = {shown(matrix)}; expected integers in an array of shape {self.shape}")
        self._require_size(allocation)
        agents = allocation.agents
        served = allocation.served
        entries = np.zeros(agents.size, np.int64)
        there = agents[served]
        try:
            entries[served] = matrix[served, there]
        except IndexError:
            self._require_agents(agents)
            raise
        # Python counts negative indices from the end.
        if there.size and np.minimum.reduce(there) < 0:
            self._require_agents(agents)
        return entries

    def welfare(self, allocation: Allocation) -> int:
        """Sum of value minus cost over served requests, in micro-units.

        Raises:
            CertificateError: the allocation does not fit this market (`check`).
        """
        self.check(allocation)
        return int(self.take(self.weights, allocation).sum())

    def check(self, allocation: Allocation) -> None:
        """Raise `CertificateError`, naming the request or agent at fault, unless the allocation is feasible here."""
        self._require_size(allocation)
        agents = allocation.agents
        self._require_agents(agents)
        if self.feasible is not None:
            served = allocation.served.nonzero()[0]
            allowed = self.feasible[served, agents[served]]
            if not allowed.all():
                row = served[~allowed][0]
                raise CertificateError(f"request {row} is given to agent {agents[row]}, a forbidden pair")
        loads = self._loads(allocation)
        full = loads > self.capacities
        if full.any():
            column = int(np.flatnonzero(full)[0])
            raise CertificateError(
                f"agent {column} serves {loads[column]} requests, its capacity is {self.capacities[column]}"
            )

    def _require_size(self, allocation: Allocation) -> None:
        agents = as_allocation(allocation).agents
        if agents.size != self.values.shape[0]:
            raise CertificateError(f"allocation has {agents.size} requests, the market {self.values.shape[0]}")

    def _require_agents(self, agents: Agents) -> None:
        m = self.shape[1]
        # One reduction each is quicker than masks, on the few requests of a round.
        if agents.size and (np.minimum.reduce(agents) < UNSERVED or np.maximum.reduce(agents) >= m):
            bad = (agents < UNSERVED) | (agents >= m)
            row = int(np.flatnonzero(bad)[0])
            raise CertificateError(
                f"request {row} is given to agent {agents[row]}; agents are 0..{m - 1} or {UNSERVED}"
            )

    def certify(self, allocation: Allocation) -> int:
        """Prove the allocation welfare-optimal from its prices in one pass and return its welfare.

        The prices q are a feasible dual, and complementary slackness holds exactly: q >= 0; q_j = 0 wherever agent
        j has a free slot; no request prefers another agent, or none, at these prices (Shapley and Shubik 1971).

        Raises:
            CertificateError: naming the first agent or request that breaks the proof.
        """
        self.check(allocation)
        prices = allocation.prices
        if prices is None:
            raise CertificateError("the allocation carries no prices; ask an exact allocator, or allocation.improve")
        self._check_prices(prices, self._loads(allocation))
        net = np.where(self.weights == FORBIDDEN, FORBIDDEN, self.weights - prices)
        best = np.maximum(net.max(axis=1), 0)
        chosen = self.take(net, allocation)
        envy = np.flatnonzero(best > chosen)
        if envy.size:
            row = int(envy[0])
            where = "staying out" if net[row].max() <= 0 else f"agent {int(net[row].argmax())}"
            raise CertificateError(
                f"at prices {prices.tolist()} request {row} gains {best[row] - chosen[row]} by {where}: not optimal"
            )
        return int(self.take(self.weights, allocation).sum())

    def _check_prices(self, prices: Money, loads: NDArray[np.int64]) -> None:
        m = self.shape[1]
        if prices.shape != (m,):
            raise CertificateError(f"{prices.size} prices for {m} agents")
        bad = (prices < 0) | (prices >= MAX_PRICE)
        if bad.any():
            column = int(np.flatnonzero(bad)[0])
            raise CertificateError(f"price {prices[column]} of agent {column} is outside [0, {MAX_PRICE})")
        idle = (prices > 0) & (loads < self.capacities)
        if idle.any():
            column = int(np.flatnonzero(idle)[0])
            raise CertificateError(f"agent {column} has a free slot but price {prices[column]} > 0")

    def requests(self, rows: ArrayLike) -> "Market":
        """The market of the given requests alone, in the given order; same agents and capacities."""
        keep = rows_of(rows, self.shape[0], "rows")
        feasible = None if self.feasible is None else self.feasible[keep]
        parts = self.values[keep], self.costs[keep], self.capacities.copy(), feasible, self.bidders[keep]
        # More rows than there are may overflow a sum.
        return Market._of_checked(*parts) if keep.size <= self.shape[0] else Market(*parts)

    def without(self, bidder: int) -> "Market":
        """The market without any request of `bidder`.

        Raises:
            MarketError: no request here is that bidder's.
        """
        return self.requests(np.flatnonzero(~self._owned_by(bidder)))

    def without_agent(self, agent: int) -> "Market":
        """The market in which the agent serves nobody: its capacity is 0."""
        capacities = self.capacities.copy()
        capacities[integer_of(agent, "agent", 0, self.shape[1] - 1)] = 0
        return self.replace(capacities=capacities)

    def drop_agent(self, agent: int) -> "Market":
        """The market without the agent's column; agents after it move up by one.

        Raises:
            MarketError: it is the only agent.
        """
        kept = np.arange(self.shape[1]) != integer_of(agent, "agent", 0, self.shape[1] - 1)
        feasible = None if self.feasible is None else self.feasible[:, kept]
        return Market(self.values[:, kept], self.costs[:, kept], self.capacities[kept], feasible, self.bidders)

    def replace(
        self, *, values: ArrayLike | None = None, costs: ArrayLike | None = None, capacities: ArrayLike | None = None
    ) -> "Market":
        """The same market with other values, costs or capacities: what it looks like under other reports."""
        n, m = self.shape
        value_matrix = self.values.copy() if values is None else as_money(values, name="values", ndim=2)
        cost_matrix = self.costs.copy() if costs is None else as_money(costs, name="costs", ndim=2)
        if {value_matrix.shape, cost_matrix.shape} != {(n, m)} or n > _NEVER_TOO_MANY:
            room = self.capacities if capacities is None else capacities
            return Market(value_matrix, cost_matrix, room, self.feasible, self.bidders)
        room = self.capacities.copy() if capacities is None else capacities_of(capacities, m)
        feasible = None if self.feasible is None else self.feasible.copy()
        return Market._of_checked(value_matrix, cost_matrix, room, feasible, self.bidders.copy())

    @classmethod
    def _of_checked(
        cls,
        values: Money,
        costs: Money,
        capacities: NDArray[np.int64],
        feasible: Mask | None,
        bidders: NDArray[np.int64],
    ) -> "Market":
        """A market of these very arrays, which nobody else may hold; each was checked before, or is part of one."""
        market = object.__new__(cls)
        for part in (values, costs, capacities, bidders):
            part.setflags(write=False)
        if feasible is not None:
            feasible.setflags(write=False)
        # One update is quicker than five past the guard of a frozen dataclass.
        market.__dict__.update(values=values, costs=costs, capacities=capacities, feasible=feasible, bidders=bidders)
        return market

    def __repr__(self) -> str:
        n, m = self.shape
        if n * m > 64:
            return f"<Market {n} requests x {m} agents, {len(self.players)} bidders>"
        parts = [
            f"values={self.values.tolist()}",
            f"costs={self.costs.tolist()}",
            f"capacities={self.capacities.tolist()}",
        ]
        if self.feasible is not None:
            parts.append(f"feasible={self.feasible.tolist()}")
        if self.players != tuple(range(n)):
            parts.append(f"bidders={self.bidders.tolist()}")
        return f"Market({', '.join(parts)})"


def as_market(given: object) -> Market:
    """The market, as it is.

    Raises:
        MarketError: it is something else.
    """
    if isinstance(given, Market):
        return given
    raise MarketError(f"{shown(given)} is no Market; write Market(values, costs, capacities)")


#: `Market.shared` where each request is a bidder of its own.
_NOTHING_SHARED = frozen(np.zeros(0, np.int64)), frozen(np.zeros(1, np.int64))


def _peak(values: Money, costs: Money) -> int:
    return int(np.abs(values).max(initial=0)) + int(np.abs(costs).max(initial=0))
