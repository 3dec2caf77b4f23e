"""`supremum`: what the best misreport gains at worst, exactly, over all real values of a box and every tie-break."""

from dataclasses import dataclass
from fractions import Fraction

from mechanisms import DirectMechanism
from proofs.claims.property import Truthful
from proofs.errors import AuditError
from proofs.reals.agreement import compare
from proofs.reals.encoding import questions
from proofs.reals.scope import Reals
from proofs.reals.z3 import UndecidedError, greatest
from proofs.symbols.description import describe


@dataclass(frozen=True, slots=True)
class Supremum:
    """The mechanism is `gain`-truthful on the scope, and no less; `attained` by a market, or only approached.

    In the unit of the box. `bidder` gains it, under some way of breaking ties.
    """

    gain: Fraction
    attained: bool
    bidder: int
    scope: Reals

    def __str__(self) -> str:
        how = "attained" if self.attained else "approached"
        return f"a misreport gains up to {self.gain} ({how}, by bidder {self.bidder}) on {self.scope}"


def supremum(mechanism: DirectMechanism, scope: Reals, *, timeout_s: float = 600.0) -> Supremum:
    """The exact supremum of any bidder's gain from any misreport: the least epsilon of epsilon-truthfulness.

    Optimisation modulo linear arithmetic (Bjorner, Phan and Fleckenstein 2015) over the described rule.

    Args:
        scope: with a box, or gains have no bound.

    Raises:
        AuditError: the scope has no box, z3 is missing or ran out of time.
        DescriptionError: the mechanism has no description, or is not what it says.

    Example:
        >>> from allocation import MinCostFlow
        >>> from mechanisms import Mechanism, PayAsBid
        >>> supremum(Mechanism(MinCostFlow(), PayAsBid()), Reals(bidders=1, agents=1, box=(0, 3))).gain
        Fraction(3, 1)
    """
    if scope.box is None:
        raise AuditError(f"gains over {scope} have no bound; give a box, e.g. scope.boxed(0, 1)")
    described = describe(mechanism)
    compare(mechanism, described, scope)
    found = []
    for question in questions(Truthful(), described, scope):
        try:
            gain, attained = greatest(question, scope, timeout_s)
        except UndecidedError as reason:
            raise AuditError(f"{reason}; give a smaller scope, or more time") from reason
        found.append(Supremum(gain, attained, question.bidder or 0, scope))
    return max(found, key=lambda each: (each.gain, each.attained))
