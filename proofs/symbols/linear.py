"""Linear expressions over real unknowns with exact coefficients, and conditions on them; no solver in sight."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

Rational = int | Fraction

#: An unknown real number: what it is, and two indices.
Unknown = tuple[str, int, int]
Point = Mapping[Unknown, Rational]


@dataclass(frozen=True, slots=True)
class Linear:
    """`constant` plus the sum of `terms`: coefficient times unknown, no coefficient 0."""

    terms: Mapping[Unknown, Rational] = field(default_factory=dict)
    constant: Rational = 0

    @classmethod
    def of(cls, unknown: Unknown) -> "Linear":
        """The unknown itself."""
        return cls({unknown: 1})

    @classmethod
    def total(cls, parts: Iterable["Linear"]) -> "Linear":
        """The sum of expressions."""
        terms: dict[Unknown, Rational] = {}
        constant: Rational = 0
        for part in parts:
            constant += part.constant
            for unknown, coefficient in part.terms.items():
                terms[unknown] = terms.get(unknown, 0) + coefficient
        return cls({unknown: coefficient for unknown, coefficient in terms.items() if coefficient}, constant)

    def __add__(self, other: "Linear") -> "Linear":
        return Linear.total((self, other))

    def __sub__(self, other: "Linear") -> "Linear":
        return Linear.total((self, -1 * other))

    def __rmul__(self, factor: Rational) -> "Linear":
        if not factor:
            return Linear()
        return Linear({unknown: factor * part for unknown, part in self.terms.items()}, factor * self.constant)

    def at(self, point: Point) -> Rational:
        """The value where the unknowns are these numbers."""
        return self.constant + sum(part * point[unknown] for unknown, part in self.terms.items())


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The expression is >= 0, or > 0."""

    expression: Linear
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Greatest:
    """The expression is the greatest among these, of which it is one; ties allowed unless `strict`.

    Conditions that speak of the same rivals share one `among`, which is what keeps them short for a solver.
    """

    expression: Linear
    among: tuple[Linear, ...]
    strict: bool = False

    def rows(self) -> Iterable[AtLeast]:
        """One inequality per rival."""
        for rival in self.among:
            if rival is not self.expression:
                yield AtLeast(self.expression - rival, self.strict)


@dataclass(frozen=True, slots=True)
class Every:
    """All parts hold."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one part holds."""

    parts: tuple["Condition", ...]


Condition = AtLeast | Greatest | Every | Either


def holds(condition: Condition, point: Point) -> bool:
    """Whether the condition is met, exactly."""
    match condition:
        case AtLeast(expression, strict):
            value = expression.at(point)
            return value > 0 or (value == 0 and not strict)
        case Greatest(expression, among, False):
            value = expression.at(point)
            return all(rival.at(point) <= value for rival in among)
        case Greatest():
            return all(holds(row, point) for row in condition.rows())
        case Every(parts):
            return all(holds(part, point) for part in parts)
        case Either(parts):
            return any(holds(part, point) for part in parts)


def untied(condition: Condition) -> Condition:
    """The condition with every inequality strict: what holds whichever way ties are broken."""
    match condition:
        case AtLeast(expression, _):
            return AtLeast(expression, strict=True)
        case Greatest(expression, among, _):
            return Greatest(expression, among, strict=True)
        case Every(parts):
            return Every(tuple(map(untied, parts)))
        case Either(parts):
            return Either(tuple(map(untied, parts)))


def equal(left: Linear, right: Linear) -> Condition:
    """Both expressions have the same value."""
    return Every((AtLeast(left - right), AtLeast(right - left)))


def matrix(rows: int, columns: int, entry: Callable[[int, int], Linear]) -> tuple[tuple[Linear, ...], ...]:
    """A matrix of expressions, entry by entry."""
    return tuple(tuple(entry(i, j) for j in range(columns)) for i in range(rows))
