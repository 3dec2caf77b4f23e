"""Bidding: who has a place likes it best, nobody is where there is no room, and who waits could only tie."""

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
        kernels("pairs.rows").dense(weights), capacities, prices, at, np.zeros(n, np.int64), pending, n, increment, most
    )
    return at, prices, pending[:left]


def gains(weights: Array, prices: Array) -> Array:
    """(N, M + 1) what each node leaves each request at these prices."""
    net: Array = np.hstack([np.zeros((len(weights), 1), np.int64), weights]) - prices
    return net


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("increment", "most"), [(0, 10**6), (0, 300), (5000, 10**6)])
def test_everybody_with_a_place_likes_it_best_up_to_the_increment(kind: str, increment: int, most: int) -> None:
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


def test_one_slot_goes_to_the_highest_bid_which_is_its_price_until_prices_are_lowered() -> None:
    at, prices, left = bid(np.array([[5], [9], [7]]), np.array([1]), 0, 100)
    assert (at.tolist(), prices.tolist(), left.tolist()) == ([0, 1, 0], [0, 9], [])


def test_agents_without_room_are_priced_out_of_reach() -> None:
    weights = np.array([[5, 2], [9, 8]])
    at, prices, left = bid(weights, np.array([0, 2]), 0, 100)
    assert (at.tolist(), left.tolist()) == ([2, 2], []) and prices.tolist() == [0, 3, 0]


def test_requests_that_would_only_tie_wait() -> None:
    at, prices, left = bid(np.full((3, 2), 4), np.array([1, 1]), 0, 100)
    assert sorted(at.tolist()) == [-1, 1, 2] and left.size == 1 and prices.tolist() == [0, 0, 0]


def test_an_increment_ends_wars_of_prices() -> None:
    market = make("structured", 200, 190, 0)
    capacities = np.minimum(market.capacities, 200)
    room = capacities > 0
    weights = np.ascontiguousarray(market.weights[:, room])
    assert bid(weights, capacities[room], 0, 3000)[2].size > 0
    assert bid(weights, capacities[room], 100_000, 3000)[2].size == 0


def levelled(weights: Array, capacities: Array, prices: Array) -> tuple[Array, Array, Array]:
    """Prices, favourites and margins after all prices rose or fell alike."""
    rows, (at, second, margins) = kernels("pairs.rows").dense(weights), np.empty((3, len(weights)), np.int64)
    kernels("prices.newton").newton(rows, capacities, prices, 0, 0, 0, at, second, margins)
    kernels("prices.bidding").level(rows, capacities, prices, at, second, margins)
    return prices, at, margins


def test_prices_rise_or_fall_alike_until_demand_fits() -> None:
    weights = np.array([[9, 1], [6, 4], [3, 3]])
    for start, room, end in [
        ([0, 0, 0], [1, 1], [0, 3, 3]),
        ([0, 3, 3], [1, 1], [0, 3, 3]),
        ([0, 8, 8], [1, 1], [0, 6, 6]),
        ([0, 8, 5], [1, 1], [0, 7, 4]),
        ([0, 8, 2], [2, 2], [0, 8, 2]),
        ([0, 8, 9], [9, 9], [0, 3, 4]),
        ([0, 9, 0], [9, 9], [0, 9, 0]),
    ]:
        assert levelled(weights, np.array(room), np.array(start))[0].tolist() == end


def test_favourites_follow_prices_that_rise_or_fall_alike() -> None:
    rng = np.random.default_rng(4)
    for _ in range(300):
        n, m = (int(size) for size in rng.integers(2, 30, 2))
        weights, capacities = rng.integers(-2, 12, (n, m)), rng.integers(0, 4, m)
        start = np.concatenate(([0], rng.integers(0, 12, m)))
        prices, at, margins = levelled(weights, capacities, start.copy())
        offers = np.hstack((np.zeros((n, 1), np.int64), weights - prices[1:]))
        ranked, change = np.sort(offers), prices[1:] - start[1:]
        assert (change == change[0]).all() and prices.min() >= 0
        sure = margins > 0
        assert (offers[np.arange(n), at] == ranked[:, -1])[sure].all()
        assert (margins <= ranked[:, -1] - ranked[:, -2])[sure].all()
        room, wanting = min(n, int(capacities.sum())), np.count_nonzero(ranked[:, -1] > 0)
        assert wanting <= room
        assert np.count_nonzero((weights - prices[1:]).max(axis=1) >= 0) >= room or prices[1:].min() == 0
