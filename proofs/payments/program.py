"""`Frame`: variables and rows of the program that `design` solves."""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from allocation import UNSERVED, Allocation, CertificateError
from proofs.errors import AuditError
from proofs.payments.exact_programs import Program, Row
from proofs.scopes.grid import Grid

Objective = Literal["welfare", "revenue", "utility", "deficit"]

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

    def program(self, objective: Objective, no_deficit: bool) -> Program:
        """Truth beats every other report, nobody loses, and, where asked, charges cover costs."""
        profiles, count, bidders = range(self.grid.profiles), len(self.outcomes), range(self.grid.bidders)
        rows = []
        if self.fixed is None:
            probabilities = [range(profile * count, (profile + 1) * count) for profile in profiles]
            rows += [Row(dict.fromkeys(chances, 1), 1, equal=True) for chances in probabilities]
        for profile in profiles:
            reports = self.grid.rows(profile)
            for bidder in bidders:
                mine = self.values[bidder][reports[bidder]]
                honest = self.parts(profile, mine, -1), ({self.charge(profile, bidder): 1}, 0)
                rows.append(self.row(*honest))
                for other in self.grid.deviations(profile, bidder):
                    if other != profile:
                        rows.append(self.row(*honest, self.parts(other, mine), ({self.charge(other, bidder): -1}, 0)))
            charged = ({self.charge(profile, bidder): -1 for bidder in bidders}, 0)
            if no_deficit:
                rows.append(self.row(self.parts(profile, self.costs), charged))
            if objective == "deficit":
                rows.append(self.row(self.parts(profile, self.costs), charged, ({self.shortfall(profile): -1}, 0)))
        size = self.shortfall(self.grid.profiles if objective == "deficit" else 0)
        signed = frozenset(self.probabilities) | frozenset(range(self.shortfall(0), size))
        return Program(size, self.goal(objective)[0], tuple(rows), signed)

    def settled(self, objective: Objective) -> int:
        """The part of the objective that fixed allocations decide."""
        return self.goal(objective)[1]

    def goal(self, objective: Objective) -> tuple[dict[int, int], int]:
        """(terms, constant) of the objective, weighted by the prior; a deficit counts as negative."""
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
            part, settled = self.parts(profile, [weight * amount for amount in amounts])
            terms |= part
            constant += settled
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
