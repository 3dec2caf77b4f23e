"""`Suspect`: a point where a description fails becomes a market in whole micro-units where the Python object fails."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np

from allocation import MarketError
from mechanisms import DirectMechanism
from proofs.claims.property import DeviationProperty, Property
from proofs.evidence.counterexample import Counterexample
from proofs.misreports.misreport import Misreport
from proofs.reals.encoding import questions
from proofs.reals.scope import Reals
from proofs.reals.z3 import solve
from proofs.symbols.description import Description, InTurn
from proofs.symbols.linear import Unknown

#: Random markets that are tried where the object breaks ties unlike the solver; their values are 0 up to this.
_DRAWS, _LOW = 500, 2

_Point = Mapping[Unknown, Fraction]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A mechanism, its description, and the property that is to fail."""

    prop: Property
    mechanism: DirectMechanism
    described: Description
    scope: Reals

    @property
    def scalable(self) -> bool:
        """Whether a failure remains one when all money is multiplied: no amount is fixed in micro-units."""
        choice, charges = self.described.choice, self.described.charges
        markup = choice.markup if isinstance(choice, InTurn) else 0
        return not (markup or charges.served) and (self.scope.any_costs or not self.scope.template.costs.any())

    def units(self) -> list[str]:
        """What a micro-unit is, where that needs saying."""
        return ["in micro-units finer than the box's unit"] if self.scope.box is not None and self.scalable else []

    def witness(self, index: int, bidder: int | None, point: _Point, timeout_s: float) -> Counterexample | None:
        """A counterexample of the object from a point of question `index`; None if only other tie-breaks fail.

        The point itself is tried first. Then one is asked for where no two assignments tie, which must fail however
        ties are broken; where there is none, markets with many ties are all that is left.

        Raises:
            UndecidedError: the solver ran out of time.
        """
        found = self._tried(self._whole(index, point, timeout_s, apart=False), bidder)
        if found is not None:
            return found
        apart = solve(questions(self.prop, self.described, self.scope, apart=True)[index], self.scope, timeout_s)
        if apart is None:
            return self._tied(bidder)
        return self._tried(self._whole(index, apart, timeout_s, apart=True), bidder)

    def _whole(self, index: int, point: _Point, timeout_s: float, *, apart: bool) -> _Point | None:
        """The point in whole micro-units: multiplied, or where amounts are fixed in micro-units, asked for again."""
        if self.scalable:
            return _scaled(point)
        if all(number.denominator == 1 for number in point.values()):
            return point
        question = questions(self.prop, self.described, self.scope, apart=apart)[index]
        return solve(question, self.scope, timeout_s, whole=True)

    def _tied(self, bidder: int | None) -> Counterexample | None:
        """A failure among random markets of few and low values, where the object's own ties are many."""
        if self.scope.box is not None:
            return None
        rng = np.random.default_rng(0)
        n, m = self.scope.template.shape
        for _ in range(_DRAWS):
            drawn = rng.integers(0, _LOW, (2, n, m), endpoint=True).tolist()
            point = {
                (kind, i, j): Fraction(drawn[k][i][j])
                for k, kind in enumerate(("value", "report"))
                for i in range(n)
                for j in range(m)
            }
            found = self._tried(point, bidder)
            if found is not None:
                return found
        return None

    def _tried(self, point: _Point | None, bidder: int | None) -> Counterexample | None:
        """A counterexample at the point, whose numbers are whole."""
        if point is None:
            return None
        template = self.scope.template
        entries = {"value": np.zeros(template.shape, np.int64), "cost": template.costs.copy()}
        entries["report"] = entries["value"].copy()
        for (kind, i, j), number in point.items():
            if kind in entries:
                entries[kind][i, j] = int(number)
        try:
            truth = template.replace(values=entries["value"], costs=entries["cost"])
        except MarketError:
            return None
        misreport = None
        if bidder is not None and isinstance(self.prop, DeviationProperty):
            misreport = Misreport.of(bidder, entries["report"][template.requests_of(bidder)])
        return Counterexample.of(self.prop, self.mechanism, truth, misreport)


def _scaled(point: _Point) -> _Point:
    """The point in micro-units so fine that all its numbers are whole."""
    unit = lcm(*(number.denominator for number in point.values()))
    return {unknown: unit * number for unknown, number in point.items()}
