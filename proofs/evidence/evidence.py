"""`Evidence`: what shows that a claim fails, and what is done with any: shrink it, replay it here or elsewhere."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Protocol, Self, TypeVar

from proofs.arguments import require_method
from proofs.errors import AuditError, ReplayError
from proofs.evidence.fresh_process import evaluated_afresh


class Evidence(Protocol):
    """A case in which a claim about a subject (a mechanism, an allocator) fails."""

    @property
    def amount(self) -> int | Fraction:
        """By how many micro-units, > 0; a fraction where the claim is about averages."""
        ...

    @property
    def simplicity(self) -> tuple[int, ...]:
        """What makes one case simpler than another, most important first; read from the case alone."""
        ...

    @property
    def recorded(self) -> Mapping[str, object]:
        """What must come out again when the case is computed again, the amount first."""
        ...

    def simpler(self) -> Iterator[Self]:
        """Cases one step away, boldest first, not all of them simpler; what is `recorded` in them is not theirs."""
        ...

    def again(self, subject: Any) -> Self | None:
        """The same case computed from scratch; None where the claim holds in it."""
        ...

    def expression(self, subject: Any) -> str:
        """One Python expression, for a fresh interpreter, whose value is the amount.

        Raises:
            AuditError: the subject cannot be written down as an expression.
        """
        ...

    def as_dict(self) -> dict[str, object]:
        """Plain lists, numbers and strings, ready for JSON."""
        ...


E = TypeVar("E", bound=Evidence)


def shrink(found: E, subject: Any, budget: int = 20_000) -> E:
    """The simplest evidence within reach of single steps, or the best after `budget` attempts.

    A step is taken only if the claim, computed from scratch in the new case, still fails (by any amount) and the case
    is strictly simpler, so shrinking ends, and is deterministic. The result may lie outside the scope that was audited:
    it is about the subject, the finding is about the scope. After Hypothesis (MacIver and Donaldson 2020), with steps
    that speak of markets in place of bytes.

    Args:
        found: evidence about this subject.
        subject: the mechanism, or the allocator.
        budget: how many cases may be tried.

    Example:
        >>> from allocation import Market, MinCostFlow
        >>> from mechanisms import Mechanism, PayAsBid
        >>> from proofs import Counterexample, Misreport, Truthful
        >>> rule = Mechanism(MinCostFlow(), PayAsBid())
        >>> market = Market([[7, 2], [3, 9]], [[1, 1], [1, 1]], [1, 2])
        >>> small = shrink(Counterexample.of(Truthful(), rule, market, Misreport(0, ((5, 0),))), rule)
        >>> small.truth.values.tolist(), small.misreport.rows
        ([[2]], ((1,),))
    """
    require_method(found, "simpler", "found", "evidence, such as the counterexample of a finding")
    if not any(callable(getattr(subject, method, None)) for method in ("run", "draw", "decide", "allocate")):
        raise AuditError(f"subject = {subject!r}; expected the mechanism, or the allocator, that the evidence is about")
    if isinstance(budget, bool) or not isinstance(budget, int):
        raise AuditError(f"budget = {budget!r}; expected how many cases may be tried")
    best, tried = found, 0
    while True:
        for case in best.simpler():
            if tried == budget:
                return best
            tried += 1
            smaller = _attempt(case, subject) if case.simplicity < best.simplicity else None
            if smaller is not None:
                best = smaller
                break
        else:
            return best


def replay(found: Evidence, subject: Any) -> int:
    """Compute everything again from the case alone, and return the amount, where it is whole.

    Raises:
        ReplayError: something differs from what is recorded.
    """
    return int(replayed(found, subject).amount)


def replayed(found: E, subject: Any) -> E:
    """Everything computed again from the case alone.

    Raises:
        ReplayError: something differs from what is recorded.
    """
    again = found.again(subject)
    said = " ".join(str(found).splitlines())
    if again is None:
        raise ReplayError(f"nothing fails now; recorded was: {said}")
    for what, was in found.recorded.items():
        if again.recorded[what] != was:
            raise ReplayError(f"{what} was {was}, now {again.recorded[what]}; recorded was: {said}")
    return again


def replay_fresh(found: Evidence, subject: Any) -> str:
    """Replay in a fresh interpreter, from the expression alone, and say so; here where there is no expression.

    Raises:
        ReplayError: the amount there is another.
    """
    try:
        expression = found.expression(subject)
    except AuditError as error:
        replay(found, subject)
        return f"replayed in this process only ({error})"
    return evaluated_afresh(expression, found.amount)


def _attempt(case: E, subject: Any) -> E | None:
    try:
        return case.again(subject)
    except Exception:
        # A stranger's mechanism may refuse markets of a shape it was not made for; then that step is not to be had.
        return None
