"""Packed rows: kernels see in them what they see in all pairs, and what they leave out is looked at before the end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocation import Allocation, Market, MinCostFlow, OrTools, minimal_prices
from allocation._announce import kernels
from tests.benchmarks.kinds import ADVERSARIAL, ALIKE, ORDINARY, make
from tests.markets import markets

KINDS = [*ORDINARY, *ADVERSARIAL, *ALIKE]
Array = np.ndarray


def assert_exact(market: Market, agents: Array, prices: Array) -> None:
    assert market.certify(Allocation(agents, prices)) == market.welfare(OrTools().allocate(market))
    assert minimal_prices(market, Allocation(agents)).tolist() == prices.tolist()


def settled(market: Market, *, packed: bool) -> tuple[Array, Array]:
    """Agents and prices from zero prices, by the kernels that read all pairs or by those that read few."""
    rows, cascade = kernels("_rows"), kernels("_cascade")
    n, m = market.shape
    prices = np.zeros(m + 1, np.int64)
    pairs = kernels("_shortlist").packed(market.weights) if packed else rows.dense(market.weights)
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
    rows = kernels("_rows").dense(weights)
    kernels("_prices").newton(rows, np.ones(m, np.int64), prices.copy(), 10**9, 0, 0, at, second, margins)
    assert at[0] == order[0]
    assert second[0] == order[1]
    assert margins[0] == net[order[0]] - net[order[1]]


def test_promising_pairs_are_those_near_the_second_best() -> None:
    weights = np.array([[9, 7, 5, 3, -1], [1, 1, 1, 1, 1], [-5, -5, -5, -5, -5]])
    rows, floor = kernels("_shortlist").promising(weights, np.array([0, 0, 0, 0, 2, 0]), 2, 15)
    nodes = [rows.nodes[begin:end].tolist() for begin, end in zip(rows.first, rows.last, strict=True)]
    assert nodes == [[1, 2, 3], [1, 2, 3, 4, 5], []]
    assert floor.tolist() == [5, -1, -7]
    assert kernels("_shortlist").promising(weights, np.zeros(6, np.int64), 2, 2) is None


def test_who_prefers_a_pair_that_was_left_out_gets_all_of_its_row() -> None:
    weights = np.array([[9, 7, 1], [4, 4, 0]])
    lists = kernels("_shortlist")
    zero = np.zeros(4, np.int64)
    rows, floor = lists.promising(weights, zero, 0, 6)
    prices = np.array([0, 9, 8, 0])
    assert lists.overlooked(weights, rows, prices, np.array([0, 0]), 0, floor).tolist() == [0]
    wide = lists.widened(rows, weights, np.array([0]))
    assert wide.nodes[wide.first[0] : wide.last[0]].tolist() == [1, 2, 3]
    assert kernels("_rows").worth(wide, np.array([3, 2])).tolist() == [1, 4]
    assert kernels("_rows").worth(wide, np.array([-1, 0])).tolist() == [0, 0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shortest", [1, 12])
def test_lists_that_are_too_short_change_nothing(kind: str, shortest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cascade = kernels("_cascade")
    monkeypatch.setattr(cascade, "_LARGE", 0)
    monkeypatch.setattr(cascade, "_MANY", 4)
    monkeypatch.setattr(cascade, "_SHORTEST", shortest)
    monkeypatch.setattr(cascade, "_SHORTER", 1000)
    market = make(kind, 600, 60, 7)
    found = MinCostFlow().allocate(market)
    assert found.prices is not None
    assert_exact(market, found.agents, found.prices)


def test_lists_are_widened_where_they_left_out_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    cascade = kernels("_cascade")
    widened: list[int] = []

    def spy(rows: object, weights: Array, chosen: Array) -> object:
        widened.append(chosen.size)
        return kernels("_shortlist").widened(rows, weights, chosen)

    monkeypatch.setattr(cascade, "_LARGE", 0)
    monkeypatch.setattr(cascade, "_MANY", 4)
    monkeypatch.setattr(cascade, "_SHORTEST", 2)
    monkeypatch.setattr(cascade, "_SHORTER", 1000)
    monkeypatch.setattr(cascade, "widened", spy)
    for seed in range(4):
        market = make("uniform", 800, 60, seed)
        found = MinCostFlow().allocate(market)
        assert found.prices is not None
        assert_exact(market, found.agents, found.prices)
    assert widened
