"""`Cycle`: the evidence that no payments make an allocator truthful.

Fix what the others report. Types t_1 ... t_k of one bidder each get an option; let every one of them report as the
next, the last as the first. Each option is still taken once, so whatever payments hang on them cancel in the sum. If
together the types are better off, then under every payment rule at least one of them gains by a misreport (Rochet
1987). With k = 2 this is a violation of weak monotonicity (Bikhchandani, Chatterji, Lavi, Mu'alem, Nisan and Sen 2006).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from allocation import Allocation, Allocator, CertificateError, Market
from allocation.money import Money, as_array
from mechanisms import find_allocator
from proofs.arguments import require_allocator, require_market, several
from proofs.errors import AuditError
from proofs.evidence.evidence import replay
from proofs.evidence.json import market_as_dict, market_from
from proofs.misreports.misreport import spelled_rows
from proofs.scopes.grid import public_terms
from proofs.subject.subject import to_expression

Rows = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Cycle:
    """Types of one bidder that gain `amount` micro-units (> 0) together if each reports as the next.

    Args:
        market: the others' reports and all that is public; the bidder's own rows are those of the first type.
        bidder: whose types these are.
        types: k >= 2 types, (K, M) values each for their K requests.
        bundles: k times the agents (K,) that serve the bidder who reports that type, -1 where unserved.
        amount: the sum over types of what the next type's bundle is worth more than the own one, in micro-units.
    """

    market: Market
    bidder: int
    types: tuple[Rows, ...]
    bundles: Rows
    amount: int

    @classmethod
    def of(cls, allocator: Allocator, market: Market, bidder: int, types: Sequence[ArrayLike]) -> "Cycle | None":
        """Run the allocator on every type and add up: a cycle of positive gain, or None.

        Raises:
            AuditError: fewer than two types, types of the wrong shape, or the allocator is infeasible.
        """
        require_allocator(allocator)
        mine = require_market(market).requests_of(bidder)
        rows = [as_array(own, "types") for own in several(types, "types", "types, each rows of values")]
        shape = (mine.size, market.shape[1])
        if len(rows) < 2 or any(own.shape != shape or own.dtype.kind not in "iu" for own in rows):
            raise AuditError(
                f"a cycle takes at least 2 types, integers of shape {shape}; got {[own.shape for own in rows]}"
            )
        markets = [reported(market, mine, own) for own in rows]
        bundles = [allocated(allocator, each).agents[mine] for each in markets]
        amount = sum(
            bundle_value(own, bundles[(index + 1) % len(rows)]) - bundle_value(own, bundles[index])
            for index, own in enumerate(rows)
        )
        if amount <= 0:
            return None
        return cls(markets[0], bidder, _plain(rows), tuple(tuple(bundle.tolist()) for bundle in bundles), amount)

    def replay(self, allocator: Allocator) -> int:
        """Run the allocator again on every type and return the amount.

        Raises:
            ReplayError: amount or bundles differ from what is written here.
        """
        return replay(self, allocator)

    @property
    def recorded(self) -> Mapping[str, object]:
        """The amount and the bundles."""
        return {"amount": self.amount, "bundles": self.bundles}

    def again(self, allocator: Allocator) -> "Cycle | None":
        """The same types, run from scratch."""
        return Cycle.of(allocator, self.market, self.bidder, self.types)

    @property
    def simplicity(self) -> tuple[int, ...]:
        """Smaller is simpler: types, bidders, requests, agents, capacity; then costs, largest value, sum of values."""
        market, numbers = self.market, self._numbers()[self.market.costs.size :]
        return (
            len(self.types),
            len(market.players),
            *market.shape,
            int(market.capacities.sum()),
            int(np.abs(market.costs).sum()),
            int(np.abs(numbers).max(initial=0)),
            int(np.abs(numbers).sum()),
        )

    def simpler(self) -> Iterator["Cycle"]:
        """One type, bidder, agent or unit of capacity fewer; smaller numbers.

        The market may lie outside the grid that was swept: the cycle is about the allocator.
        """
        market, types = self.market, np.array(self.types, np.int64)
        if len(types) > 2:
            for index in range(len(types)):
                yield self._with(market, np.delete(types, index, axis=0))
        for other in market.players:
            if other != self.bidder:
                yield self._with(market.without(other), types)
        for agent in range(market.shape[1] if market.shape[1] > 1 else 0):
            yield self._with(market.drop_agent(agent), np.delete(types, agent, axis=2))
        for agent, capacity in enumerate(market.capacities.tolist()):
            tighter = market.capacities.copy()
            tighter[agent] = max(0, capacity - 1)
            yield self._with(market.replace(capacities=tighter), types)
        numbers = self._numbers()
        yield self._rebuilt(numbers // 2)
        for index in np.flatnonzero(numbers).tolist():
            for value in (0, int(numbers[index]) // 2, int(numbers[index] - np.sign(numbers[index]))):
                smaller = numbers.copy()
                smaller[index] = value
                yield self._rebuilt(smaller)

    def _numbers(self) -> Money:
        """Costs, values of all requests (0 for the bidder's own) and types, in one row."""
        values = self.market.values.copy()
        values[self.market.requests_of(self.bidder)] = 0
        return np.concatenate([self.market.costs.ravel(), values.ravel(), np.array(self.types, np.int64).ravel()])

    def _rebuilt(self, numbers: Money) -> "Cycle":
        size, shape = self.market.values.size, self.market.shape
        market = self.market.replace(
            costs=numbers[:size].reshape(shape), values=numbers[size : 2 * size].reshape(shape)
        )
        return self._with(market, numbers[2 * size :].reshape(len(self.types), -1, shape[1]))

    def _with(self, market: Market, types: Money) -> "Cycle":
        return replace(self, market=market, types=_plain(types))

    def expression(self, allocator: Allocator | str) -> str:
        """One Python expression, for a fresh interpreter, whose value is the amount.

        Raises:
            AuditError: the allocator cannot be written down.
        """
        name = repr(allocator) if isinstance(allocator, str) else to_expression(allocator)
        fields = ", ".join(
            f"{field}={value}" for field, value in market_as_dict(self.market).items() if value is not None
        )
        types = [[list(row) for row in rows] for rows in self.types]
        return f'__import__("proofs").cycle_gain({name}, {fields}, bidder={self.bidder}, types={types})'

    def to_json(self) -> str:
        """The cycle as a JSON object; `from_json` reads it back."""
        return json.dumps(self.as_dict())

    def as_dict(self) -> dict[str, object]:
        """Plain lists, numbers and strings, ready for JSON."""
        return {
            "market": market_as_dict(self.market),
            "bidder": self.bidder,
            "types": self.types,
            "bundles": self.bundles,
            "amount": self.amount,
        }

    @classmethod
    def from_json(cls, text: str) -> "Cycle":
        """Read what `to_json` wrote.

        Raises:
            AuditError: the text is no cycle.
        """
        try:
            data = json.loads(text)
            types = tuple(tuple(map(tuple, rows)) for rows in data["types"])
            bundles = tuple(map(tuple, data["bundles"]))
            return cls(market_from(**data["market"]), int(data["bidder"]), types, bundles, int(data["amount"]))
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise AuditError(f"not a cycle, {type(error).__name__}: {error}; expected what to_json wrote") from error

    def __str__(self) -> str:
        told = "; ".join(
            f"{spelled_rows(rows)} gets {_got(bundle)}" for rows, bundle in zip(self.types, self.bundles, strict=True)
        )
        others = self.market.without(self.bidder)
        rest = f"others report {others.values.tolist()}, " if others.shape[0] else "nobody else, "
        return (
            f"no payments help: if each of these types of bidder {self.bidder} reports as the next, together they gain "
            f"{self.amount}, and payments cancel\n{told}; {rest}{public_terms(self.market)}"
        )


def cycle_gain(
    allocator: Allocator | str,
    *,
    values: ArrayLike,
    costs: ArrayLike,
    capacities: ArrayLike,
    feasible: ArrayLike | None = None,
    owners: ArrayLike | None = None,
    bidder: int,
    types: Sequence[ArrayLike],
) -> int:
    """What types gain together if each reports as the next, in micro-units, or 0; what expressions call.

    Example:
        >>> cycle_gain("greedy", values=[[2, 0], [2, 0]], costs=[[0, 0], [0, 0]], capacities=[1, 1],
        ...            bidder=0, types=[[[1, 0]], [[3, 3]]])
        0
    """
    chosen = find_allocator(allocator) if isinstance(allocator, str) else allocator
    found = Cycle.of(chosen, Market(values, costs, capacities, feasible, owners), bidder, types)
    return 0 if found is None else found.amount


def allocated(allocator: Allocator, market: Market) -> Allocation:
    """What the allocator decides, held to feasibility.

    Raises:
        AuditError: it returned no allocation, or one that does not fit the market.
    """
    allocation = allocator.allocate(market)
    if not isinstance(allocation, Allocation):
        raise AuditError(f"{type(allocator).__name__} returned {type(allocation).__name__} on {market}")
    try:
        market.check(allocation)
    except CertificateError as error:
        raise AuditError(f"{type(allocator).__name__} is infeasible on {market}: {error}") from error
    return allocation


def reported(market: Market, requests: Money | Sequence[int], rows: ArrayLike) -> Market:
    """The market in which these requests report these rows."""
    values = market.values.copy()
    values[requests] = rows
    return market.replace(values=values)


def bundle_value(rows: Money, bundle: Money) -> int:
    """What a bundle of agents (K,), -1 where unserved, is worth to a type (K, M), in micro-units."""
    served = bundle >= 0
    return int(rows[served, bundle[served]].sum())


def _plain(types: Sequence[Money] | Money) -> tuple[Rows, ...]:
    return tuple(tuple(map(tuple, rows.tolist())) for rows in types)


def _got(bundle: tuple[int, ...]) -> str:
    agents = ["nothing" if agent < 0 else f"agent {agent}" for agent in bundle]
    return ", ".join(agents)
