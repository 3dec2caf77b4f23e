"""From a sample to the whole: what is decided early is not trusted where it does not fit."""

import numpy as np
import pytest

from allocation import Allocation, MinCostFlow, OrTools, minimal_prices
from allocation.kernels.compile.loading import kernels
from tests.benchmarks.kinds import make


@pytest.mark.parametrize("kind", ["uniform", "structured"])
def test_an_agent_that_decided_requests_overfill_gives_some_up(kind: str) -> None:
    cascade, prices_of = kernels("cascade"), kernels("prices.newton")
    market = make(kind, 6000, 5, 0)
    weights, exact = market.weights, MinCostFlow().allocate(market).prices
    assert exact is not None
    prices = np.concatenate(([0], exact))
    prices[2] -= min(prices[2], exact.max() // 10)
    at, second, margins = (np.empty(6000, np.int64) for _ in range(3))
    prices_of.newton(weights, market.capacities, prices, 0, 0, 0, at, second, margins)
    undecided = margins < prices_of.window(margins, 8 + 8 * 5 + 1000)
    assert np.bincount(at[~undecided], minlength=6)[2] > market.capacities[1]
    assert cascade.Solver(10**12)._settle_undecided(weights, market.capacities, prices, at, margins, 1)
    found = Allocation(at - 1, prices[1:])
    assert minimal_prices(market, found).tolist() == exact.tolist()
    assert market.certify(found) == market.welfare(OrTools().allocate(market))


def test_samples_have_a_request_and_a_half_per_agent_or_more() -> None:
    sizes = kernels("cascade")._sizes
    assert sizes(1000, 20) == [62, 250]
    assert sizes(100_000, 20) == [48, 195, 1562, 12500]
    assert sizes(119, 20) == []


def test_free_capacity_is_not_lost_in_a_sample() -> None:
    sample, pairs = kernels("pairs.samples").sample, np.ones((2599, 3), np.int64)
    some, capacities = sample(pairs, np.array([1, 2599, 1]), 10)
    assert some.shape == (10, 3) and capacities.sum() == 11 and (capacities >= 0).all()
    assert sample(pairs, np.array([1, 2, 3]), 2599)[0] is pairs
