"""`Frame`: variables and rows of the program that `design` solves."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from allocation import UNSERVED, Allocation, CertificateError
from proofs.errors import AuditError
from proofs.payments.exact_programs import Program, Row
from proofs.payments.goals import AtLeast, Goal, each, exact
from proofs.scopes.grid import Grid

Objective = Literal["welfare", "revenue", "utility", "deficit"] | Goal

#: Refuse to build larger programs than this.
_MAX_VARIABLES = 50_000


@dataclass(frozen=True)
class Frame:
    """Names of the variables: probabilities by (profile, outcome), charges by (profile, bidder), deficits by profile.

    Where `fixed` holds the allocations there are no probabilities, and their part of every row is a constant.
    """

    grid: Grid
    weights: tuple[int, ...]
    outcomes: NDArray[np.int64]
    fixed: NDArray[np.int64] | None

    @cached_property
    def probabilities(self) -> range:
        """The variables that are probabilities."""
        return range(0 if self.fixed is not None else self.grid.profiles * len(self.outcomes))

    def charge(self, profile: int, bidder: int) -> int:
        """The variable of what a bidder pays in a profile, in micro-units."""
        return len(self.probabilities) + profile * self.grid.bidders + bidder

    def shortfall(self, profile: int) -> int:
        """The variable of a profile's deficit, in micro-units."""
        return len(self.probabilities) + self.grid.profiles * self.grid.bidders + profile

    @cached_property
    def picks(self) -> list[int]:
        """Outcome of each profile, where allocations are fixed."""
        assert self.fixed is not None
        numbered = {tuple(row): index for index, row in enumerate(self.outcomes.tolist())}
        return [numbered[tuple(row)] for row in self.fixed.tolist()]

    @cached_property
    def values(self) -> list[list[list[int]]]:
        """Bidder, type, outcome -> what the outcome is worth to that type, in micro-units."""
        owned = map(self.grid.template.requests_of, range(self.grid.bidders))
        return [self.grid.bundle_values(bidder, self.outcomes[:, mine]).tolist() for bidder, mine in enumerate(owned)]

    @cached_property
    def costs(self) -> list[int]:
        """Outcome -> cost of serving it, in micro-units."""
        template = self.grid.template
        return [int(template.take(template.costs, Allocation(row)).sum()) for row in self.outcomes]

    def parts(self, profile: int, amounts: list[int], sign: int = 1) -> tuple[dict[int, int], int]:
        """(terms, constant) of the expectation of `amounts` per outcome in a profile."""
        if self.fixed is not None:
            return {}, sign * amounts[self.picks[profile]]
        first = profile * len(self.outcomes)
        return {first + outcome: sign * amount for outcome, amount in enumerate(amounts) if amount}, 0

    def row(self, *parts: tuple[dict[int, int], int]) -> Row:
        """The row that says that these parts sum to at most 0."""
        terms: dict[int, int] = {}
        for part, _ in parts:
            for variable, factor in part.items():
                terms[variable] = terms.get(variable, 0) + factor
        return Row(terms, -sum(constant for _, constant in parts))

    def program(
        self, objective: Objective, no_deficit: bool, constraints: Sequence[AtLeast] = (), bayesian: bool = False
    ) -> Program:
        """Truth beats every other report, nobody loses, and, where asked, charges cover costs."""
        profiles, count, bidders = range(self.grid.profiles), len(self.outcomes), range(self.grid.bidders)
        rows = []
        if self.fixed is None:
            probabilities = [range(profile * count, (profile + 1) * count) for profile in profiles]
            rows += [Row(dict.fromkeys(chances, 1), 1, equal=True) for chances in probabilities]
        rows += self.interim() if bayesian else self.ex_post()
        rows += [row for asked in constraints for row in self.bounds(asked)]
        for profile in profiles:
            charged = ({self.charge(profile, bidder): -1 for bidder in bidders}, 0)
            if no_deficit:
                rows.append(self.row(self.parts(profile, self.costs), charged))
            if objective == "deficit":
                rows.append(self.row(self.parts(profile, self.costs), charged, ({self.shortfall(profile): -1}, 0)))
        size = self.shortfall(self.grid.profiles if objective == "deficit" else 0)
        signed = frozenset(self.probabilities) | frozenset(range(self.shortfall(0), size))
        return Program(size, self.goal(objective)[0], tuple(rows), signed)

    def ex_post(self) -> Iterator[Row]:
        """In every profile truth beats every other report, and nobody loses."""
        for profile in range(self.grid.profiles):
            reports = self.grid.rows(profile)
            for bidder in range(self.grid.bidders):
                mine = self.values[bidder][reports[bidder]]
                honest = self.parts(profile, mine, -1), ({self.charge(profile, bidder): 1}, 0)
                yield self.row(*honest)
                for other in self.grid.deviations(profile, bidder):
                    if other != profile:
                        yield self.row(*honest, self.parts(other, mine), ({self.charge(other, bidder): -1}, 0))

    def interim(self) -> Iterator[Row]:
        """The same for every bidder and type on average over the others, given the type (Myerson 1981)."""
        for bidder in range(self.grid.bidders):
            for own, mine in enumerate(self.values[bidder]):
                likely = [
                    (profile, weight)
                    for profile, weight in enumerate(self.weights)
                    if weight and self.grid.rows(profile)[bidder] == own
                ]
                honest = [part for profile, w in likely for part in self.utility(profile, bidder, mine, -w)]
                for report in range(len(self.values[bidder]) if likely else 0):
                    if report == own:
                        yield self.row(*honest)
                        continue
                    there = [(self.grid.deviations(profile, bidder)[report], w) for profile, w in likely]
                    yield self.row(*honest, *(p for q, w in there for p in self.utility(q, bidder, mine, w)))

    def utility(self, profile: int, bidder: int, mine: list[int], factor: int) -> list[tuple[dict[int, int], int]]:
        """Parts of `factor` times the utility, in a profile, of the bidder to whom outcomes are worth `mine`."""
        paid = ({self.charge(profile, bidder): -factor}, 0)
        return [self.parts(profile, [factor * worth for worth in mine]), paid]

    def bounds(self, asked: AtLeast) -> Iterator[Row]:
        """The constraint in every profile, or on average under the prior."""
        if asked.when == "always":
            sums = [(self.linear(asked.goal, profile), Fraction(1)) for profile in range(self.grid.profiles)]
        else:
            sums = [(self.average(asked.goal), Fraction(sum(self.weights)))]
        for (terms, constant), weight in sums:
            bound = constant - weight * asked.bound
            scale = math.lcm(bound.denominator, *(factor.denominator for factor in terms.values()))
            yield Row({variable: int(-factor * scale) for variable, factor in terms.items()}, int(bound * scale))

    def linear(self, goal: Goal, profile: int, weight: int = 1) -> tuple[dict[int, Fraction], Fraction]:
        """(terms, constant) of `weight` times a goal in a profile."""
        reports, market = self.grid.rows(profile), self.grid.market(profile)
        amounts = [goal.cost * Fraction(cost) for cost in self.costs]
        for factor, table, report in zip(each(goal.value, self.grid.bidders), self.values, reports, strict=True):
            amounts = [amount + factor * worth for amount, worth in zip(amounts, table[report], strict=True)]
        if goal.allocation is not None:
            added = [exact(goal.allocation(market, Allocation(row))) for row in self.outcomes]
            amounts = [amount + more for amount, more in zip(amounts, added, strict=True)]
        terms: dict[int, Fraction] = {}
        constant = Fraction(0)
        if self.fixed is not None:
            constant = weight * amounts[self.picks[profile]]
        else:
            first = profile * len(self.outcomes)
            terms = {first + outcome: weight * amount for outcome, amount in enumerate(amounts) if amount}
        for bidder, factor in enumerate(each(goal.charge, self.grid.bidders)):
            if factor:
                terms[self.charge(profile, bidder)] = weight * factor
        return terms, constant

    def average(self, goal: Goal) -> tuple[dict[int, Fraction], Fraction]:
        """(terms, constant) of a goal summed over profiles, times their weights."""
        terms: dict[int, Fraction] = {}
        constant = Fraction(0)
        for profile, weight in enumerate(self.weights):
            if weight:
                part, settled = self.linear(goal, profile, weight)
                terms |= part
                constant += settled
        return terms, constant

    def scale(self, objective: Objective) -> int:
        """What the objective is multiplied by in the program, so that its numbers are integers."""
        if not isinstance(objective, Goal):
            return 1
        terms, constant = self.average(objective)
        return math.lcm(constant.denominator, *(factor.denominator for factor in terms.values()))

    def settled(self, objective: Objective) -> int:
        """The part of the objective that fixed allocations decide."""
        return self.goal(objective)[1]

    def goal(self, objective: Objective) -> tuple[dict[int, int], int]:
        """(terms, constant) of the objective, weighted by the prior; a deficit counts as negative."""
        if isinstance(objective, Goal):
            (exact_terms, settled), scale = self.average(objective), self.scale(objective)
            return {variable: int(factor * scale) for variable, factor in exact_terms.items()}, int(settled * scale)
        terms: dict[int, int] = {}
        constant = 0
        for profile, weight in enumerate(self.weights):
            if objective == "deficit":
                terms[self.shortfall(profile)] = -weight
                continue
            reports = self.grid.rows(profile)
            amounts = [0] * len(self.outcomes)
            if objective != "utility":
                amounts = [-cost for cost in self.costs]
            if objective != "revenue":
                for table, report in zip(self.values, reports, strict=True):
                    amounts = [amount + values for amount, values in zip(amounts, table[report], strict=True)]
            part, fixed = self.parts(profile, [weight * amount for amount in amounts])
            terms |= part
            constant += fixed
            if objective != "welfare":
                sign = weight if objective == "revenue" else -weight
                terms |= {self.charge(profile, bidder): sign for bidder in range(self.grid.bidders)}
        return terms, constant


def every_outcome(grid: Grid) -> NDArray[np.int64]:
    """(O, N) every feasible allocation."""
    n, m = grid.template.shape
    if grid.profiles * (m + 1) ** n > _MAX_VARIABLES:
        raise AuditError(
            f"{grid.profiles} profiles with up to {(m + 1) ** n} allocations each exceed {_MAX_VARIABLES} variables; "
            "use fewer values, bidders or agents, or give an allocator"
        )
    found = []
    for agents in product(range(UNSERVED, m), repeat=n):
        try:
            grid.template.check(Allocation(np.array(agents, np.int64)))
        except CertificateError:
            continue
        found.append(agents)
    return np.array(found, np.int64).reshape(-1, n)
