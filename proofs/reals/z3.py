"""Conditions as z3 formulas, and z3's numbers as fractions. The only module that knows z3's language."""

import threading
from contextlib import suppress
from fractions import Fraction
from typing import Any

from proofs.errors import AuditError
from proofs.reals.encoding import Question, bounds
from proofs.reals.scope import Reals
from proofs.symbols.linear import AtLeast, Condition, Either, Every, Greatest, Linear, Unknown

#: How often a waiting thread listens, and the longest it waits for an interrupted solver, in seconds.
_LISTEN_S, _END_S = 0.05, 2.0


def load() -> Any:
    """The module z3.

    Raises:
        AuditError: it is not installed.
    """
    try:
        import z3
    except ImportError as error:
        raise AuditError("proofs over all real values need z3: pip install z3-solver; or audit over a Grid") from error
    return z3


class Encoder:
    """Translates conditions; `definitions` must be asserted beside them.

    Of `Greatest` conditions that share their rivals, each compares with one number that is no less than any rival:
    2A inequalities in place of A squared.
    """

    def __init__(self, *, whole: bool = False) -> None:
        """`whole`: unknowns are integers, not reals."""
        self.definitions: list[Any] = []
        self._z3 = load()
        self._whole = whole
        self._numbers: dict[Unknown, Any] = {}
        self._tops: dict[int, tuple[Any, tuple[Linear, ...]]] = {}

    def expression(self, linear: Linear) -> Any:
        """A z3 term."""
        parts = [self._number(linear.constant)] if linear.constant or not linear.terms else []
        for unknown, coefficient in linear.terms.items():
            number = self._unknown(unknown)
            parts.append(number if coefficient == 1 else self._number(coefficient) * number)
        return parts[0] if len(parts) == 1 else self._z3.Sum(parts)

    def formula(self, condition: Condition) -> Any:
        """A z3 formula; conditions must not be negated."""
        z3 = self._z3
        match condition:
            case AtLeast(expression, strict):
                term = self.expression(expression)
                return term > 0 if strict else term >= 0
            case Greatest(expression, among, False):
                return self.expression(expression) >= self._top(among)
            case Greatest():
                return z3.And([self.formula(row) for row in condition.rows()])
            case Every(parts):
                return z3.And([self.formula(part) for part in parts]) if parts else z3.BoolVal(True)
            case Either(parts):
                return z3.Or([self.formula(part) for part in parts]) if parts else z3.BoolVal(False)

    def point(self, model: Any) -> dict[Unknown, Fraction]:
        """The model's value of every unknown."""
        found = {}
        for unknown, number in self._numbers.items():
            value = model.eval(number, model_completion=True)
            found[unknown] = Fraction(value.as_long() if self._whole else value.as_fraction())
        return found

    def _top(self, among: tuple[Linear, ...]) -> Any:
        known = self._tops.get(id(among))
        if known is None:
            sort = self._z3.Int if self._whole else self._z3.Real
            top = sort(f"top_{len(self._tops)}")
            self.definitions += [top >= self.expression(rival) for rival in among]
            # The rivals are kept with their number, so that no other tuple can come to have their identity.
            known = self._tops[id(among)] = (top, among)
        return known[0]

    def _unknown(self, unknown: Unknown) -> Any:
        if unknown not in self._numbers:
            sort = self._z3.Int if self._whole else self._z3.Real
            self._numbers[unknown] = sort("_".join(map(str, unknown)))
        return self._numbers[unknown]

    def _number(self, value: int | Fraction) -> Any:
        exact = Fraction(value)
        if self._whole and exact.denominator == 1:
            return self._z3.IntVal(exact.numerator)
        return self._z3.Q(exact.numerator, exact.denominator)


class UndecidedError(Exception):
    """A solver ran out of time, or of method."""


def solve(question: Question, scope: Reals, timeout_s: float, *, whole: bool = False) -> dict[Unknown, Fraction] | None:
    """A point where the property fails, or None where there is none.

    Args:
        whole: all numbers of the point are to be integers.

    Raises:
        UndecidedError: z3 did not decide.
    """
    z3 = load()
    encoder = Encoder(whole=whole)
    solver = z3.Solver() if whole else z3.SolverFor("QF_LRA")
    solver.set("timeout", round(1000 * timeout_s))
    solver.add(*encoded(encoder, question, scope), encoder.expression(question.gap) > 0)
    verdict = _checked(solver)
    if verdict == z3.unknown:
        raise UndecidedError(f"z3 did not decide within {timeout_s:g} s ({solver.reason_unknown()})")
    return encoder.point(solver.model()) if verdict == z3.sat else None


def encoded(encoder: Encoder, question: Question, scope: Reals) -> list[Any]:
    """The market and the mechanism's choice as z3 formulas."""
    formulas = [encoder.formula(bounds(scope, question.bidder)), encoder.formula(question.condition)]
    return formulas + encoder.definitions


def smt_lib(question: Question, scope: Reals) -> str:
    """The question in SMT-LIB 2, for any other solver."""
    solver = load().Solver()
    encoder = Encoder()
    solver.add(*encoded(encoder, question, scope), encoder.expression(question.gap) > 0)
    return "(set-logic QF_LRA)\n" + str(solver.to_smt2())


def greatest(question: Question, scope: Reals, timeout_s: float) -> tuple[Fraction, bool]:
    """(supremum of the gap, whether it is attained).

    Raises:
        UndecidedError: z3 did not decide, or the gap has no bound.
    """
    z3 = load()
    encoder = Encoder()
    optimizer = z3.Optimize()
    optimizer.set("timeout", round(1000 * timeout_s))
    optimizer.add(*encoded(encoder, question, scope))
    goal = optimizer.maximize(encoder.expression(question.gap))
    if _checked(optimizer) != z3.sat:
        raise UndecidedError(f"z3 found no optimum within {timeout_s:g} s ({optimizer.reason_unknown()})")
    infinite, finite, epsilon = (Fraction(str(part)) for part in optimizer.upper_values(goal))
    if infinite:
        raise UndecidedError("the gain has no bound")
    return finite, epsilon == 0


def _checked(solver: Any) -> Any:
    """The verdict of a solver, found in another thread so that this one hears Ctrl-C, which z3 takes for itself.

    Raises:
        KeyboardInterrupt: somebody interrupts; the solver has been told to end.
    """
    z3 = load()
    with suppress(z3.Z3Exception):
        solver.set("ctrl_c", False)
    verdicts: list[Any] = []
    done = threading.Event()
    threading.Thread(target=_check, args=(solver, verdicts, done), daemon=True).start()
    try:
        while not done.wait(_LISTEN_S):
            pass
    except BaseException:
        solver.ctx.interrupt()
        done.wait(_END_S)
        raise
    if isinstance(verdicts[0], BaseException):
        raise verdicts[0]
    # Where z3 listens all the same, it ends with this reason.
    if verdicts[0] == z3.unknown and "keyboard" in solver.reason_unknown():
        raise KeyboardInterrupt
    return verdicts[0]


def _check(solver: Any, verdicts: list[Any], done: threading.Event) -> None:
    try:
        verdicts.append(solver.check())
    except BaseException as error:
        verdicts.append(error)
    finally:
        done.set()
