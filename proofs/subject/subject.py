"""`Subject`: the mechanism under audit, how it is run, and how another process finds the same one."""

import dataclasses
import importlib
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from allocation import Allocation, CertificateError, Market, stands_for
from mechanisms import DirectMechanism, Mechanism, Outcome, PaymentRule, Payments, find_mechanism
from proofs.errors import AuditError

#: Charges stay below this, or differences of utilities could leave int64.
MAX_CHARGE = 2**55


@dataclass(frozen=True, slots=True)
class Subject:
    """A mechanism, with the names it was found by where it was found by name."""

    mechanism: DirectMechanism
    name: str | None = None
    allocator: str | None = None

    @classmethod
    def of(cls, mechanism: DirectMechanism | str, allocator: str | None = None) -> "Subject":
        """The subject of an audit.

        Args:
            mechanism: an object with `run(market)`, or a name as `mechanisms.find_mechanism` takes it.
            allocator: for names alone, the allocator to run the rule over.

        Raises:
            AuditError: the object is no mechanism.
            MechanismError: the name stands for none.
        """
        if isinstance(mechanism, str):
            return cls(find_mechanism(mechanism, allocator), mechanism, allocator)
        if allocator is not None:
            raise AuditError(f"allocator {allocator!r} goes with a mechanism's name; a mechanism object has its own")
        if isinstance(mechanism, type):
            raise AuditError(f"{mechanism.__name__} is a class; audit an instance of it")
        if isinstance(mechanism, PaymentRule) and not isinstance(mechanism, DirectMechanism):
            kind = type(mechanism).__name__
            raise AuditError(f"{kind} is a payment rule alone; audit Mechanism(MinCostFlow(), {kind}(...))")
        if not isinstance(mechanism, DirectMechanism):
            raise AuditError(f"{mechanism!r} has no run(market); it is no mechanism")
        return cls(mechanism)

    def to_expression(self) -> str:
        """Python expression of the mechanism: its name in quotes, or a call that builds it.

        Raises:
            AuditError: the object cannot be written down.
        """
        return repr(self.name) if self.name is not None else to_expression(self.mechanism)

    def __str__(self) -> str:
        kind = type(self.mechanism)
        return kind.__name__ if kind.__str__ is object.__str__ else str(self.mechanism)


def outcome_of(mechanism: DirectMechanism, market: Market) -> Outcome:
    """Run the mechanism, and hold it to what every mechanism owes.

    Raises:
        AuditError: it returned no outcome, served a request where it cannot be, or charged for another number of
            requests.
        Exception: whatever the mechanism raises, with a note that shows the market.
    """
    try:
        outcome = mechanism.run(market)
    except SystemExit as error:
        raise AuditError(
            f"{type(mechanism).__name__} ends the process ({error!r}) on {market}; let it raise"
        ) from error
    except Exception as error:
        error.add_note(f"while {type(mechanism).__name__} ran on {market}")
        raise
    return checked(mechanism, outcome, market)


def checked(mechanism: DirectMechanism, outcome: object, market: Market) -> Outcome:
    """What the mechanism returned, if it is an outcome that this market can have.

    Raises:
        AuditError: as `outcome_of`.
    """
    if not isinstance(outcome, Outcome):
        raise AuditError(
            f"{type(mechanism).__name__} returned {type(outcome).__name__} on {market}; expected an Outcome"
        )
    kept = owed(outcome, market, type(mechanism).__name__)
    _demand_exact(mechanism, kept, market)
    return kept


def _demand_exact(mechanism: DirectMechanism, outcome: Outcome, market: Market) -> None:
    """Hold an allocator that is not ours, and calls itself exact, to the proof that this is."""
    allocator = mechanism.allocator if type(mechanism) is Mechanism else None
    if allocator is None or type(allocator).__module__.partition(".")[0] == "allocation":
        return
    if not (getattr(allocator, "exact", False) and stands_for(allocator, "exact", "allocate")):
        return
    name = type(allocator).__name__
    if outcome.allocation.prices is None:
        raise AuditError(f"{name} calls itself exact and carries no prices that prove it, on {market}")
    try:
        market.certify(outcome.allocation)
    except CertificateError as error:
        raise AuditError(f"{name} calls itself exact and is not, on {market}: {error}") from error


def owed(outcome: Outcome, market: Market, name: str) -> Outcome:
    """The outcome, if it is one that `market` can have; `name` is whose it is.

    Its report is `market`, whatever the mechanism wrote there, so that no property can be led to read another; and all
    its arrays are copies, so that a mechanism which fills them anew in its next call changes nothing that was answered.

    Raises:
        AuditError: as `outcome_of`.
    """
    if any(part.flags.writeable for part in (market.values, market.costs, market.capacities, market.bidders)):
        raise AuditError(f"{name} writes into the market that it is given, now {market}; let it work on copies")
    allocation, payments = outcome.allocation, outcome.payments
    kept = Outcome(
        market, Allocation(allocation.agents, allocation.prices), Payments(payments.charges, payments.receipts)
    )
    try:
        market.check(kept.allocation)
    except CertificateError as error:
        raise AuditError(f"{name} is infeasible on {market}: {error}") from error
    charges, receipts = kept.payments.charges, kept.payments.receipts
    if (charges.size, receipts.size) != market.shape:
        raise AuditError(f"{name} returned {charges.size} charges and {receipts.size} receipts on {market}")
    for name, amounts in (("charges", charges), ("receipts", receipts)):
        if amounts.min(initial=0) < -MAX_CHARGE or amounts.max(initial=0) > MAX_CHARGE:
            raise AuditError(
                f"{name} {amounts.tolist()} exceed {MAX_CHARGE} micro-units on {market}; rescale the unit of money"
            )
    return kept


def to_expression(value: object) -> str:
    """A Python expression that builds this value again in a fresh interpreter, without any import before it.

    Numbers, strings, tuples, dataclasses and objects without state can be spelled, if their class can be imported.

    Raises:
        AuditError: the value can not.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, tuple):
        return f"({''.join(to_expression(item) + ', ' for item in value)})"
    if isinstance(value, Fraction):
        return f'__import__("fractions").Fraction({value.numerator}, {value.denominator})'
    if isinstance(value, np.generic):
        return repr(value.item())
    kind = type(value)
    if isinstance(value, np.ndarray):
        raise AuditError("an array cannot be written down as an expression; audit what holds it by name, or use tuples")
    if dataclasses.is_dataclass(value):
        fields = [field for field in dataclasses.fields(value) if field.init]
        arguments = ", ".join(f"{field.name}={to_expression(getattr(value, field.name))}" for field in fields)
    elif getattr(value, "__dict__", None) or getattr(kind, "__slots__", ()):
        raise AuditError(
            f"{kind.__name__} keeps state that cannot be written down; audit it by name, my_module:my_mechanism"
        )
    else:
        arguments = ""
    return f"{_home(kind)}({arguments})"


def _home(kind: type) -> str:
    root = kind.__module__.partition(".")[0]
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
        raise AuditError(f"{kind.__qualname__} of {kind.__module__} cannot be imported; move it to a module of its own")
    if getattr(importlib.import_module(root), kind.__name__, None) is kind:
        return f'__import__("{root}").{kind.__name__}'
    return f'__import__("importlib").import_module("{kind.__module__}").{kind.__qualname__}'
