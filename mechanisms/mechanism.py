"""`Mechanism`: an allocator and a payment rule, either of which can be swapped in one word."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from allocation import Allocation, Allocator, Market, MarketError, tied_allocations
from allocation.money import Money
from mechanisms.batch import Outcomes, run_many
from mechanisms.outcome import Outcome, Payments


@runtime_checkable
class PaymentRule(Protocol):
    """Decides who pays what, given who serves whom.

    The allocator comes along because externality payments ask it what would have happened without a bidder.
    """

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges per request and receipts per agent."""
        ...


@runtime_checkable
class DirectMechanism(Protocol):
    """Anything that turns a reported market into an outcome: what is audited, and what serves."""

    def run(self, market: Market) -> Outcome:
        """Allocate and charge."""
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

    Example:
        >>> from allocation import Market, MinCostFlow
        >>> from mechanisms import VCG
        >>> market = Market(values=[[5], [3]], costs=[[1], [1]], capacities=[1])
        >>> Mechanism(MinCostFlow(), VCG()).run(market).payments.charges.tolist()
        [3, 0]
    """

    allocator: Allocator
    rule: PaymentRule

    def run(self, market: Market) -> Outcome:
        """Allocate and charge.

        Raises:
            CertificateError: the allocator broke a capacity or matched a forbidden pair.
            MarketError: the rule returned payments of the wrong shape.
        """
        return self._charged(market, self.allocator.allocate(market))

    def outcomes(self, market: Market) -> tuple[Outcome, ...]:
        """One outcome for every allocation that some tie-break of the allocator would choose; that of `run` first.

        A rule that runs the allocator again, without a bidder say, gets the answer of `allocate` there.

        Raises:
            TieError: the allocator does not say what its ties are, or there are too many.
            CertificateError, MarketError: as `run`.
        """
        return tuple(self._charged(market, allocation) for allocation in tied_allocations(self.allocator, market))

    def _charged(self, market: Market, allocation: Allocation) -> Outcome:
        market.check(allocation)
        payments = self.rule.charge(market, allocation, self.allocator)
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
            template: costs, capacities, feasible pairs and owners that all of them share; its values are not read.

        Raises:
            CertificateError, MarketError: as `run`.
        """
        return run_many(self, values, template)

    def __str__(self) -> str:
        return f"{type(self.rule).__name__} over {type(self.allocator).__name__}"
