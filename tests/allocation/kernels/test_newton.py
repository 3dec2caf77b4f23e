"""Newton's method on the dual: what it says of every request is true at the prices it ends with."""

import numpy as np
import pytest

from allocation import MinCostFlow
from allocation.kernels.compile.loading import kernels
from allocation.money import Money
from tests.benchmarks.kinds import make


def described(
    weights: Money, capacities: Money, rounds: int, start: Money | None = None
) -> tuple[int, Money, Money, Money]:
    """Imbalance, prices, favourites and margins after so many rounds."""
    prices = np.zeros(capacities.size + 1, np.int64) if start is None else start.copy()
    at, second, margins = np.empty((3, len(weights)), np.int64)
    left = kernels("prices.newton").newton(weights, capacities, prices, 0, 0, rounds, at, second, margins)
    return left, prices, at, margins


@pytest.mark.parametrize("kind", ["uniform", "structured", "90 % forbidden", "small integers", "two scales"])
def test_favourites_are_true_and_margins_no_larger_than_they_are(kind: str) -> None:
    for seed, (n, m) in enumerate([(40, 3), (300, 7), (2000, 20), (1500, 60)]):
        market = make(kind, n, m, seed)
        dual = np.inf
        for rounds in (0, 1, 2, 3, 30):
            left, prices, at, margins = described(market.weights, market.capacities, rounds)
            offers = np.hstack((np.zeros((n, 1), np.int64), np.maximum(market.weights, -(2**46)) - prices[1:]))
            ranked = np.sort(offers)
            assert (offers[np.arange(n), at] == ranked[:, -1]).all()
            assert (margins <= ranked[:, -1] - ranked[:, -2]).all()
            assert ((margins == 0) == (ranked[:, -1] == ranked[:, -2])).all()
            excess = np.bincount(at, minlength=m + 1)[1:] - market.capacities
            assert left == np.abs(excess[(excess > 0) | (prices[1:] > 0)]).sum()
            before, dual = dual, market.capacities @ prices[1:] + ranked[:, -1].sum()
            assert dual <= before


def test_prices_nearly_right_are_balanced_and_few_requests_looked_at_again() -> None:
    for seed in range(4):
        market = make("uniform", 4000, 20, seed)
        exact = MinCostFlow().allocate(market).prices
        assert exact is not None
        off = np.rint(exact * np.random.default_rng(seed).uniform(0.95, 1.05, 20)).astype(np.int64)
        start = np.concatenate(([0], off))
        before, *_ = described(market.weights, market.capacities, 0, start)
        left, prices, _, margins = described(market.weights, market.capacities, 30, start)
        assert left <= before // 50
        ranked = np.sort(np.hstack((np.zeros((4000, 1), np.int64), market.weights - prices[1:])))
        assert (margins < ranked[:, -1] - ranked[:, -2]).mean() > 0.5
