"""Rough prices: balanced prices fit demand, and prices that were bid for are near the lowest supporting ones."""

import numpy as np
import pytest

from allocation import MinCostFlow
from allocation.kernels.compile.loading import kernels
from tests.benchmarks.kinds import make


def test_prices_rise_or_fall_alike_until_demand_fits() -> None:
    weights, balance = np.array([[9, 1], [6, 4], [3, 3]]), kernels("prices.bidding").balance
    for start, capacities, end in [
        ([0, 0, 0], [1, 1], [0, 3, 3]),
        ([0, 5, 5], [1, 1], [0, 3, 3]),
        ([0, 1, 9], [1, 1], [0, 3, 11]),
        ([0, 6, 1], [1, 1], [0, 8, 3]),
        ([0, 8, 5], [2, 1], [0, 3, 0]),
    ]:
        prices = np.array(start)
        balance(weights, np.array(capacities), prices)
        assert prices.tolist() == end


@pytest.mark.parametrize("kind", ["uniform", "structured", "twins"])
def test_prices_after_bids_are_near_the_lowest(kind: str) -> None:
    market = make(kind, 800, 100, 3)
    right = MinCostFlow().allocate(market).prices
    assert right is not None
    prices = np.zeros(101, np.int64)
    kernels("prices.bidding").bid_up(market.weights, market.capacities, prices)
    assert np.abs(prices[1:] - right).mean() < 0.05 * kernels("pairs.samples").spread(market.weights)


def test_forbidden_pairs_do_not_make_increments_coarse() -> None:
    spread, rng = kernels("pairs.samples").spread, np.random.default_rng(1)
    weights = rng.integers(10**9, 2 * 10**9, (200, 1)) + rng.integers(0, 10**4, (200, 50))
    assert 3000 < spread(np.where(rng.random(weights.shape) < 0.2, weights, -1)) < 6000
    assert spread(np.full((3, 4), -1)) == 0
