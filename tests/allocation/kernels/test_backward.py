"""Agents whose prices are too high draw requests in backwards, and end where searches from outside end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocation import Allocation, Market, OrTools, minimal_prices
from allocation.kernels.compile.loading import kernels
from tests.benchmarks.kinds import KINDS, make
from tests.markets import markets

REPAIR = kernels("paths.augment")


def repaired(market: Market, start: np.ndarray) -> tuple[Allocation, int]:
    """From these prices (M,), among the pairs worth something; and how many agents were short of requests at first."""
    n, m = market.shape
    rows = kernels("pairs.shortlists").packed(market.weights, market.weights.size)
    capacities = np.minimum(market.capacities, n)
    prices = np.concatenate(([0], start)).astype(np.int64)
    at, second, margins = (np.empty(n, np.int64) for _ in range(3))
    kernels("prices.newton").newton(rows, capacities, prices, 0, 0, 0, at, second, margins)
    short = np.count_nonzero((np.bincount(at, minlength=m + 1)[1:] < capacities) & (start > 0))
    assert REPAIR.repair(rows, capacities, prices, at, margins, n, 10**12, False) == 0
    return Allocation(at - 1, prices[1:]), int(short)


def among_many(market: Market, more: int) -> Market:
    """The same market among so many agents that are worth nothing: there requests are drawn in, not searched for."""
    nothing = np.zeros((market.shape[0], more), np.int64)
    values, costs = np.hstack([market.values, nothing]), np.hstack([market.costs, nothing])
    return Market(values, costs, [*market.capacities.tolist(), *[1] * more])


def assert_exact(market: Market, found: Allocation) -> None:
    assert market.certify(found) == market.welfare(OrTools().allocate(market))
    assert found.prices is not None
    assert minimal_prices(market, Allocation(found.agents)).tolist() == found.prices.tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("height", [0.3, 0.9, 1.1])
def test_prices_that_are_too_high_fall_to_the_lowest(kind: str, height: float) -> None:
    # The last has so many pairs, but where most are forbidden, that cheap ones are looked at first.
    for n, m, fill, seed in [(150, 90, 0.9, 0), (60, 70, 1.4, 1), (300, 150, 0.9, 2)]:
        market = among_many(make(kind, n, m, seed, fill), m)
        start = np.full(m, int(height * max(1, market.weights.max())))
        found, short = repaired(market, np.concatenate([start, np.zeros(m)]))
        share = np.count_nonzero(market.weights > 0) / (2 * m) ** 2
        assert short + REPAIR._LOWEST > REPAIR._SEARCHES * share
        assert_exact(market, found)


@settings(max_examples=300, deadline=None)
@given(market=markets(), data=st.data())
def test_small_markets_from_any_prices(market: Market, data: st.DataObject) -> None:
    m = market.shape[1]
    top = max(0, int(market.weights.max(initial=0)))
    start = data.draw(st.lists(st.integers(0, 2 * top + 2), min_size=m, max_size=m))
    assert_exact(market, repaired(market, np.array(start, np.int64))[0])
    assert_exact(among_many(market, 30), repaired(among_many(market, 30), np.array([*start, *[0] * 30], np.int64))[0])
