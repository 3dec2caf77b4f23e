"""Automated design: the best truthful, individually rational mechanism on a finite scope, as a linear program.

Unknown are, for every profile of a grid, a lottery over all feasible allocations and what each bidder pays; the rows
say that no report beats the truth and no bidder loses (Conitzer and Sandholm 2002). With the allocator given, only the
payments are unknown. The answer is exact (`_programs`): every row holds in rationals, and the dual proves it optimal.
Payments become integers by choosing a finer unit of money, so the menu engine audits the result like any mechanism.
"""

import dataclasses
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from allocation import Allocation, Allocator, Market
from allocation.money import Money
from mechanisms import Lottery, Outcome, Payments, Prior, serving_costs
from proofs.arguments import of_kind, require_flag, several
from proofs.errors import AuditError
from proofs.payments.exact_programs import Solver, solved_exactly, solved_roughly
from proofs.payments.goals import AtLeast, Goal
from proofs.payments.implementable import allocations
from proofs.payments.program import Frame, Objective, every_outcome
from proofs.scopes.grid import Grid
from proofs.scopes.reports import Reports


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """The designed mechanism, as a table over a grid in micro-units so fine that all payments are integers.

    Args:
        grid: the grid that was asked about, all money multiplied by `unit`.
        unit: how many of its micro-units make one micro-unit of the grid that was asked about.
        value: what the objective attains on average under the prior, in micro-units of the grid that was asked about.
        outcomes: (O, N) agents that serve each request, one row per allocation in use.
        shares: (P, O) probability of each outcome in each profile.
        charges: (P, N) what each request pays (on average over the lottery, where there is one), in fine micro-units.
        proved: whether the dual proves `value` optimal; an integer program's optimality is its solver's word.
    """

    grid: Grid
    unit: int
    value: Fraction
    outcomes: NDArray[np.int64]
    shares: tuple[tuple[Fraction, ...], ...]
    charges: Money
    proved: bool

    @property
    def deterministic(self) -> bool:
        """Whether no profile needs a lottery."""
        return all(max(row) == 1 for row in self.shares)

    @property
    def mechanism(self) -> "DesignedMechanism":
        """The mechanism, ready for an audit over `grid`.

        Raises:
            AuditError: it is a lottery; such a design is truthful and rational on average, which its program has
                checked exactly, and is run as `lottery_mechanism`.
        """
        for profile, row in enumerate(self.shares):
            if max(row) < 1:
                odds = ", ".join(
                    f"{self.outcomes[o].tolist()} with {share}" for o, share in enumerate(row) if share > 0
                )
                raise AuditError(
                    f"the design draws lots in profile {profile}: {odds}; take lottery_mechanism, or design with "
                    "deterministic=True"
                )
        chosen = np.array([row.index(Fraction(1)) for row in self.shares])
        return DesignedMechanism(self.grid, self.outcomes[chosen], self.charges)

    @property
    def lottery_mechanism(self) -> "DesignedLottery":
        """The mechanism as one that draws lots, ready for `audit_lotteries` over `grid`."""
        weights = []
        for row in self.shares:
            parts = math.lcm(*(share.denominator for share in row))
            weights.append(tuple(int(share * parts) for share in row))
        return DesignedLottery(self.grid, self.outcomes, tuple(weights), self.charges)


@dataclass(frozen=True, eq=False)
class DesignedMechanism:
    """A mechanism that is a table over a grid; also its own allocator and payment rule. Agents are paid their cost.

    Args:
        grid: where the table holds.
        agents: (P, N) who serves each request in each profile, -1 where unserved.
        charges: (P, N) what each request pays, in micro-units.
    """

    grid: Grid
    agents: NDArray[np.int64]
    charges: Money

    def run(self, market: Market) -> Outcome:
        """Allocate and charge.

        Raises:
            AuditError: the market is off the grid.
        """
        allocation = self.allocate(market)
        return Outcome(market, allocation, self.charge(market, allocation, self))

    def allocate(self, market: Market) -> Allocation:
        """The table's allocation; raises as `run`."""
        return Allocation(self.agents[self._profile(market)])

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """The table's payments, for the allocation that the table holds.

        Raises:
            AuditError: the market is off the grid, or the allocation is another.
        """
        profile = self._profile(market)
        if allocation.agents.tolist() != self.agents[profile].tolist():
            raise AuditError(
                f"payments were designed for agents {self.agents[profile].tolist()} on {market}, not for "
                f"{allocation.agents.tolist()}; run them over the allocator they were designed for"
            )
        return Payments(self.charges[profile], serving_costs(market, allocation))

    def _profile(self, market: Market) -> int:
        return self.grid.profile(self._reports.rows(market))

    @cached_property
    def _reports(self) -> Reports:
        return Reports(self.grid)


@dataclass(frozen=True, eq=False)
class DesignedLottery:
    """A mechanism that is a table of lotteries over a grid; charges do not depend on the draw, agents get their cost.

    So what a bidder pays may exceed the value of what they draw: rational in expectation, not in every draw.

    Args:
        grid: where the table holds.
        outcomes: (O, N) agents that serve each request, -1 where unserved.
        weights: (P, O) integers >= 0, the weight of each outcome in each profile.
        charges: (P, N) what each request pays, in micro-units.
    """

    grid: Grid
    outcomes: NDArray[np.int64]
    weights: tuple[tuple[int, ...], ...]
    charges: Money

    def draw(self, market: Market) -> Lottery:
        """The table's lottery.

        Raises:
            AuditError: the market is off the grid.
        """
        profile = self.grid.profile(self._reports.rows(market))
        drawn = [(Allocation(self.outcomes[o]), weight) for o, weight in enumerate(self.weights[profile]) if weight]
        outcomes = [
            Outcome(market, allocation, Payments(self.charges[profile], serving_costs(market, allocation)))
            for allocation, _ in drawn
        ]
        return Lottery(tuple(outcomes), tuple(weight for _, weight in drawn))

    @cached_property
    def _reports(self) -> Reports:
        return Reports(self.grid)


def design(
    grid: Grid,
    objective: Objective = "revenue",
    *,
    allocator: Allocator | None = None,
    no_deficit: bool = False,
    deterministic: bool = False,
    prior: Sequence[int] | Prior | None = None,
    truthful: Literal["dominant", "bayesian"] = "dominant",
    constraints: Sequence[AtLeast] = (),
    solver: Solver = "pulp",
) -> Design:
    """The best mechanism on the grid that is truthful in dominant strategies and individually rational ex post.

    Args:
        grid: the bidders' reports; costs and capacities public.
        objective: on average over profiles, the most `welfare` (values less costs), `revenue` (charges less costs) or
            `utility` of the bidders, or the least `deficit` (what costs exceed charges by, where they do); or your own
            `Goal`.
        allocator: who serves whom, if that is settled; default: to be designed too, as a lottery where that is better.
        no_deficit: whether charges must cover costs in every profile.
        deterministic: no lotteries; then an integer program chooses the allocations, and its optimality is not proved.
        prior: (P,) integer weight of each profile, or a `Prior` over markets of the grid; default: all alike.
        truthful: in `dominant` strategies, nobody losing ex post; or `bayesian`: on average over the others under the
            prior, nobody losing given their own type (interim).
        constraints: what must hold besides.
        solver: the front end, both with HiGHS.

    Raises:
        AuditError: malformed or too large a question, no such mechanism, no best one, or an answer that could not be
            made exact.

    Example:
        >>> design(Grid(bidders=1, agents=1, values=range(4)), "revenue").value
        Fraction(1, 1)
    """
    of_kind(grid, Grid, "grid", "Grid(...)")
    require_flag(no_deficit, "no_deficit")
    require_flag(deterministic, "deterministic")
    for constraint in several(constraints, "constraints", "AtLeast(...)"):
        of_kind(constraint, AtLeast, "constraint", "AtLeast(goal, bound)")
    of_kind(solver, str, "solver", "pulp or cvxpy")
    weights = _weights(grid, objective, prior)
    if truthful not in ("dominant", "bayesian"):
        raise AuditError(f"truthful = {truthful!r}; expected dominant or bayesian")
    bayesian = truthful == "bayesian"
    fixed = None if allocator is None else allocations(allocator, grid)
    if fixed is None and deterministic:
        rough = Frame(grid, weights, every_outcome(grid), None)
        answer = solved_roughly(
            rough.program(objective, no_deficit, constraints, bayesian), solver, frozenset(rough.probabilities)
        )
        picks = np.array(answer[: len(rough.probabilities)]).reshape(grid.profiles, -1).argmax(axis=1)
        fixed = rough.outcomes[picks]
    outcomes = every_outcome(grid) if fixed is None else np.unique(fixed, axis=0)
    frame = Frame(grid, weights, outcomes, fixed)
    program = frame.program(objective, no_deficit, constraints, bayesian)
    point = solved_exactly(program, solver)
    total = program.value(point) + frame.settled(objective)
    return _designed(
        frame, point, total / (sum(weights) * frame.scale(objective)), proved=not deterministic or allocator is not None
    )


def _designed(frame: Frame, point: list[Fraction], value: Fraction, proved: bool) -> Design:
    grid, count = frame.grid, len(frame.outcomes)
    paid = point[len(frame.probabilities) : frame.shortfall(0)]
    unit = math.lcm(1, *(amount.denominator for amount in paid))
    if frame.fixed is None:
        shares = [point[profile * count : (profile + 1) * count] for profile in range(grid.profiles)]
    else:
        shares = [[Fraction(outcome == pick) for outcome in range(count)] for pick in frame.picks]
    charges = np.zeros((grid.profiles, grid.template.shape[0]), np.int64)
    first = [int(grid.template.requests_of(bidder)[0]) for bidder in range(grid.bidders)]
    charges[:, first] = np.array([int(amount * unit) for amount in paid]).reshape(grid.profiles, -1)
    fine = dataclasses.replace(grid, values=[tick * unit for tick in grid.values], costs=grid.template.costs * unit)
    return Design(fine, unit, value, frame.outcomes, tuple(map(tuple, shares)), charges, proved)


def _weights(grid: Grid, objective: Objective, prior: Sequence[int] | Prior | None) -> tuple[int, ...]:
    if not isinstance(objective, Goal) and objective not in ("welfare", "revenue", "utility", "deficit"):
        raise AuditError(f"objective = {objective!r}; expected welfare, revenue, utility, deficit or a Goal")
    if grid.agent_types:
        raise AuditError(f"{grid} has private agents; design is for bidders' reports, with public costs and capacities")
    if grid.ties != "first":
        raise AuditError(f"a design has no ties; give this grid ties='first': {grid}")
    if isinstance(prior, Prior):
        found = [prior.weight(grid.market(profile)) for profile in range(grid.profiles)]
        if sum(found) != prior.total:
            raise AuditError(f"the prior holds markets possible that are not on {grid}")
        return tuple(found)
    try:
        weights = (1,) * grid.profiles if prior is None else tuple(map(operator.index, prior))
    except TypeError as error:
        raise AuditError(f"prior holds weights that are no integers ({error}); scale them up") from None
    if len(weights) != grid.profiles or min(weights) < 0 or sum(weights) == 0:
        raise AuditError(
            f"prior holds {len(weights)} weights; expected {grid.profiles} integers >= 0, not all of them 0"
        )
    return weights
