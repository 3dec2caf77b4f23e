"""`ExecutionRisk`: how requests may run that were auctioned on predictions."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import numpy as np

from allocation import Market
from mechanisms import Outcome
from mechanisms.settlement import CERTAIN, Execution
from proofs.errors import AuditError


@dataclass(frozen=True, slots=True)
class ExecutionRisk:
    """How runs may turn out, each served request on its own: equally likely errors of its cost, a chance of success.

    Args:
        errors: micro-units by which a measured cost differs from the true expected one; their mean must be 0. A cost
            that could fall below 0 by them is certain.
        chance: of success, in millionths, 1 to `CERTAIN`; values of the market are worth times this chance.

    Raises:
        AuditError: errors are biased or none, or the chance is out of range.
    """

    errors: tuple[int, ...] = (-1, 1)
    chance: int = CERTAIN // 2

    def __post_init__(self) -> None:
        if not self.errors or sum(self.errors) != 0:
            raise AuditError(f"errors = {self.errors}; predictions that are right on average have errors of mean 0")
        if not 1 <= self.chance <= CERTAIN:
            raise AuditError(f"chance = {self.chance}; expected millionths, 1 to {CERTAIN}")

    @property
    def odds(self) -> Fraction:
        """The chance of success, in (0, 1]."""
        return Fraction(self.chance, CERTAIN)

    def weight(self, requests: int) -> int:
        """A common denominator of expected utilities over the runs of so many requests."""
        each: int = len(self.errors) * self.odds.denominator
        return int(each**requests)

    def runs(self, truth: Market, outcome: Outcome) -> Iterator[tuple[Fraction, Execution]]:
        """Every way in which the served requests may run, with its probability."""
        served = np.flatnonzero(outcome.allocation.served)
        expected = truth.take(truth.costs, outcome.allocation)
        fates = [(error, succeeded) for succeeded in (True, False)[: 1 + (self.odds < 1)] for error in self.errors]
        for fate in product(fates, repeat=served.size):
            costs, done = expected.copy(), np.ones(expected.size, bool)
            likely = Fraction(1)
            for request, (error, succeeded) in zip(served.tolist(), fate, strict=True):
                costs[request] += error if expected[request] + min(self.errors) >= 0 else 0
                done[request] = succeeded
                likely *= (self.odds if succeeded else 1 - self.odds) / len(self.errors)
            yield likely, Execution(costs, done, np.full(expected.size, self.chance))

    def __str__(self) -> str:
        return f"costs off by {' or '.join(map(str, self.errors))}, success {self.odds}"
