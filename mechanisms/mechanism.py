"""`Mechanism`: an allocator and a payment rule, either of which can be swapped in one word."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from allocation import (
    Allocation,
    Allocator,
    BatchAllocator,
    Market,
    MarketError,
    stands_for,
    tied_allocations,
)
from allocation.market import as_market
from allocation.money import Money, as_money
from mechanisms.errors import MechanismError
from mechanisms.outcome import Outcome, Outcomes, Payments


@runtime_checkable
class PaymentRule(Protocol):
    """Decides charges and receipts, given who serves whom.

    The allocator comes along because externality payments ask it what would have happened without a bidder.
    """

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges per request and receipts per agent."""
        ...


@runtime_checkable
class BatchRule(PaymentRule, Protocol):
    """A rule that can charge for many optimal allocations at once; it must charge each as it would alone."""

    def charge_many(
        self, values: Money, template: Market, agents: NDArray[np.int64], prices: Money
    ) -> tuple[Money, Money]:
        """Charges (B, N) and receipts (B, M) of the markets `template.replace(values=values[b])`.

        Args:
            values: (B, N, M) micro-units.
            template: costs, capacities, feasible pairs and bidders that all of them share.
            agents: (B, N) optimal allocations, `UNSERVED` included.
            prices: (B, M) the lowest prices that support them.
        """
        ...


@runtime_checkable
class DirectMechanism(Protocol):
    """Anything that turns a reported market into an outcome: what is audited, and what serves."""

    def run(self, market: Market) -> Outcome:
        """Allocate and charge."""
        ...


@runtime_checkable
class BatchMechanism(Protocol):
    """A mechanism that can run many markets at once; it must decide each as it would alone."""

    def run_many(self, values: Money, template: Market) -> Outcomes:
        """Outcomes of the markets `template.replace(values=values[b])`."""
        ...


@runtime_checkable
class IrresoluteMechanism(DirectMechanism, Protocol):
    """A mechanism that knows what it would have decided, had it broken ties another way."""

    def outcomes(self, market: Market) -> tuple[Outcome, ...]:
        """Every outcome that some tie-break would give; the first is what `run` gives.

        Raises:
            TieError: they cannot be listed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Mechanism:
    """An allocator and a payment rule.

    Raises:
        MechanismError: one of them is a class, or lacks its method.

    Example:
        >>> from allocation import Market, MinCostFlow
        >>> from mechanisms import VCG
        >>> market = Market(values=[[5], [3]], costs=[[1], [1]], capacities=[1])
        >>> Mechanism(MinCostFlow(), VCG()).run(market).payments.charges.tolist()
        [3, 0]
    """

    allocator: Allocator
    rule: PaymentRule

    def __post_init__(self) -> None:
        for part, method in ((self.allocator, "allocate"), (self.rule, "charge")):
            if isinstance(part, type):
                raise MechanismError(f"{part.__name__} is a class; give an instance, {part.__name__}(...)")
            if not callable(getattr(part, method, None)):
                raise MechanismError(
                    f"{type(part).__name__} has no {method}(...); write Mechanism(allocator, rule), in that order"
                )

    def run(self, market: Market) -> Outcome:
        """Allocate and charge.

        Raises:
            CertificateError: the allocator broke a capacity or matched a forbidden pair.
            MarketError: the allocator returned no allocation, or the rule no payments, or some of the wrong shape.
        """
        allocation = self.allocator.allocate(as_market(market))
        if not isinstance(allocation, Allocation):
            raise MarketError(
                f"{type(self.allocator).__name__}.allocate returned {described(allocation)}; expected an Allocation, "
                "Allocation(agents)"
            )
        return self._charged(market, allocation)

    def outcomes(self, market: Market) -> tuple[Outcome, ...]:
        """One outcome for every allocation that some tie-break of the allocator would choose; that of `run` first.

        A rule that runs the allocator again, without a bidder say, gets the answer of `allocate` there.

        Raises:
            TieError: the allocator does not say what its ties are, or there are too many.
            CertificateError, MarketError: as `run`.
        """
        tied = tied_allocations(self.allocator, as_market(market))
        return tuple(self._charged(market, allocation) for allocation in tied)

    def _charged(self, market: Market, allocation: Allocation) -> Outcome:
        market.check(allocation)
        payments = self.rule.charge(market, allocation, self.allocator)
        if not isinstance(payments, Payments):
            raise MarketError(
                f"{type(self.rule).__name__}.charge returned {described(payments)}; expected Payments, "
                "Payments(charges, receipts)"
            )
        if (payments.charges.size, payments.receipts.size) != market.shape:
            raise MarketError(
                f"{type(self.rule).__name__} returned {payments.charges.size} charges and {payments.receipts.size} "
                f"receipts for a market of shape {market.shape}"
            )
        return Outcome(market, allocation, payments)

    def run_many(self, values: Money, template: Market) -> Outcomes:
        """Outcomes of the markets `template.replace(values=values[b])`, the same as one by one.

        Args:
            values: (B, N, M) micro-units.
            template: costs, capacities, feasible pairs and bidders that all of them share; its values are not read.

        Raises:
            CertificateError, MarketError: as `run`.
        """
        rule, allocator = self.rule, self.allocator
        if not (isinstance(rule, BatchRule) and isinstance(allocator, BatchAllocator) and has_batch_path(self)):
            return run_each(self, values, template)
        agents, prices = allocator.allocate_many(values, template)
        paid = rule.charge_many(values, template, agents, prices)
        if not (isinstance(paid, tuple) and len(paid) == 2):
            raise MarketError(
                f"{type(rule).__name__}.charge_many returned {described(paid)}; expected a pair, (charges, receipts)"
            )
        return Outcomes(agents, *paid)

    def __str__(self) -> str:
        return f"{type(self.rule).__name__} over {type(self.allocator).__name__}"


def has_batch_path(mechanism: DirectMechanism) -> bool:
    """Whether `run_many` of the mechanism is its own and faster than a loop over `run`.

    A subclass that overrides `run`, `allocate` or `charge` has no batch path until it brings one of its own.
    """
    if isinstance(mechanism, Mechanism):
        # A subclass may run otherwise; what it does one by one is then done one by one.
        return (
            type(mechanism) is Mechanism
            and isinstance(mechanism.rule, BatchRule)
            and isinstance(mechanism.allocator, BatchAllocator)
            and stands_for(mechanism.rule, "charge_many", "charge")
            and stands_for(mechanism.allocator, "allocate_many", "allocate")
        )
    return isinstance(mechanism, BatchMechanism) and stands_for(mechanism, "run_many", "run")


def run_each(mechanism: DirectMechanism, values: Money, template: Market) -> Outcomes:
    """Outcomes of the markets `template.replace(values=values[b])`, one `run` after the other.

    Args:
        mechanism: anything with `run`.
        values: (B, N, M) micro-units.
        template: costs, capacities, feasible pairs and bidders that all of them share; its values are not read.
    """
    as_mechanism(mechanism)
    amounts = as_money(values, name="values", ndim=3)
    n, m = as_market(template).shape
    agents, charges = (np.empty((amounts.shape[0], n), np.int64) for _ in range(2))
    receipts = np.empty((amounts.shape[0], m), np.int64)
    for b in range(amounts.shape[0]):
        outcome = mechanism.run(template.replace(values=amounts[b]))
        agents[b] = outcome.allocation.agents
        charges[b], receipts[b] = outcome.payments.charges, outcome.payments.receipts
    return Outcomes(agents, charges, receipts)


def as_mechanism(given: object) -> DirectMechanism:
    """The mechanism, as it is.

    Raises:
        MechanismError: it is a class, or has no `run`.
    """
    if isinstance(given, type):
        raise MechanismError(f"{given.__name__} is a class; give an instance, {given.__name__}(...)")
    if not callable(getattr(given, "run", None)):
        raise MechanismError(f"{given!r} has no run(market); give a mechanism, such as Mechanism(MinCostFlow(), VCG())")
    return given  # type: ignore[return-value]


def described(value: object) -> str:
    """What somebody's code returned in place of what was expected: its kind, in words."""
    if value is None:
        return "None"
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else f"an object of type {type(value).__name__}"
