"""The lowest supporting prices: what linear programming says they are, and no prices where there is no optimum."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from allocation import (
    FORBIDDEN,
    UNSERVED,
    Allocation,
    BruteForce,
    CertificateError,
    Market,
    MinCostFlow,
    improve,
    minimal_prices,
)
from tests.benchmarks.kinds import KINDS, make
from tests.markets import markets, random_market


def lowest_by_program(market: Market, allocation: Allocation) -> list[int]:
    """Minimise the sum of all prices that support the allocation: request by request and pair by pair."""
    n, m = market.shape
    rows, limits = [], []
    upper = [
        0 if load < capacity else None
        for load, capacity in zip(market.loads(allocation), market.capacities, strict=True)
    ]
    for i in range(n):
        j = allocation.agents[i]
        here = 0 if j == UNSERVED else market.weights[i, j]
        for k in range(-1, m):
            if k == j or (k >= 0 and market.weights[i, k] == FORBIDDEN):
                continue
            row = np.zeros(m)
            row[[j] if j >= 0 else []] += 1
            row[[k] if k >= 0 else []] -= 1
            rows.append(row)
            limits.append(here - (0 if k < 0 else market.weights[i, k]))
    answer = linprog(np.ones(m), np.array(rows) if rows else None, limits or None, bounds=[(0, most) for most in upper])
    assert answer.status == 0
    return [round(price) for price in answer.x]


def test_the_lowest_prices_are_those_of_the_linear_program() -> None:
    rng, compared = np.random.default_rng(3), 0
    for _ in range(300):
        market = random_market(rng, int(rng.integers(1, 30)), int(rng.integers(1, 6)))
        if market.weights.max(initial=0) > 10**6:
            continue
        found = MinCostFlow().allocate(market)
        assert found.prices is not None
        assert lowest_by_program(market, found) == found.prices.tolist()
        compared += 1
    assert compared > 150


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "two scales"])
def test_the_lowest_prices_of_every_kind_above_and_below_512_pairs(kind: str) -> None:
    for n, m in [(60, 5), (140, 12), (230, 40)]:
        market = make(kind, n, m, 2)
        found = MinCostFlow().allocate(market)
        assert found.prices is not None
        assert lowest_by_program(market, found) == found.prices.tolist()


@settings(max_examples=150, deadline=None)
@given(market=markets(), data=st.data())
def test_any_allocation_is_refused_or_optimal_and_improved_to_an_optimum(market: Market, data: st.DataObject) -> None:
    n, m = market.shape
    agents = np.array(data.draw(st.lists(st.integers(-1, m - 1), min_size=n, max_size=n)), np.int64)
    for i in range(n):
        if agents[i] >= 0 and (
            market.weights[i, agents[i]] == FORBIDDEN
            or np.count_nonzero(agents[:i] == agents[i]) >= market.capacities[agents[i]]
        ):
            agents[i] = UNSERVED
    given_ = Allocation(agents)
    most = market.welfare(BruteForce().allocate(market))
    better, cycles = improve(market, given_)
    assert market.certify(better) == most
    assert (cycles == 0) == (market.welfare(given_) == most)
    assume(cycles > 0)
    with pytest.raises(CertificateError):
        minimal_prices(market, given_)
