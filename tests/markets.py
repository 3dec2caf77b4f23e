"""Random markets for tests: hypothesis strategies, and a generator for thousands at once."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from allocation import Market
from proofs import strategies


@st.composite
def markets(draw: st.DrawFn, max_requests: int = 5, max_agents: int = 3, owners: bool = False) -> Market:
    """Small markets that favour what goes wrong: ties, no capacity, forbidden pairs, negative surplus, no requests."""
    amounts = draw(st.sampled_from([st.integers(-3, 3), st.integers(0, 10), st.integers(-(2**40), 2**40), st.just(1)]))
    return draw(
        strategies.markets(
            max_requests,
            max_agents,
            min_requests=0,
            bidders=3 if owners else None,
            values=amounts,
            costs=amounts if draw(st.booleans()) else 0,
            forbidden=draw(st.booleans()),
        )
    )


def random_market(rng: np.random.Generator, n: int, m: int) -> Market:
    """A market of a random kind: wide or tied values, costs, scarce to ample capacity, forbidden pairs."""
    top = int(rng.choice([2, 5, 1000, 2**40]))
    values = rng.integers(-top // 4, top + 1, (n, m))
    costs = rng.integers(0, top // 2 + 1, (n, m)) if rng.random() < 0.5 else np.zeros((n, m), np.int64)
    capacities = rng.integers(0, max(1, 2 * n // m) + 1, m)
    feasible = rng.random((n, m)) < 0.7 if rng.random() < 0.5 else None
    return Market(values, costs, capacities, feasible)


def stack(parts: Sequence[Market]) -> Market:
    """One market made of separate ones: agents of one part may not serve requests of another."""
    n = sum(part.shape[0] for part in parts)
    m = sum(part.shape[1] for part in parts)
    values, costs = np.zeros((n, m), np.int64), np.zeros((n, m), np.int64)
    feasible = np.zeros((n, m), bool)
    row = column = 0
    for part in parts:
        rows, columns = slice(row, row + part.shape[0]), slice(column, column + part.shape[1])
        values[rows, columns], costs[rows, columns] = part.values, part.costs
        feasible[rows, columns] = True if part.feasible is None else part.feasible
        row, column = rows.stop, columns.stop
    return Market(values, costs, np.concatenate([part.capacities for part in parts]), feasible)
