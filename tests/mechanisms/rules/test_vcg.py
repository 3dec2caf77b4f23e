"""VCG against its definition: what the others would have had without the bidder, by brute force, to the micro-unit."""

import numpy as np
import pytest
from hypothesis import given, settings

from allocation import Allocation, BruteForce, CertificateError, Greedy, Market, MinCostFlow, OrTools
from mechanisms import VCG, Mechanism, Outcome, Payments
from tests.benchmarks.kinds import make
from tests.markets import markets, random_market


def clarke(outcome: Outcome) -> dict[int, int]:
    """Each bidder's payment by the textbook: W(without them) - (others' welfare with them) + cost of serving them."""
    market, allocation = outcome.reported, outcome.allocation
    weights, costs = market.take(market.weights, allocation), market.take(market.costs, allocation)
    payments = {}
    for bidder in market.players:
        others = market.bidders != bidder
        rest = market.without(bidder)
        alone = rest.welfare(BruteForce().allocate(rest))
        payments[bidder] = alone - int(weights[others].sum()) + int(costs[~others].sum())
    return payments


def charges(outcome: Outcome) -> dict[int, int]:
    charges = dict.fromkeys(outcome.reported.players, 0)
    for bidder, charge in zip(outcome.reported.bidders.tolist(), outcome.payments.charges.tolist(), strict=True):
        charges[bidder] += charge
    return charges


@settings(max_examples=250, deadline=None)
@given(market=markets())
def test_single_request_payments_equal_removal(market: Market) -> None:
    outcome = Mechanism(MinCostFlow(), VCG()).run(market)
    assert charges(outcome) == clarke(outcome)


@settings(max_examples=250, deadline=None)
@given(market=markets(owners=True))
def test_a_bidder_with_several_requests_is_one_player(market: Market) -> None:
    outcome = Mechanism(MinCostFlow(), VCG()).run(market)
    assert charges(outcome) == clarke(outcome)


@settings(max_examples=150, deadline=None)
@given(market=markets(owners=True))
def test_payments_do_not_depend_on_which_optimal_allocation_was_found(market: Market) -> None:
    one, two = (Mechanism(solver, VCG()).run(market) for solver in (MinCostFlow(), OrTools()))
    assert one.bidder_utilities() == two.bidder_utilities()


@settings(max_examples=250, deadline=None)
@given(market=markets(owners=True))
def test_nobody_loses_and_the_auctioneer_does_not_pay(market: Market) -> None:
    outcome = Mechanism(MinCostFlow(), VCG()).run(market)
    assert min(outcome.bidder_utilities().values(), default=0) >= 0
    assert outcome.surplus >= 0
    assert not outcome.agent_utilities().any()


def test_larger_markets_equal_removal_by_or_tools() -> None:
    rng = np.random.default_rng(4)
    for _ in range(5):
        market = random_market(rng, 60, 6)
        outcome = Mechanism(MinCostFlow(), VCG()).run(market)
        total = market.welfare(outcome.allocation)
        weights = market.take(market.weights, outcome.allocation)
        costs = market.take(market.costs, outcome.allocation)
        for bidder in market.players:
            rest = market.without(bidder)
            without = rest.welfare(OrTools().allocate(rest))
            assert outcome.payments.charges[bidder] == without - (total - weights[bidder]) + costs[bidder]


@pytest.mark.parametrize("kind", ["structured", "rank one", "small integers"])
def test_bidders_with_hundreds_of_requests_equal_removal_by_or_tools(kind: str) -> None:
    plain = make(kind, 3000, 5, 0)
    market = Market(plain.values, plain.costs, plain.capacities, None, np.arange(3000) % 10)
    outcome = Mechanism(MinCostFlow(), VCG()).run(market)
    weights = market.take(market.weights, outcome.allocation)
    charged = charges(outcome)
    for bidder in market.players:
        rest = market.without(bidder)
        others = int(weights[market.bidders != bidder].sum())
        assert charged[bidder] == rest.welfare(OrTools().allocate(rest)) - others


def test_nobody_can_alter_payments_that_were_charged() -> None:
    payments = Mechanism(MinCostFlow(), VCG()).run(Market([[5], [3]], [[1], [1]], [1])).payments
    mine = np.array([4, 0])
    others = Payments(mine, mine[:1])
    mine[:] = 9
    assert (others.charges.tolist(), others.receipts.tolist()) == ([4, 0], [4])
    for amounts in (payments.charges, payments.receipts, others.charges, others.receipts):
        with pytest.raises(ValueError, match="read-only"):
            amounts[0] = 9


def test_unserved_requests_pay_nothing_and_the_split_adds_up() -> None:
    market = Market([[9], [9], [7], [8]], [[1], [1], [1], [1]], [2], bidders=[0, 0, 0, 1])
    outcome = Mechanism(MinCostFlow(), VCG()).run(market)
    assert outcome.allocation.agents.tolist() == [0, 0, -1, -1]
    assert outcome.payments.charges.tolist() == [1 + 4, 1 + 3, 0, 0]


def test_over_greedy_the_externality_is_computed_by_greedy() -> None:
    market = Market([[3, 2], [2, 0]], np.zeros((2, 2), np.int64), [1, 1])
    outcome = Mechanism(Greedy(), VCG()).run(market)
    assert outcome.allocation.agents.tolist() == [0, -1]
    assert outcome.payments.charges.tolist() == [2, 0]


def test_prices_of_an_allocation_that_is_not_optimal_are_refused() -> None:
    class Wrong:
        def allocate(self, market: Market) -> Allocation:
            return Allocation(np.array([1]), np.array([0, 0]))

    with pytest.raises(CertificateError, match="not welfare-optimal"):
        Mechanism(Wrong(), VCG()).run(Market([[5, 3]], [[0, 0]], [1, 1]))
