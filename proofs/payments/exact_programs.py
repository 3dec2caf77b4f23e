"""Linear programs solved in floating point by other people's solvers, answered in exact rationals by us.

A vertex of a program with small integer data has small denominators. So each number of a solver's answer is rounded to
the nearest simple fraction, and the rounded answer is believed only if it satisfies every row exactly. Its optimality
is proved by an exactly feasible answer of the dual program with the same value (weak duality; Gale, Kuhn and Tucker
1951). The solver need not be trusted, then: a wrong answer cannot pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from proofs.errors import AuditError

Solver = Literal["pulp", "cvxpy"]

#: Denominators tried, in turn, when a solver's floats are rounded to fractions.
_DENOMINATORS = (1, 2, 12, 60, 840, 27_720, 10**6)

#: By how much, relatively, the value of a rounded answer may fall short of what the solver promised.
_SLACK = 1e-7


class Row(NamedTuple):
    """`sum of terms[k] * x[k] <= bound`, or `== bound` where `equal`."""

    terms: Mapping[int, int]
    bound: int
    equal: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """Maximise `objective . x` over `size` variables, of which those in `nonnegative` may not be negative."""

    size: int
    objective: Mapping[int, int]
    rows: tuple[Row, ...]
    nonnegative: frozenset[int]

    def dual(self) -> "Program":
        """The dual as a maximisation: its value is minus this one's."""
        columns: list[dict[int, int]] = [{} for _ in range(self.size)]
        for index, row in enumerate(self.rows):
            for variable, factor in row.terms.items():
                columns[variable][index] = factor
        rows = []
        for variable, column in enumerate(columns):
            worth = self.objective.get(variable, 0)
            if variable in self.nonnegative:
                rows.append(Row({index: -factor for index, factor in column.items()}, -worth))
            else:
                rows.append(Row(column, worth, equal=True))
        bounds = {index: -row.bound for index, row in enumerate(self.rows)}
        signed = frozenset(index for index, row in enumerate(self.rows) if not row.equal)
        return Program(len(self.rows), bounds, tuple(rows), signed)

    def value(self, point: list[Fraction]) -> Fraction:
        """The objective at a point."""
        return sum((factor * point[variable] for variable, factor in self.objective.items()), Fraction(0))

    def holds(self, point: list[Fraction]) -> bool:
        """Whether a point satisfies every row and sign, exactly."""
        if any(point[variable] < 0 for variable in self.nonnegative):
            return False
        for row in self.rows:
            total = sum((factor * point[variable] for variable, factor in row.terms.items()), Fraction(0))
            if total > row.bound or (row.equal and total != row.bound):
                return False
        return True


def solved_exactly(program: Program, solver: Solver) -> list[Fraction]:
    """An optimal point, feasible in exact rationals and proved optimal by an exact dual point of the same value.

    Raises:
        AuditError: the program is infeasible or unbounded, or the answer could not be made exact.
    """
    point = _exact(program, solver, "answer")
    dual = program.dual()
    proof = _exact(dual, solver, "proof of optimality")
    if program.value(point) != -dual.value(proof):
        raise AuditError(
            f"{solver} answers {program.value(point)}, its dual bounds {-dual.value(proof)}: not optimal; try the "
            "other solver, or coarser values"
        )
    return point


def solved_roughly(program: Program, solver: Solver, integral: frozenset[int] = frozenset()) -> list[float]:
    """The solver's own answer in floats, these variables 0 or 1; no proof.

    Raises:
        AuditError: there is no such solver, or it reported anything but an optimum.
    """
    if solver not in _FRONT_ENDS:
        raise AuditError(f"solver = {solver!r}; expected one of {', '.join(_FRONT_ENDS)}")
    return _FRONT_ENDS[solver](program, integral)


def _exact(program: Program, solver: Solver, what: str) -> list[Fraction]:
    rough = solved_roughly(program, solver)
    promised = sum(factor * rough[variable] for variable, factor in program.objective.items())
    for denominator in _DENOMINATORS:
        point = [Fraction(number).limit_denominator(denominator) for number in rough]
        # Coarse rounding may give up some of the value, which finer fractions keep; the dual is the judge of both.
        if program.holds(point) and float(program.value(point)) >= promised - _SLACK * (1 + abs(promised)):
            return point
    raise AuditError(f"the {what} of {solver} could not be made exact; try the other solver, or coarser values")


def _with_pulp(program: Program, integral: frozenset[int]) -> list[float]:
    import pulp

    problem = pulp.LpProblem("design", pulp.LpMaximize)
    variables = [
        problem.add_variable(
            f"x{index}",
            lowBound=0 if index in program.nonnegative else None,
            upBound=1 if index in integral else None,
            cat="Integer" if index in integral else "Continuous",
        )
        for index in range(program.size)
    ]
    problem.setObjective(_expression(pulp, variables, program.objective))
    for row in program.rows:
        left = _expression(pulp, variables, row.terms)
        problem += (left == row.bound) if row.equal else (left <= row.bound)
    status = pulp.LpStatus[problem.solve(pulp.HiGHS(msg=False))]
    if status != "Optimal":
        raise _unsolved("PuLP", status, program)
    return [float(variable.varValue or 0.0) for variable in variables]


def _expression(pulp: Any, variables: list[Any], terms: Mapping[int, int]) -> Any:
    return pulp.LpAffineExpression([(variables[index], factor) for index, factor in terms.items()])


def _with_cvxpy(program: Program, integral: frozenset[int]) -> list[float]:
    import cvxpy as cp
    import numpy as np
    from scipy.sparse import csr_array

    def matrix(rows: list[Row]) -> Any:
        entries = [
            (factor, index, variable) for index, row in enumerate(rows) for variable, factor in row.terms.items()
        ]
        factors, where, which = zip(*entries, strict=True) if entries else ((), (), ())
        return csr_array((np.array(factors, float), (where, which)), shape=(len(rows), program.size))

    point = cp.Variable(program.size)
    constraints = []
    for equal in (True, False):
        rows = [row for row in program.rows if row.equal is equal]
        if rows:
            left, bounds = matrix(rows) @ point, np.array([row.bound for row in rows], float)
            constraints.append(left == bounds if equal else left <= bounds)
    signed = sorted(program.nonnegative)
    if signed:
        constraints.append(point[signed] >= 0)
    if integral:
        constraints.append(point[sorted(integral)] == cp.Variable(len(integral), boolean=True))
    worth = np.array([program.objective.get(index, 0) for index in range(program.size)], float)
    problem = cp.Problem(cp.Maximize(worth @ point), constraints)
    problem.solve(solver="HIGHS")
    if problem.status != cp.OPTIMAL:
        raise _unsolved("cvxpy", str(problem.status), program)
    answer: list[float] = point.value.tolist()
    return answer


_FRONT_ENDS = {"pulp": _with_pulp, "cvxpy": _with_cvxpy}


def _unsolved(solver: str, status: str, program: Program) -> AuditError:
    return AuditError(
        f"{solver} reports {status.lower()} for {program.size} variables and {len(program.rows)} rows; where payments "
        "may fall without end ask for no_deficit=True"
    )
