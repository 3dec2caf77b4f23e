"""From a sample to the whole: what is decided early is not believed where it does not fit."""

import numpy as np
import pytest

from allocation import Allocation, MinCostFlow, OrTools
from allocation.kernels.compile.loading import kernels
from tests.benchmarks.kinds import make


@pytest.mark.parametrize("kind", ["uniform", "structured"])
def test_an_agent_that_the_decided_overfill_gets_room_from_them(kind: str) -> None:
    cascade, prices_of = kernels("cascade"), kernels("prices.newton")
    market = make(kind, 6000, 5, 0)
    rows, exact = kernels("pairs.rows").dense(market.weights), MinCostFlow().allocate(market).prices
    assert exact is not None
    prices = np.concatenate(([0], exact))
    prices[2] -= min(prices[2], exact.max() // 10)
    at, second, margins = (np.empty(6000, np.int64) for _ in range(3))
    prices_of.newton(rows, market.capacities, prices, 0, 0, 0, at, second, margins)
    undecided = margins < prices_of.window(margins, cascade._undecided(1, 5))
    assert np.bincount(at[~undecided], minlength=6)[2] > market.capacities[1]
    assert cascade.Solver(10**12)._settle_undecided(rows, market.capacities, prices, at, margins, 1)
    assert prices[1:].tolist() == exact.tolist()
    found = Allocation(at - 1, prices[1:])
    assert market.certify(found) == market.welfare(OrTools().allocate(market))


def test_small_samples_are_left_out_where_prices_of_zero_nearly_fit() -> None:
    cascade, rows = kernels("cascade"), kernels("pairs.rows")
    nothing = np.zeros(21, np.int64)
    for kind, fits in [("uniform", True), ("90 % forbidden", True), ("structured", False), ("noisy sums", False)]:
        market = make(kind, 1000, 20, 0)
        assert cascade.fit(rows.dense(market.weights), market.capacities, nothing, cascade._NEARLY) is fits
    assert cascade._sizes(1000, 20, cascade._SMOOTH) == [250]
    assert cascade._sizes(1000, 20, cascade._SAMPLED) == [62, 250]
    assert cascade._sizes(100_000, 20, cascade._SAMPLED) == [48, 195, 1562, 12500]
    assert cascade._sizes(119, 20, cascade._SAMPLED) == []


def test_room_to_spare_is_not_lost_in_a_sample() -> None:
    rows = kernels("pairs.rows")
    pairs = rows.dense(np.ones((2599, 3), np.int64))
    some, room = rows.sample(pairs, np.array([1, 2599, 1]), 10)
    assert some.weights.shape == (10, 3) and room.sum() == 11 and (room >= 0).all()
    assert rows.sample(pairs, np.array([1, 2, 3]), 2599)[0] is pairs
