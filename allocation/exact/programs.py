"""The allocation as a linear program: `LinearProgram` (PuLP) and `ConvexProgram` (cvxpy).

The constraint matrix of bipartite b-matching is totally unimodular (Hoffman and Kruskal 1956), so a vertex solution is
integral. Solvers work in floating point and stop within tolerances; what they return is rounded, then proved or
repaired in exact integers (`allocation.exact.duals.improve`). They are references to check against, not fast paths.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from allocation.allocation import UNSERVED, Allocation
from allocation.errors import SolverError, unsolved
from allocation.exact.duals import improve
from allocation.market import FORBIDDEN, Market, as_market


@dataclass(frozen=True, slots=True)
class LinearProgram:
    """Maximise welfare with PuLP; `solver` is the HiGHS or the CBC that comes with the core.

    Raises:
        SolverError: there is no such solver.
    """

    solver: Literal["highs", "cbc"] = "highs"
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.solver not in ("highs", "cbc"):
            raise SolverError(f"solver = {self.solver!r}; PuLP is used with 'highs' or 'cbc'")

    def allocate(self, market: Market) -> Allocation:
        """An optimal allocation with minimal prices.

        Raises:
            SolverError: the solver reported anything but an optimum.
        """
        return improve(market, self.relaxed(market))[0]

    def relaxed(self, market: Market) -> Allocation:
        """The solver's own answer, rounded; without proof."""
        rows, columns = _worthwhile(as_market(market))
        if not rows.size:
            return _nobody(market)
        import pulp

        problem = pulp.LpProblem("allocation", pulp.LpMaximize)
        shares = [problem.add_variable(f"x{k}", lowBound=0) for k in range(rows.size)]
        worth = market.weights[rows, columns].tolist()
        problem.setObjective(pulp.LpAffineExpression(list(zip(shares, worth, strict=True))))
        for row in np.unique(rows):
            problem += pulp.lpSum(shares[k] for k in np.flatnonzero(rows == row)) <= 1
        for column in np.unique(columns):
            problem += pulp.lpSum(shares[k] for k in np.flatnonzero(columns == column)) <= int(
                market.capacities[column]
            )
        bundled_cbc = pulp.PULP_CBC_CMD.pulp_cbc_path
        backend = pulp.HiGHS(msg=False) if self.solver == "highs" else pulp.COIN_CMD(msg=False, path=bundled_cbc)
        status = pulp.LpStatus[problem.solve(backend)]
        if status != "Optimal":
            raise unsolved(f"PuLP with {self.solver}", status, market.shape)
        return _rounded(market, rows, columns, np.array([share.varValue or 0.0 for share in shares]))


@dataclass(frozen=True, slots=True)
class ConvexProgram:
    """Maximise welfare with cvxpy; any LP-capable solver that cvxpy lists here may be named."""

    solver: str = "HIGHS"
    exact: ClassVar[bool] = True

    def allocate(self, market: Market) -> Allocation:
        """An optimal allocation with minimal prices.

        Raises:
            SolverError: the solver is not installed or reported anything but an optimum.
        """
        return improve(market, self.relaxed(market))[0]

    def relaxed(self, market: Market) -> Allocation:
        """The solver's own answer, rounded; without proof."""
        rows, columns = _worthwhile(as_market(market))
        if not rows.size:
            return _nobody(market)
        import cvxpy as cp

        if self.solver not in cp.installed_solvers():
            raise SolverError(
                f"cvxpy has no solver {self.solver!r} here; installed: {', '.join(cp.installed_solvers())}"
            )
        worth = np.where(market.weights == FORBIDDEN, 0, market.weights).astype(float)
        scale = max(1.0, float(np.abs(worth).max()))
        shares = cp.Variable(market.shape, nonneg=True)
        allowed = (market.weights > 0).astype(float)
        # To learn a shape cvxpy sums memory that nobody has written to, and numpy may warn of what it finds there.
        with np.errstate(all="ignore"):
            problem = cp.Problem(
                cp.Maximize(cp.sum(cp.multiply(worth / scale, shares))),
                [cp.sum(shares, axis=1) <= 1, cp.sum(shares, axis=0) <= market.capacities, shares <= allowed],
            )
            problem.solve(solver=self.solver)
        if problem.status != cp.OPTIMAL:
            raise unsolved(f"cvxpy with {self.solver}", str(problem.status), market.shape)
        solution: Any = shares.value
        return _rounded(market, rows, columns, solution[rows, columns])


def _worthwhile(market: Market) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    rows, columns = np.nonzero((market.weights > 0) & (market.capacities > 0))
    return rows, columns


def _nobody(market: Market) -> Allocation:
    return Allocation(np.full(market.shape[0], UNSERVED))


def _rounded(
    market: Market, rows: NDArray[np.intp], columns: NDArray[np.intp], shares: NDArray[np.float64]
) -> Allocation:
    agents = np.full(market.shape[0], UNSERVED)
    room = market.capacities.copy()
    for k in np.argsort(-shares, kind="stable"):
        row, column = rows[k], columns[k]
        if shares[k] > 0.5 - 1e-6 and agents[row] == UNSERVED and room[column] > 0:
            agents[row] = column
            room[column] -= 1
    return Allocation(agents)
