"""The fast solver against OR-tools: welfare to the micro-unit, the certificate, and prices that nothing undercuts."""

import numpy as np
import pytest
from hypothesis import given, settings

import allocation.exact.min_cost_flow
from allocation import Allocation, BruteForce, Market, MinCostFlow, OrTools, minimal_prices
from allocation.exact.min_cost_flow import TINY
from allocation.kernels.compile.loading import kernels
from tests.benchmarks.kinds import KINDS, make, mixture
from tests.markets import markets, random_market, stack


def assert_exact(market: Market, found: Allocation) -> int:
    welfare = market.certify(found)
    assert found.prices is not None
    bare = Allocation(found.agents, found.prices)
    assert minimal_prices(market, bare).tolist() == found.prices.tolist()
    return welfare


def cascade(market: Market) -> Allocation:
    """Through the solver of large markets, however small this one is."""
    nodes = kernels("cascade").optimum(market.weights, np.minimum(market.capacities, market.shape[0]), None)
    assert nodes is not None
    return Allocation(nodes - 1, minimal_prices(market, Allocation(nodes - 1)))


@settings(max_examples=300, deadline=None)
@given(market=markets())
def test_the_solver_of_large_markets_is_exact_on_small_ones(market: Market) -> None:
    assert assert_exact(market, cascade(market)) == market.welfare(BruteForce().allocate(market))


def test_four_thousand_small_markets_at_once_and_one_by_one() -> None:
    rng = np.random.default_rng(8)
    for _ in range(40):
        parts = [random_market(rng, int(rng.integers(1, 8)), int(rng.integers(1, 5))) for _ in range(100)]
        whole = stack(parts)
        assert assert_exact(whole, MinCostFlow().allocate(whole)) == sum(
            assert_exact(part, MinCostFlow().allocate(part)) for part in parts
        )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_market_agrees_with_or_tools(kind: str) -> None:
    sizes = [
        (300, 7, 0.9, 0),
        (900, 30, 0.5, 1),
        (500, 60, 1.5, 2),
        (5000, 6, 0.9, 3),
        (250, 240, 0.9, 4),
        (600, 150, 0.4, 5),
    ]
    for n, m, fill, seed in sizes:
        market = make(kind, n, m, seed, fill)
        assert assert_exact(market, MinCostFlow().allocate(market)) == market.welfare(OrTools().allocate(market))


@pytest.mark.parametrize("kind", KINDS)
def test_crowded_agents_whose_arcs_are_looked_up_again(kind: str) -> None:
    for n, m, fill, seed in [(3000, 2, 0.5, 0), (9000, 12, 0.9, 1), (4000, 20, 0.7, 2)]:
        market = make(kind, n, m, seed, fill)
        found = MinCostFlow().allocate_from(market, np.zeros(m, np.int64))
        assert assert_exact(market, found) == market.welfare(OrTools().allocate(market))


@pytest.mark.parametrize("kind", KINDS)
def test_forbidden_pairs_of_every_kind_of_market(kind: str) -> None:
    rng = np.random.default_rng(13)
    for n, m, share in [(700, 12, 0.5), (300, 40, 0.1), (90, 80, 0.05)]:
        market = make(kind, n, m, 6)
        some = Market(market.values, market.costs, market.capacities, rng.random((n, m)) < share)
        assert assert_exact(some, MinCostFlow().allocate(some)) == some.welfare(OrTools().allocate(some))


@pytest.mark.parametrize("kind", KINDS)
def test_warm_prices_of_any_quality_do_not_change_the_result(kind: str) -> None:
    rng = np.random.default_rng(6)
    market = make(kind, 1500, 12, 4)
    cold = MinCostFlow().allocate(market)
    assert cold.prices is not None
    for factor in (0.0, 0.99, 1.5, 1e6):
        start = np.minimum(cold.prices * factor * rng.uniform(0.9, 1.1, 12), 2**50).astype(np.int64)
        warm = MinCostFlow().allocate_from(market, start)
        assert assert_exact(market, warm) == market.welfare(cold)
        assert warm.prices is not None and warm.prices.tolist() == cold.prices.tolist()


@pytest.mark.parametrize(("n", "m"), [(400, 9), (5000, 3), (1, 600), (700, 1)])
def test_amounts_at_the_edge_of_what_a_market_may_hold(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    values, costs = rng.integers(-(2**40), 2**40, (n, m)), rng.integers(-(2**40), 2**40, (n, m))
    values[: n // 2], costs[: n // 2] = 2**40, -(2**40)
    market = Market(values, costs, rng.integers(0, max(2, 2 * n // m), m), rng.random((n, m)) < 0.8)
    assert assert_exact(market, MinCostFlow().allocate(market)) == market.welfare(OrTools().allocate(market))


def test_no_capacity_anywhere_and_far_too_much_of_it() -> None:
    values = np.random.default_rng(0).integers(1, 9, (200, 10))
    assert (MinCostFlow().allocate(Market(values, values * 0, [0] * 10)).agents == -1).all()
    ample = Market(values, values * 0, [2**62] * 10)
    assert ample.certify(MinCostFlow().allocate(ample)) == values.max(axis=1).sum()


@pytest.mark.parametrize("kind", KINDS)
def test_agents_without_capacity_and_more_agents_than_requests(kind: str) -> None:
    rng = np.random.default_rng(11)
    for n, m in [(900, 30), (60, 90), (230, 240), (8, 500)]:
        market = make(kind, n, m, 5)
        for capacities in (np.ones(m, np.int64), rng.integers(0, 2, m), rng.integers(0, 2 * n // m + 2, m)):
            narrow = market.replace(capacities=capacities)
            assert assert_exact(narrow, MinCostFlow().allocate(narrow)) == narrow.welfare(OrTools().allocate(narrow))


def test_a_spent_budget_hands_over_and_stays_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    market = make("rank one", 400, 20, 0)
    own = MinCostFlow().allocate(market)
    handed: list[Market] = []

    def hand_over(given_up: Market) -> Allocation:
        handed.append(given_up)
        return OrTools().allocate(given_up)

    monkeypatch.setattr(allocation.exact.min_cost_flow, "_hand_over", hand_over)
    monkeypatch.setattr(kernels("cascade"), "_effort", lambda weights: 0)
    other = MinCostFlow().allocate(market)
    warm = MinCostFlow().allocate_from(market, np.zeros(20, np.int64))
    assert handed == [market, market]
    assert assert_exact(market, other) == assert_exact(market, own) == market.certify(warm)


@pytest.mark.parametrize("seed", [2216, 4602, 2828, 489])
def test_a_ranking_nearly_all_agree_on_is_not_handed_over(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation.exact.min_cost_flow, "_hand_over", lambda market: pytest.fail("handed over"))
    name, market = mixture(seed)
    assert assert_exact(market, MinCostFlow().allocate(market)) == market.welfare(OrTools().allocate(market)), name


def test_more_agents_than_a_search_can_hold_are_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation.exact.min_cost_flow, "MAX_AGENTS", 30)
    market = make("uniform", 50, 31, 0)
    assert market.certify(MinCostFlow().allocate(market)) == market.welfare(OrTools().allocate(market))


def test_the_same_market_is_always_allocated_the_same_way() -> None:
    market = make("near-identical", 5000, 10, 0)
    assert MinCostFlow().allocate(market).agents.tolist() == MinCostFlow().allocate(market).agents.tolist()


@settings(max_examples=300, deadline=None)
@given(market=markets())
def test_a_batch_is_allocated_as_its_members_are(market: Market) -> None:
    values = np.stack([market.values, market.values[::-1], market.values * 0])
    agents, prices = MinCostFlow().allocate_many(values, market)
    for b in range(3):
        alone = MinCostFlow().allocate(market.replace(values=values[b]))
        assert alone.prices is not None
        assert (agents[b].tolist(), prices[b].tolist()) == (alone.agents.tolist(), alone.prices.tolist())


def test_a_batch_of_larger_markets_and_an_empty_one() -> None:
    template = make("uniform", TINY // 8 + 1, 8, 0)
    agents, prices = MinCostFlow().allocate_many(np.stack([template.values, template.values + 1]), template)
    alone = MinCostFlow().allocate(template)
    assert alone.prices is not None
    assert (agents[0].tolist(), prices[0].tolist()) == (alone.agents.tolist(), alone.prices.tolist())
    assert [part.shape for part in MinCostFlow().allocate_many(template.values[None][:0], template)] == [
        (0, TINY // 8 + 1),
        (0, 8),
    ]
