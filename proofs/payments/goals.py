"""`Goal` and `AtLeast`: what `design` is asked for beyond the four words, linear and in exact rationals."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from allocation import Allocation, Market
from proofs.errors import AuditError

Rational = int | Fraction


@dataclass(frozen=True, slots=True)
class Goal:
    """A sum, in micro-units, that is linear in the shares of allocations and in charges.

    Revenue is `Goal(cost=-1, charge=1)`, welfare `Goal(value=1, cost=-1)`, utility `Goal(value=1, charge=-1)`.

    Args:
        value: times each bidder's value of what they get; one number, or one per bidder.
        cost: times the cost of serving.
        charge: times what each bidder pays; one number, or one per bidder.
        allocation: (market, allocation) -> int or Fraction, added for each allocation by its share.

    Raises:
        AuditError: a number that is not exact.
    """

    value: Rational | tuple[Rational, ...] = 0
    cost: Rational = 0
    charge: Rational | tuple[Rational, ...] = 0
    allocation: Callable[[Market, Allocation], Rational] | None = None

    def __post_init__(self) -> None:
        for part in (self.value, self.cost, self.charge):
            for number in part if isinstance(part, tuple) else (part,):
                exact(number)


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The goal is at least `bound` micro-units: in every profile (`always`), or on `average` under the prior.

    Raises:
        AuditError: a bound that is not exact, or another word.
    """

    goal: Goal
    bound: Rational
    when: Literal["always", "average"] = "always"

    def __post_init__(self) -> None:
        exact(self.bound)
        if self.when not in ("always", "average"):
            raise AuditError(f"when = {self.when!r}; expected always or average")


def exact(number: object) -> Fraction:
    """The number, if it is an integer or a fraction."""
    if isinstance(number, bool) or not isinstance(number, int | Fraction):
        raise AuditError(f"{number!r} is not exact; give an integer or a Fraction")
    return Fraction(number)


def each(part: Rational | tuple[Rational, ...], bidders: int) -> list[Fraction]:
    """One number per bidder.

    Raises:
        AuditError: there are more or fewer.
    """
    numbers = part if isinstance(part, tuple) else (part,) * bidders
    if len(numbers) != bidders:
        raise AuditError(f"{len(numbers)} numbers for {bidders} bidders; give one each, or one for all")
    return [Fraction(number) for number in numbers]
