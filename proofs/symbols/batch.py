"""`Batch`: conditions and expressions of `linear`, evaluated exactly at many markets at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allocation.money import Money
from proofs.symbols.linear import AtLeast, Condition, Either, Every, Greatest, Linear, Rational

#: Up to this a sum of terms stays in int64; beyond it Python's integers take over.
_SAFE = 2**62


@dataclass(frozen=True, slots=True)
class Batch:
    """B markets with the same costs.

    Args:
        values: (B, N, M) micro-units.
        costs: (N, M) micro-units.

    Attributes:
        peak: the greatest of their sizes, at least 1.
    """

    values: Money
    costs: Money
    known: dict[int, tuple[Linear, NDArray[Any], int]] = field(default_factory=dict)
    peak: int = field(init=False)

    def __post_init__(self) -> None:
        peak = max(np.abs(self.values).max(initial=1), np.abs(self.costs).max(initial=1))
        object.__setattr__(self, "peak", int(peak))

    def holds(self, condition: Condition) -> NDArray[np.bool_]:
        """(B,) whether the condition is met, exactly."""
        match condition:
            case AtLeast(expression, strict):
                numbers, _ = self._at(expression)
                return self._true(numbers > 0 if strict else numbers >= 0)
            case Greatest(expression, among, strict):
                least: Callable[..., NDArray[np.bool_]] = np.greater if strict else np.greater_equal
                mine, unit = self._at(expression)
                parts = []
                for rival in among:
                    if rival is not expression:
                        theirs, other = self._at(rival)
                        parts.append(self._true(least(mine * other, theirs * unit)))
                return self._true(np.logical_and.reduce(parts) if parts else np.ones(len(self.values), np.bool_))
            case Every(parts):
                return self._true(np.logical_and.reduce([np.ones(len(self.values), np.bool_), *map(self.holds, parts)]))
            case Either(parts):
                return self._true(np.logical_or.reduce([np.zeros(len(self.values), np.bool_), *map(self.holds, parts)]))

    def equal(self, expression: Linear, amounts: Money) -> NDArray[np.bool_]:
        """(B,) whether the expression is this amount (B,), exactly."""
        numbers, unit = self._at(expression)
        return self._true(numbers == amounts.astype(object) * unit if unit > 1 else numbers == amounts)

    def _at(self, expression: Linear) -> tuple[NDArray[Any], int]:
        """(B,) the expression times `unit`, whole numbers, and `unit`."""
        if id(expression) not in self.known:
            coefficients = (expression.constant, *expression.terms.values())
            unit, whole = _whole(coefficients)
            kind = np.int64 if sum(map(abs, whole)) * self.peak * 4 < _SAFE and unit == 1 else object
            total = np.full(len(self.values), whole[0], kind)
            for (what, i, j), part in zip(expression.terms, whole[1:], strict=True):
                entry = self.values[:, i, j] if what == "value" else self.costs[i, j]
                total = total + part * (entry.astype(kind) if isinstance(entry, np.ndarray) else int(entry))
            # The expression is kept, so that its id stays its own.
            self.known[id(expression)] = expression, total, unit
        _, numbers, unit = self.known[id(expression)]
        return numbers, unit

    def _true(self, found: object) -> NDArray[np.bool_]:
        return np.asarray(found, np.bool_)


def _whole(coefficients: Sequence[Rational]) -> tuple[int, list[int]]:
    """The least unit in which they are whole numbers, and those; nearly always they are to begin with."""
    if all(type(part) is int for part in coefficients):
        return 1, [int(part) for part in coefficients]
    exact = [Fraction(part) for part in coefficients]
    unit = lcm(*(part.denominator for part in exact))
    return unit, [int(part * unit) for part in exact]
