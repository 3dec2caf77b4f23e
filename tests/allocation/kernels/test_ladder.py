"""Agents on a ladder: where everybody belongs is read off, and what was read off wrongly does no harm."""

import numpy as np
import pytest

from allocation import Allocation, CertificateError, Market, MinCostFlow, OrTools, minimal_prices
from allocation.kernels.compile.loading import kernels
from tests.benchmarks.kinds import ORDINARY, make
from tests.markets import random_market

Array = np.ndarray

#: What a request of taste a is worth to an agent at height b. All are single crossing.
LADDERS = {
    "products": lambda a, b: a * b,
    "products less a charge by the agent": lambda a, b: a * b + 1000 * (1000 - b),
    "products less a share of the request": lambda a, b: a * (b - 300),
    "sums": lambda a, b: 1000 * (a + b),
    "minima": lambda a, b: 1000 * np.minimum(a, b),
    "maxima": lambda a, b: 1000 * np.maximum(a, b),
    "geometric means": lambda a, b: np.rint(1000 * np.sqrt(a * b)),
    "all equal": lambda a, b: 0 * (a + b) + 7,
}


def ladder(kind: str, n: int, m: int, seed: int, fill: float = 0.9, noise: int = 0) -> Market:
    rng = np.random.default_rng(seed)
    values = LADDERS[kind](rng.integers(1, 1000, (n, 1)), rng.integers(1, 1000, (1, m))).astype(np.int64)
    values += rng.integers(0, noise + 1, (n, m))
    return Market(values, np.zeros_like(values), rng.multinomial(int(fill * n) - m, np.full(m, 1 / m)) + 1)


def climbed(market: Market) -> Allocation:
    rows = kernels("pairs.rows").dense(market.weights)
    nodes, prices = kernels("prices.ladder").climb(rows, market.capacities)
    return Allocation(nodes - 1, prices[1:])


def settled(market: Market) -> Allocation:
    prices = np.zeros(market.shape[1] + 1, np.int64)
    rows, capacities = kernels("pairs.rows").dense(market.weights), np.minimum(market.capacities, market.shape[0])
    nodes = kernels("cascade").Solver(10**12).settle_on_ladder(rows, capacities, prices)
    return Allocation(nodes - 1, prices[1:])


def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is taken for a ladder, small and low markets too."""
    monkeypatch.setattr(kernels("cascade"), "_MANY_PAIRS", 0)
    monkeypatch.setattr(kernels("cascade"), "_HIGH", 1)
    monkeypatch.setattr(kernels("prices.ladder"), "_PLAIN", 0.0)
    monkeypatch.setattr(kernels("prices.ladder"), "_CROSSING", 1.0)
    monkeypatch.setattr(kernels("prices.ladder"), "_WRONG", 1e9)
    monkeypatch.setattr(kernels("cascade"), "_MISPLACED", 1.0)


def assert_exact(market: Market, found: Allocation) -> None:
    assert market.certify(found) == market.welfare(OrTools().allocate(market))
    assert found.prices is not None
    assert minimal_prices(market, Allocation(found.agents)).tolist() == found.prices.tolist()


@pytest.mark.parametrize("fill", [0.6, 0.9, 1.0, 1.3])
@pytest.mark.parametrize("kind", LADDERS)
def test_an_optimum_and_its_prices_are_read_off(kind: str, fill: float) -> None:
    for n, m in [(600, 40), (70, 60)]:
        market = ladder(kind, n, m, 1, max(fill, 1.1 * m / n))
        assert market.certify(climbed(market)) == market.welfare(OrTools().allocate(market))
        assert_exact(market, settled(market))


@pytest.mark.parametrize("noise", [1, 10])
def test_noise_is_mended(noise: int) -> None:
    market = ladder("products", 2000, 100, 2, noise=noise)
    with pytest.raises(CertificateError):
        market.certify(climbed(market))
    assert_exact(market, settled(market))


@pytest.mark.parametrize("plain", [0.0, 0.85])
@pytest.mark.parametrize("kind", [*ORDINARY, "near-identical", "twins", "few types", "small integers"])
def test_what_is_no_ladder_is_refused_before_the_market_is_read(
    kind: str, plain: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = kernels("prices.ladder")
    monkeypatch.setattr(module, "_PLAIN", plain)
    monkeypatch.setattr(module, "_rungs", None)
    with pytest.raises(module.BudgetSpent):
        climbed(make(kind, 10_000, 40, 0))


@pytest.mark.parametrize("kind", ["uniform", "near-identical", "twins", "small integers"])
def test_what_is_plainly_no_ladder_is_refused_at_a_glance(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = kernels("prices.ladder")
    monkeypatch.setattr(module, "pilot", None)
    for seed in range(20):
        with pytest.raises(module.BudgetSpent):
            climbed(make(kind, 1000, 20, seed))


@pytest.mark.parametrize("kind", LADDERS)
def test_a_ladder_that_only_the_first_requests_looked_at_are_on(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere(monkeypatch)
    rng, plain = np.random.default_rng(3), ladder(kind, 800, 30, 3)
    unseen = np.delete(np.arange(800), kernels("pairs.rows").sample_rows(800, 64))
    for top in (3, 10**6, 2**40):
        values, feasible = plain.values.copy(), np.ones(plain.shape, bool)
        values[unseen] = rng.integers(-top, top, (unseen.size, 30))
        feasible[unseen] = rng.random((unseen.size, 30)) < 0.8
        market = Market(values, plain.costs, plain.capacities, feasible)
        assert_exact(market, MinCostFlow().allocate(market))


def test_small_markets_taken_for_ladders_are_solved_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere(monkeypatch)
    rng = np.random.default_rng(8)
    for _ in range(500):
        market = random_market(rng, int(rng.integers(2, 60)), int(rng.integers(2, 9)))
        market = market.replace(capacities=np.maximum(market.capacities, 1))
        assert_exact(market, settled(market))
