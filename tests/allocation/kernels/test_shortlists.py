"""Packed rows: kernels see in them what they see in all pairs, and what they leave out is looked at before the end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocation import Allocation, Market, MinCostFlow, OrTools, minimal_prices
from allocation.kernels.compile.loading import kernels
from tests.benchmarks.kinds import KINDS, make
from tests.markets import markets, random_market

Array = np.ndarray


def assert_exact(market: Market, agents: Array, prices: Array) -> None:
    assert market.certify(Allocation(agents, prices)) == market.welfare(OrTools().allocate(market))
    assert minimal_prices(market, Allocation(agents)).tolist() == prices.tolist()


def settled(market: Market, *, packed: bool) -> tuple[Array, Array]:
    """Agents and prices from zero prices, by the kernels that read all pairs or by those that read few."""
    rows, cascade = kernels("pairs.rows"), kernels("cascade")
    n, m = market.shape
    prices = np.zeros(m + 1, np.int64)
    pairs = kernels("pairs.shortlists").packed(market.weights, 0) if packed else rows.dense(market.weights)
    nodes = cascade.Solver(10**12).settle(pairs, np.minimum(market.capacities, n), prices)
    return nodes - 1, prices[1:]


@settings(max_examples=300, deadline=None)
@given(market=markets())
def test_small_markets_are_solved_exactly_from_packed_rows(market: Market) -> None:
    assert_exact(market, *settled(market, packed=True))


@pytest.mark.parametrize("kind", KINDS)
def test_packed_and_dense_rows_lead_to_the_same_prices(kind: str) -> None:
    # The last has so many requests to an agent that both keep shortlists of movers.
    for n, m, fill, seed in [(400, 30, 0.9, 0), (150, 140, 0.9, 1), (2500, 5, 0.6, 2)]:
        market = make(kind, n, m, seed, fill)
        agents, prices = settled(market, packed=True)
        assert_exact(market, agents, prices)
        assert settled(market, packed=False)[1].tolist() == prices.tolist()


@given(data=st.data())
def test_the_first_two_offers(data: st.DataObject) -> None:
    m = data.draw(st.integers(1, 70))
    weights = np.array([data.draw(st.lists(st.integers(-3, 5), min_size=m, max_size=m))])
    prices = np.array([0, *data.draw(st.lists(st.integers(0, 4), min_size=m, max_size=m))])
    net = np.concatenate(([0], weights[0])) - prices
    # Node 0 comes last among equals.
    order = sorted(range(m + 1), key=lambda node: (-net[node], node == 0, node))
    at, second, margins = (np.empty(1, np.int64) for _ in range(3))
    rows = kernels("pairs.rows").dense(weights)
    kernels("prices.newton").newton(rows, np.ones(m, np.int64), prices.copy(), 10**9, 0, 0, at, second, margins)
    assert at[0] == order[0]
    assert second[0] == order[1]
    assert margins[0] == net[order[0]] - net[order[1]]


def listed(rows: object) -> list[list[int]]:
    named = kernels("pairs.rows").nodes(rows)
    return [named[begin:end].tolist() for begin, end in zip(rows.first, rows.last, strict=True)]  # type: ignore[attr-defined]


@pytest.fixture
def any_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists may hold all pairs."""
    monkeypatch.setattr(kernels("pairs.shortlists"), "_SHARE", 1)


@pytest.mark.usefixtures("any_share")
def test_promising_pairs_are_those_near_the_second_best() -> None:
    weights = np.array([[9, 7, 5, 3, -1], [1, 1, 1, 1, 1], [-5, -5, -5, -5, -5], [-1, 0, 2, 0, 0]])
    lists = kernels("pairs.shortlists").Shortlists.near(weights, np.array([0, 0, 0, 0, 2, 0]), 2)
    assert listed(lists.rows) == [[1, 2, 3], [1, 2, 3, 4, 5], [], [3]]
    assert lists.floor.tolist() == [5, -1, -7, -2]
    assert lists.listed().tolist() == [2, 2, 3, 1, 1]


def test_lists_of_nearly_all_pairs_are_refused() -> None:
    shortlist = kernels("pairs.shortlists")
    with pytest.raises(shortlist.BudgetSpent):
        shortlist.Shortlists.near(np.full((40, 10), 3), np.zeros(11, np.int64), 0)
    lists = shortlist.Shortlists.near(np.tile(np.arange(10) + 1, (40, 1)), np.zeros(11, np.int64), 0)
    with pytest.raises(shortlist.BudgetSpent):
        lists.widen(np.array([0] * 9 + [20, 20]))


@settings(deadline=None)
@given(data=st.data())
def test_long_rows_are_listed_as_one_would_by_hand(data: st.DataObject) -> None:
    m = data.draw(st.integers(60, 140))
    weights = np.array([data.draw(st.lists(st.integers(-3, 90), min_size=m, max_size=m))])
    prices = np.array([0, *data.draw(st.lists(st.integers(0, 40), min_size=m, max_size=m))])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels("pairs.shortlists"), "_SHARE", 1)
        lists = kernels("pairs.shortlists").Shortlists.near(weights, prices, 5)
    offers = weights[0] - prices[1:]
    floor = np.sort([0, *offers])[-2] - 5 if offers.max() > 0 else offers.max() - 5
    assert listed(lists.rows)[0] == [k + 1 for k in range(m) if weights[0, k] > 0 and offers[k] >= floor]


@pytest.mark.usefixtures("any_share")
def test_who_prefers_a_pair_that_was_left_out_gets_it() -> None:
    lists = kernels("pairs.shortlists").Shortlists.near(np.array([[9, 7, 1], [4, 4, 0]]), np.zeros(4, np.int64), 0)
    assert not lists.widen(np.array([0, 1, 1, 0]))
    assert lists.widen(np.array([0, 9, 8, 0]))
    assert listed(lists.rows) == [[1, 2, 3], [1, 2]]
    assert kernels("pairs.rows").worth(lists.rows, np.array([3, 2])).tolist() == [1, 4]
    assert kernels("pairs.rows").worth(lists.rows, np.array([-1, 0])).tolist() == [0, 0]
    assert not lists.widen(np.array([0, 9, 8, 0]))


def listing(monkeypatch: pytest.MonkeyPatch, many: float, shortest: int) -> list[bool]:
    """Small markets are listed too, from bids where requests are fewer than `many` per agent; which lists were widened.

    All increments are 1: nearly every list is trusted.
    """
    cascade, shortlist = kernels("cascade"), kernels("pairs.shortlists")
    widened: list[bool] = []
    widen = shortlist.Shortlists.widen

    def spy(lists: object, prices: Array) -> bool:
        widened.append(widen(lists, prices))
        return widened[-1]

    monkeypatch.setattr(cascade, "_LARGE", 0)
    monkeypatch.setattr(cascade, "_WIDE", 2)
    monkeypatch.setattr(cascade, "_MANY", many)
    monkeypatch.setattr(cascade, "_PLENTY", 2)
    monkeypatch.setattr(cascade, "_MISLED", 1.0)
    monkeypatch.setattr(cascade, "_FINE", (0.0,))
    monkeypatch.setattr(cascade, "_COVERED", 0.0)
    monkeypatch.setattr(shortlist, "_SHORTEST", shortest)
    monkeypatch.setattr(shortlist, "_SHORTER", 1000)
    monkeypatch.setattr(shortlist, "_SHARE", 1)
    monkeypatch.setattr(shortlist.Shortlists, "widen", spy)
    return widened


@pytest.mark.parametrize("many", [4, 1e9])
@pytest.mark.parametrize("shortest", [1, 3, 12])
@pytest.mark.parametrize("kind", KINDS)
def test_lists_that_are_too_short_change_nothing(
    kind: str, shortest: int, many: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing(monkeypatch, many, shortest)
    market = make(kind, 600, 60, 7)
    found = MinCostFlow().allocate(market)
    assert found.prices is not None
    assert_exact(market, found.agents, found.prices)


@pytest.mark.parametrize(("n", "m", "many"), [(800, 60, 4), (800, 60, 1e9), (300, 120, 1e9)])
def test_lists_are_widened_where_they_left_out_too_much(
    n: int, m: int, many: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    widened = listing(monkeypatch, many, 2)
    for kind in ("uniform", "structured"):
        for seed in range(3):
            market = make(kind, n, m, seed)
            found = MinCostFlow().allocate(market)
            assert found.prices is not None
            assert_exact(market, found.agents, found.prices)
    assert any(widened)
    assert widened[-1] is False


def test_small_markets_are_solved_exactly_from_bids(monkeypatch: pytest.MonkeyPatch) -> None:
    listing(monkeypatch, 1e9, 3)
    cascade, rng, given_up = kernels("cascade"), np.random.default_rng(5), 0
    for _ in range(400):
        market = random_market(rng, int(rng.integers(2, 40)), int(rng.integers(2, 9)))
        n, m = market.shape
        prices, rows = np.zeros(m + 1, np.int64), kernels("pairs.rows").dense(market.weights)
        try:
            nodes = cascade.Solver(10**12).settle_from_bids(rows, np.minimum(market.capacities, n), prices)
        except cascade.BudgetSpent:
            given_up += 1
            continue
        assert_exact(market, nodes - 1, prices[1:])
    assert given_up < 200
