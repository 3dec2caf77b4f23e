"""The same market in other people's solvers, as directly as their interfaces allow, nothing of ours in the time."""

import time
from collections.abc import Callable

import numpy as np

from allocation import FORBIDDEN, LinearProgram, Market, NetworkFlow

SOLVE_ONLY: list[float] = []


def or_tools(market: Market) -> int:
    """Welfare by SimpleMinCostFlow: vectorised build and solve; the solving alone is noted in `SOLVE_ONLY`."""
    from ortools.graph.python import min_cost_flow

    weights = market.weights
    n, m = market.shape
    rows, columns = np.nonzero((weights > 0) & (market.capacities > 0))
    requests = np.arange(n)
    solver = min_cost_flow.SimpleMinCostFlow()
    arcs = solver.add_arcs_with_capacity_and_unit_cost(
        np.concatenate([rows, requests, n + np.arange(m), np.full(n, n + m)]),
        np.concatenate([n + columns, np.full(n, n + m + 1), np.full(m, n + m + 1), requests]),
        np.concatenate([np.ones(rows.size + n, np.int64), np.minimum(market.capacities, n), np.ones(n, np.int64)]),
        np.concatenate([-weights[rows, columns], np.zeros(2 * n + m, np.int64)]),
    )
    solver.set_node_supply(n + m, n)
    solver.set_node_supply(n + m + 1, -n)
    began = time.process_time()
    assert solver.solve() == solver.OPTIMAL
    SOLVE_ONLY.append(time.process_time() - began)
    used = solver.flows(arcs)[: rows.size] > 0
    return int(weights[rows[used], columns[used]].sum())


def scipy_slots(market: Market) -> int:
    """Welfare by linear_sum_assignment, an agent a column for each of its slots."""
    from scipy.optimize import linear_sum_assignment

    columns = np.repeat(np.arange(market.shape[1]), np.minimum(market.capacities, market.shape[0]))
    gains = np.where(market.weights == FORBIDDEN, 0, np.maximum(market.weights, 0))[:, columns]
    return int(gains[linear_sum_assignment(gains, maximize=True)].sum())


def networkx_simplex(market: Market) -> int:
    return market.welfare(NetworkFlow().allocate(market))


def pulp_highs(market: Market) -> int:
    return market.welfare(LinearProgram("highs").allocate(market))


#: Largest number of cells (N x slots for scipy, N x M for the others) on which each finishes in seconds.
SLOW: dict[str, tuple[Callable[[Market], int], int]] = {
    "scipy": (scipy_slots, 1_500_000),
    "networkx": (networkx_simplex, 20_000),
    "PuLP": (pulp_highs, 20_000),
}
