"""Rough prices: near enough to the right ones for lists of promising pairs, and none that keeps everybody away."""

import numpy as np
import pytest

from allocation import MinCostFlow
from allocation.kernels.compile.loading import kernels
from tests.benchmarks.kinds import make

Array = np.ndarray


def test_prices_balance_demand_and_room() -> None:
    weights = np.array([[9, 1], [6, 4], [3, 3]])
    rows, balance = kernels("pairs.rows").dense(weights), kernels("prices.bidding").balance
    for start, end in [([0, 0, 0], [0, 3, 3]), ([0, 5, 5], [0, 3, 3]), ([0, 1, 9], [0, 3, 11]), ([0, 6, 1], [0, 8, 3])]:
        prices = np.array(start)
        balance(rows, np.array([1, 1]), prices)
        assert prices.tolist() == end
        assert np.count_nonzero((weights - prices[1:]).max(axis=1) > 0) <= 2
    balance(rows, np.array([2, 1]), prices)
    assert prices.tolist() == end


@pytest.mark.parametrize("kind", ["uniform", "structured", "twins"])
def test_prices_after_bids_are_near_the_lowest(kind: str) -> None:
    bidding = kernels("prices.bidding")
    market = make(kind, 800, 100, 3)
    rows = kernels("pairs.rows").dense(market.weights)
    capacities = np.minimum(market.capacities, 800)
    right = MinCostFlow().allocate(market).prices
    assert right is not None

    def distance(prices: Array) -> float:
        return float(np.abs(prices[1:] - right).mean() / kernels("pairs.offers").spread(rows))

    prices = bidding.opening(rows, capacities)
    rough = distance(prices)
    assert rough < 0.15
    bidding.refine(rows, capacities, prices, *bidding.increments(rows, [0.02]))
    assert distance(prices) < 0.6 * rough


def test_an_agent_whose_price_keeps_everybody_away_gets_cheaper() -> None:
    rng = np.random.default_rng(0)
    rows = kernels("pairs.rows").dense(rng.integers(1, 10**6, (400, 60)))
    prices = np.zeros(61, np.int64)
    prices[7], before = 10**6, 10**6
    kernels("prices.bidding")._entice(rows, np.full(60, 1), prices)
    second = np.sort(rows.weights - np.delete(prices, 0), axis=1)[:, -2]
    assert prices[7] < before and np.count_nonzero(prices) == 1
    assert np.count_nonzero(rows.weights[:, 6] - prices[7] >= second) >= 8


def test_forbidden_pairs_do_not_make_increments_coarse() -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(10**9, 2 * 10**9, (200, 1)) + rng.integers(0, 10**4, (200, 50))
    some = np.where(rng.random(weights.shape) < 0.2, weights, -1)
    for rows in kernels("pairs.rows").dense(some), kernels("pairs.shortlists").packed(some, 2000):
        assert 3000 < kernels("pairs.offers").spread(rows) < 6000
    assert kernels("pairs.offers").spread(kernels("pairs.rows").dense(np.full((3, 4), -1))) == 0


def test_all_prices_rise_alike_where_bids_would_take_too_many_increments() -> None:
    market = make("two scales", 300, 30, 0, 0.4)
    rows, prices = kernels("pairs.rows").dense(market.weights), np.zeros(31, np.int64)
    kernels("prices.bidding").bid_up(rows, market.capacities, prices)
    wanting = np.count_nonzero((market.weights - prices[1:]).max(axis=1) > 0)
    assert wanting == pytest.approx(market.capacities.sum(), abs=3)


def test_refining_does_not_fight_for_what_all_prices_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    bidding, begun = kernels("prices.bidding"), []
    monkeypatch.setattr(bidding, "_bid", lambda rows, room, prices, *_: begun.append(prices.copy()))
    market = make("two scales", 300, 30, 0, 0.4)
    rows, prices = kernels("pairs.rows").dense(market.weights), np.zeros(31, np.int64)
    bidding.refine(rows, market.capacities, prices, 50)
    right = MinCostFlow().allocate(market).prices
    assert right is not None
    assert np.abs(prices[1:] - right).max() < right.max() // 20
    assert np.count_nonzero((market.weights - begun[0][1:]).max(axis=1) > 0) <= market.capacities.sum()
