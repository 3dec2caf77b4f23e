"""The allocation as a minimum-cost flow in other people's libraries: `NetworkFlow` (networkx) and `OrTools`.

Both build the textbook network source -> request -> agent -> sink, with an arc past the agents for staying unserved.
Without that arc a maximum flow would serve requests at a loss.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocation.allocation import UNSERVED, Allocation
from allocation.errors import unsolved
from allocation.exact.duals import improve
from allocation.market import FORBIDDEN, Market, as_market


@dataclass(frozen=True, slots=True)
class NetworkFlow:
    """Network simplex from networkx: slow, readable, integer throughout. The reference."""

    exact: ClassVar[bool] = True

    def allocate(self, market: Market) -> Allocation:
        """An optimal allocation with minimal prices."""
        import networkx as nx

        n, m = as_market(market).shape
        graph = nx.DiGraph()
        graph.add_node("source", demand=-n)
        graph.add_node("sink", demand=n)
        for j in range(m):
            graph.add_edge(("agent", j), "sink", capacity=int(market.capacities[j]), weight=0)
        for i in range(n):
            graph.add_edge("source", ("request", i), capacity=1, weight=0)
            graph.add_edge(("request", i), "sink", capacity=1, weight=0)
            for j in range(m):
                if market.weights[i, j] != FORBIDDEN:
                    graph.add_edge(("request", i), ("agent", j), capacity=1, weight=-int(market.weights[i, j]))
        _, flow = nx.network_simplex(graph)
        agents = [next((j for j in range(m) if flow[("request", i)].get(("agent", j))), UNSERVED) for i in range(n)]
        return improve(market, Allocation(np.array(agents, dtype=np.int64)))[0]


@dataclass(frozen=True, slots=True)
class OrTools:
    """Cost-scaling push-relabel from OR-tools' SimpleMinCostFlow (Goldberg 1997): fast, integer throughout."""

    exact: ClassVar[bool] = True

    def allocate(self, market: Market) -> Allocation:
        """An optimal allocation with minimal prices.

        Raises:
            SolverError: OR-tools reported anything but an optimum.
        """
        n, m = as_market(market).shape
        if n == 0:
            return improve(market, Allocation(np.zeros(0, np.int64)))[0]
        from ortools.graph.python import min_cost_flow

        rows, columns = np.nonzero((market.weights > 0) & (market.capacities > 0))
        requests, agents, source, sink = np.arange(n), n + np.arange(m), n + m, n + m + 1
        tails = np.concatenate([rows, requests, agents, np.full(n, source)])
        heads = np.concatenate([n + columns, np.full(n, sink), np.full(m, sink), requests])
        capacities = np.concatenate(
            [np.ones(rows.size + n, np.int64), np.minimum(market.capacities, n), np.ones(n, np.int64)]
        )
        costs = np.concatenate([-market.weights[rows, columns], np.zeros(2 * n + m, np.int64)])
        solver = min_cost_flow.SimpleMinCostFlow()
        arcs = solver.add_arcs_with_capacity_and_unit_cost(tails, heads, capacities, costs)
        solver.set_node_supply(source, n)
        solver.set_node_supply(sink, -n)
        status = solver.solve()
        if status != solver.OPTIMAL:
            raise unsolved("OR-tools", status.name, market.shape)
        used = solver.flows(arcs)[: rows.size] > 0
        chosen = np.full(n, UNSERVED)
        chosen[rows[used]] = columns[used]
        return improve(market, Allocation(chosen))[0]
