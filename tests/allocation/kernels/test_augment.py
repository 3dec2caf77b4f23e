"""Shortest augmenting paths: an optimum from any prices, and arcs that are what they would be if read anew."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numba import njit

from allocation import Allocation, Market, OrTools, minimal_prices
from allocation.kernels.compile.loading import kernels
from tests.benchmarks.kinds import KINDS, make
from tests.markets import markets

RESIDUAL = kernels("paths.residual")
residual, refresh, insert, remove = RESIDUAL.residual, RESIDUAL.refresh, RESIDUAL.insert, RESIDUAL.remove


def finished(market: Market, start: np.ndarray) -> Allocation:
    """The optimum from these prices (M,), and prices that support it."""
    n, _ = market.shape
    capacities, prices = np.minimum(market.capacities, n), np.concatenate(([0], start)).astype(np.int64)
    at, second, margins = (np.empty(n, np.int64) for _ in range(3))
    kernels("prices.newton").newton(market.weights, capacities, prices, 0, 0, 0, at, second, margins)
    assert kernels("paths.augment").finish(market.weights, capacities, prices, at, margins, 10**12, 10**12)
    return Allocation(at - 1, prices[1:])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("height", [0.0, 0.3, 0.9, 1.1])
def test_an_optimum_from_prices_that_are_too_low_or_too_high(kind: str, height: float) -> None:
    for n, m, fill, seed in [(150, 90, 0.9, 0), (60, 70, 1.4, 1), (900, 9, 0.9, 2), (300, 150, 0.9, 3)]:
        market = make(kind, n, m, seed, fill)
        found = finished(market, np.full(m, int(height * max(1, market.weights.max()))))
        assert market.certify(found) == market.welfare(OrTools().allocate(market))


@settings(max_examples=200, deadline=None)
@given(market=markets(), data=st.data())
def test_small_markets_from_any_prices(market: Market, data: st.DataObject) -> None:
    n, m = market.shape
    assume(n > 0)
    top = max(0, int(market.weights.max(initial=0)))
    start = data.draw(st.lists(st.integers(0, 2 * top + 2), min_size=m, max_size=m))
    found = finished(market, np.array(start, np.int64))
    lowest = minimal_prices(market, found)
    assert market.welfare(found) == market.welfare(OrTools().allocate(market))
    assert found.prices is not None
    assert (lowest <= found.prices).all()


@njit
def moved_about(weights, capacities, at, moves):  # type: ignore[no-untyped-def]
    """Arc lengths after requests moved, and the allocation they belong to."""
    graph = residual(weights, capacities, np.zeros(capacities.size + 1, np.int64), at)
    for t in range(moves.shape[0]):
        for j in range(capacities.size + 1):
            refresh(graph, j)
        remove(graph, moves[t, 0])
        insert(graph, moves[t, 1], moves[t, 0])
    for j in range(capacities.size + 1):
        refresh(graph, j)
    return graph.lengths, graph.at


@pytest.mark.parametrize("top", [pytest.param(3, marks=pytest.mark.slow), 10**6])
def test_arcs_are_what_they_would_be_if_they_were_read_anew(top: int) -> None:
    rng = np.random.default_rng(top)
    for _ in range(50):
        n, m = int(rng.integers(1, 60)), int(rng.integers(1, 12))
        weights = rng.integers(-top, top, (n, m))
        at, moves = rng.integers(0, m + 1, n), np.stack([rng.integers(0, n, 20), rng.integers(0, m + 1, 20)], axis=1)
        lengths, after = moved_about(weights, np.full(m, n), at, moves)
        nodes = np.hstack([np.zeros((n, 1), np.int64), weights])
        for j in range(m + 1):
            here = np.flatnonzero(after == j)
            losses = (nodes[here, j][:, None] - nodes[here]).min(axis=0, initial=2**46)
            assert lengths[j].tolist() == (np.minimum(losses, 0) if j == 0 else losses).tolist()
