"""Tied allocations against every allocation there is, and against every order that a greedy might have taken."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings

from allocation import (
    UNSERVED,
    Allocation,
    BruteForce,
    CertificateError,
    Greedy,
    LinearProgram,
    Market,
    MinCostFlow,
    Random,
    TieError,
    optimal_allocations,
    tied_allocations,
)
from allocation.heuristic.ranges import Cheapest, MaximalInRange
from tests.allocation.ties import agents_of, by_orders, every_allocation
from tests.markets import markets

KINDS = (
    MinCostFlow(),
    BruteForce(),
    Greedy(),
    Random(),
    MaximalInRange(Cheapest(2)),
)
LEVEL = Market(values=[[1, 1], [1, 1]], costs=[[0, 0], [0, 0]], capacities=[1, 1])


@given(markets(max_requests=4))
@settings(max_examples=150, deadline=None)
def test_optimal_allocations_are_the_best_of_all(market: Market) -> None:
    welfare = {agents: market.welfare(Allocation(np.array(agents, np.int64))) for agents in every_allocation(market)}
    best = max(welfare.values())
    found = optimal_allocations(market)
    assert sorted(agents_of(found)) == sorted(agents for agents, worth in welfare.items() if worth == best)
    for allocation in found:
        assert market.certify(allocation) == best


@given(markets(max_requests=2, max_agents=3))
@settings(max_examples=60, deadline=None)
def test_greedy_ties_are_what_every_order_among_equals_leads_to(market: Market) -> None:
    found = agents_of(Greedy().ties(market))
    assert len(found) == len(set(found))
    assert set(found) == by_orders(market, market.weights)


@given(markets(max_requests=4, owners=True))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize(
    "allocator",
    [
        MinCostFlow(),
        BruteForce(),
        Greedy(),
        Random(),
        MaximalInRange(Cheapest(2)),
    ],
    ids=lambda allocator: type(allocator).__name__,
)
def test_the_first_is_what_the_allocator_chooses(allocator: object, market: Market) -> None:
    chosen = allocator.allocate(market)  # type: ignore[attr-defined]
    tied = tied_allocations(allocator, market)  # type: ignore[arg-type]
    assert tied[0].agents.tolist() == chosen.agents.tolist()
    assert len(set(agents_of(tied))) == len(tied)
    for allocation in tied:
        market.check(allocation)
        assert (allocation.prices is None) == (chosen.prices is None)


def test_a_range_ties_where_its_allocator_does() -> None:
    closed = MaximalInRange(Cheapest(1))
    assert agents_of(tied_allocations(closed, LEVEL)) == [(0, UNSERVED), (UNSERVED, 0)]


def test_solvers_that_break_ties_otherwise_have_the_same_ties() -> None:
    market = Market(values=[[2, 2, 1], [2, 2, 1], [0, 1, 0]], costs=np.zeros((3, 3), int), capacities=[1, 1, 1])
    mine = set(agents_of(tied_allocations(MinCostFlow(), market)))
    assert len(mine) > 1
    assert set(agents_of(tied_allocations(LinearProgram(), market))) == mine


def test_a_market_without_ties_has_one_allocation() -> None:
    market = Market(values=[[5, 1], [3, 2]], costs=np.zeros((2, 2), int), capacities=[1, 1])
    for allocator in (MinCostFlow(), Greedy()):
        assert agents_of(tied_allocations(allocator, market)) == [(0, 1)]


def test_more_ties_than_can_be_listed_are_refused() -> None:
    many = Market(values=np.ones((12, 12), int), costs=np.zeros((12, 12), int), capacities=np.ones(12, int))
    with pytest.raises(TieError, match="more than 100 allocations"):
        optimal_allocations(many, limit=100)
    for allocator in (MinCostFlow(), Greedy()):
        with pytest.raises(TieError, match="more than 100,000 allocations"):
            tied_allocations(allocator, many)


@dataclass(frozen=True)
class Silent:
    """Serves nobody; says nothing of ties."""

    exact: bool = False

    def allocate(self, market: Market) -> Allocation:
        return Allocation(np.full(market.shape[0], UNSERVED))


def test_an_allocator_that_says_nothing_is_told_what_to_say() -> None:
    with pytest.raises(TieError, match=r"Silent does not say .* method ties\(market\)"):
        tied_allocations(Silent(), LEVEL)


def test_an_allocator_that_boasts_of_exactness_is_found_out() -> None:
    with pytest.raises(CertificateError, match=r"Silent says exact = True, and \[-1, -1\] is not optimal"):
        tied_allocations(Silent(exact=True), LEVEL)
