"""Money and welfare beyond `NoDeficit` and `Efficient`: exact balance, realised costs, approximation ratios."""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from typing import ClassVar

import numpy as np

from allocation import Market
from mechanisms import Outcome
from mechanisms.settlement import Execution, OnPrediction, Settlement
from proofs.claims.optimum import optimum
from proofs.claims.property import Violation
from proofs.errors import AuditError
from proofs.scopes.checks import at_least


@dataclass(frozen=True, slots=True)
class Balanced:
    """The auctioneer keeps nothing and loses nothing: charges equal receipts, to the micro-unit."""

    name: ClassVar[str] = "balanced"

    def check(self, outcome: Outcome, truth: Market) -> Violation | None:
        """What the auctioneer keeps or loses."""
        surplus = outcome.surplus
        if surplus == 0:
            return None
        return Violation(abs(surplus), f"the auctioneer {'keeps' if surplus > 0 else 'loses'} {abs(surplus)}")


@dataclass(frozen=True, slots=True)
class NoDeficitRealised:
    """The auctioneer loses nothing when costs turn out up to `under` micro-units below, or `over` above, predictions.

    Every corner of that range is settled. The settlements that ship are linear in measured costs, so that corners are
    worst; every request is taken to succeed.

    Args:
        over, under: micro-units >= 0 by which each served request's cost may be off.
        settlement: how predicted payments become final ones.

    Raises:
        AuditError: a bound is negative.
    """

    over: int = 1
    under: int = 0
    settlement: Settlement = field(default_factory=OnPrediction)
    name: ClassVar[str] = "no-deficit-realised"

    def __post_init__(self) -> None:
        at_least(0, self.over, "over")
        at_least(0, self.under, "under")

    def check(self, outcome: Outcome, truth: Market) -> Violation | None:
        """The greatest loss at any corner of the range of costs."""
        served = np.flatnonzero(outcome.allocation.served)
        predicted = truth.take(truth.costs, outcome.allocation)
        worst: Violation | None = None
        for errors in product(sorted({self.over, -self.under}, reverse=True), repeat=served.size):
            costs = predicted.copy()
            costs[served] += np.array(errors, np.int64)
            loss = -self.settlement.settle(outcome, Execution(costs)).surplus
            if loss > (0 if worst is None else worst.amount):
                said = f"served requests {served.tolist()} cost {list(errors)} more than predicted"
                worst = Violation(loss, f"{said} and the auctioneer loses {loss}")
        return worst


@dataclass(frozen=True, slots=True)
class Approximation:
    """Welfare is at least `ratio` times the optimum; the finding's note gives the worst ratio on the scope.

    Args:
        ratio: exact, in [0, 1]; `Fraction(1, 2)` or "1/2".

    Raises:
        AuditError: the ratio lies elsewhere.
    """

    ratio: Fraction = Fraction(1, 2)

    def __post_init__(self) -> None:
        if isinstance(self.ratio, float):
            raise AuditError(f"ratio = {self.ratio!r} is a float; give a Fraction, such as Fraction(1, 2)")
        try:
            object.__setattr__(self, "ratio", Fraction(self.ratio))
        except (ValueError, TypeError, ZeroDivisionError) as error:
            raise AuditError(f"ratio = {self.ratio!r}; expected a fraction in [0, 1], such as 2/3") from error
        if not 0 <= self.ratio <= 1:
            raise AuditError(f"ratio = {self.ratio}; expected a fraction in [0, 1]")

    @property
    def name(self) -> str:
        """The claim with its ratio."""
        return f"approximation({self.ratio})"

    def check(self, outcome: Outcome, truth: Market) -> Violation | None:
        """Whole micro-units of welfare that are missing from the ratio's share of the optimum."""
        welfare, best = _welfare(outcome, truth), optimum(truth)
        missing = -(-best * self.ratio.numerator // self.ratio.denominator) - welfare
        if missing <= 0:
            return None
        return Violation(missing, f"welfare is {welfare}, less than {self.ratio} of the optimum {best}")

    def grade(self, outcome: Outcome, truth: Market) -> Fraction | None:
        """Welfare over optimum; None where nothing can be gained."""
        best = optimum(truth)
        return Fraction(_welfare(outcome, truth), best) if best else None


def _welfare(outcome: Outcome, truth: Market) -> int:
    return int(truth.take(truth.weights, outcome.allocation).sum())
