"""Ties of the allocators that ship with rules; and outcomes, one per tied allocation."""

import numpy as np
import pytest
from hypothesis import assume, given, settings

from allocation import UNSERVED, Allocator, Greedy, Market, MinCostFlow, tied_allocations
from mechanisms import VCG, FirstCome, IrresoluteMechanism, Mechanism, PayAsBid
from mechanisms.rules.affine import AffineMaximizer, ReserveVCG
from mechanisms.rules.critical import ByValue
from mechanisms.rules.sharing import RandomPriority
from tests.allocation.ties import agents_of, by_orders
from tests.markets import markets


@given(markets(max_requests=2, max_agents=3))
@settings(max_examples=60, deadline=None)
def test_ties_by_value_are_what_every_order_among_equals_leads_to(market: Market) -> None:
    found = agents_of(ByValue().ties(market))
    assert len(found) == len(set(found))
    assert set(found) == by_orders(market, market.values)


@given(markets(max_requests=3, max_agents=2))
@settings(max_examples=60, deadline=None)
def test_a_bidder_in_turn_may_take_anything_that_is_best_for_him(market: Market) -> None:
    expected = {()}
    for request in range(market.shape[0]):
        after = set()
        for agents in expected:
            offers = {UNSERVED: 0} | {
                j: int(weight)
                for j, weight in enumerate(market.weights[request].tolist())
                if agents.count(j) < market.capacities[j]
            }
            after |= {(*agents, j) for j, value in offers.items() if value == max(offers.values())}
        expected = after
    assert set(agents_of(FirstCome().ties(market))) == expected


@given(markets(max_requests=4, owners=True))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("allocator", [ByValue(), FirstCome(1), RandomPriority(3)], ids=str)
def test_the_first_is_what_the_allocator_chooses(allocator: Allocator, market: Market) -> None:
    tied = agents_of(tied_allocations(allocator, market))
    assert tied[0] == tuple(allocator.allocate(market).agents.tolist())
    assert len(set(tied)) == len(tied)


@given(markets(max_requests=3))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize(
    "mechanism",
    [
        Mechanism(MinCostFlow(), VCG()),
        Mechanism(Greedy(), PayAsBid()),
        AffineMaximizer(weights=(2, 3), boosts=-1),
        ReserveVCG(reserve=2),
    ],
    ids=str,
)
def test_the_first_outcome_is_that_of_run(mechanism: IrresoluteMechanism, market: Market) -> None:
    # Weights scale values up, and what a market may hold is bounded.
    assume(max(np.abs(market.values).max(initial=0), np.abs(market.costs).max(initial=0)) < 2**20)
    first, run = mechanism.outcomes(market)[0], mechanism.run(market)
    assert first.allocation.agents.tolist() == run.allocation.agents.tolist()
    assert first.payments.charges.tolist() == run.payments.charges.tolist()
    assert first.payments.receipts.tolist() == run.payments.receipts.tolist()


@given(markets(max_requests=4, owners=True))
@settings(max_examples=100, deadline=None)
def test_a_bidders_vcg_utility_is_the_same_at_every_optimal_allocation(market: Market) -> None:
    utilities = [outcome.bidder_utilities() for outcome in Mechanism(MinCostFlow(), VCG()).outcomes(market)]
    assert all(each == utilities[0] for each in utilities)


def test_reserves_tie_where_welfare_above_them_does() -> None:
    market = Market(values=[[2], [5]], costs=[[0], [0]], capacities=[2])
    agents = [tuple(outcome.allocation.agents.tolist()) for outcome in ReserveVCG(reserve=2).outcomes(market)]
    assert sorted(agents) == [(UNSERVED, 0), (0, 0)]
