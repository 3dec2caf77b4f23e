"""Bidding: requests are placed where they gain most, no agent is overfull, and those that wait could only tie."""

import numpy as np
import pytest

from allocation.kernels.compile.loading import kernels
from tests.benchmarks.kinds import ADVERSARIAL, ORDINARY, make

KINDS = [*ORDINARY, *ADVERSARIAL]
Array = np.ndarray


def bid(weights: Array, capacities: Array, increment: int, most: int) -> tuple[Array, Array, Array]:
    """Nodes, prices and those that still wait, after all requests bid from zero prices."""
    n, m = weights.shape
    prices, at, pending = np.zeros(m + 1, np.int64), np.full(n, -1), np.arange(n)
    left = kernels("prices.auction").compete(
        weights, capacities, prices, at, np.zeros(n, np.int64), pending, n, increment, most
    )
    return at, prices, pending[:left]


def gains(weights: Array, prices: Array) -> Array:
    """(N, M + 1) what each node leaves each request at these prices."""
    net: Array = np.hstack([np.zeros((len(weights), 1), np.int64), weights]) - prices
    return net


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("increment", "most"), [(0, 10**6), (0, 300), (5000, 10**6)])
def test_placed_requests_gain_most_where_they_are_up_to_the_increment(kind: str, increment: int, most: int) -> None:
    for n, m, fill in [(300, 20, 0.9), (80, 90, 0.5), (400, 100, 1.5)]:
        market = make(kind, n, m, 3, fill)
        capacities = np.minimum(market.capacities, n)
        at, prices, left = bid(market.weights, capacities, increment, most)
        net = gains(market.weights, prices)
        placed = np.flatnonzero(at >= 0)
        assert (net[placed, at[placed]] >= net[placed].max(axis=1) - increment).all()
        assert (np.bincount(at[placed], minlength=m + 1)[1:] <= capacities).all()
        assert sorted(left.tolist()) == np.flatnonzero(at < 0).tolist()
        assert prices.min() == prices[0] == 0


def test_one_place_goes_to_the_highest_bid_which_is_its_price_until_prices_are_lowered() -> None:
    at, prices, left = bid(np.array([[5], [9], [7]]), np.array([1]), 0, 100)
    assert (at.tolist(), prices.tolist(), left.tolist()) == ([0, 1, 0], [0, 9], [])


def test_agents_without_capacity_are_priced_out_of_reach() -> None:
    weights = np.array([[5, 2], [9, 8]])
    at, prices, left = bid(weights, np.array([0, 2]), 0, 100)
    assert (at.tolist(), left.tolist()) == ([2, 2], []) and prices.tolist() == [0, 3, 0]


def test_requests_that_would_only_tie_wait() -> None:
    at, prices, left = bid(np.full((3, 2), 4), np.array([1, 1]), 0, 100)
    assert sorted(at.tolist()) == [-1, 1, 2] and left.size == 1 and prices.tolist() == [0, 0, 0]


def test_an_increment_ends_price_wars() -> None:
    market = make("structured", 200, 190, 0)
    capacities = np.minimum(market.capacities, 200)
    able = capacities > 0
    weights = np.ascontiguousarray(market.weights[:, able])
    assert bid(weights, capacities[able], 0, 3000)[2].size > 0
    assert bid(weights, capacities[able], 100_000, 3000)[2].size == 0
