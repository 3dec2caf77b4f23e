"""Hubs: truthful where assignment reads no bid, refuted where it does, and a bound that no instance breaks."""

import numpy as np
import pytest
from hypothesis import given, settings

from allocation import Allocation, Greedy, Market, MarketError, MinCostFlow
from allocation.heuristic.ranges import (
    ByCost,
    ByOwner,
    Cheapest,
    FavouriteHub,
    MaximalInRange,
    Range,
    welfare_bound,
    within,
)
from mechanisms import VCG, Mechanism, MechanismError
from mechanisms.rules.hubs import LocalVCG, partition_loss
from proofs import Grid, audit
from tests.markets import markets, random_market

pytestmark = pytest.mark.usefixtures("replayed_here")

RANGES: tuple[Range, ...] = (ByOwner((0, 1, 0)), ByCost((0, 1, 1)), Cheapest(2))


@settings(max_examples=30, deadline=None)
@given(market=markets(owners=True))
def test_local_prices_are_externalities_within_the_range(market: Market) -> None:
    if market.shape[1] != 3:
        market = Market(np.resize(market.values, (market.shape[0], 3)), np.zeros((market.shape[0], 3), int), [1, 1, 1])
    for range_ in RANGES:
        quick = LocalVCG(range_).run(market)
        slow = Mechanism(MaximalInRange(range_), VCG()).run(market)
        assert quick.bidder_utilities() == slow.bidder_utilities()
        assert min(quick.bidder_utilities().values(), default=0) >= 0 and quick.surplus >= 0


def test_ranges_read_public_terms_request_by_request() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        market = random_market(rng, 6, 3)
        for range_ in RANGES:
            pairs = within(market, range_).feasible
            deviated = within(market.replace(values=-market.values), range_).feasible
            alone = within(market.without(2), range_).feasible
            assert pairs is not None and deviated is not None and alone is not None
            assert (pairs == deviated).all() and (np.delete(pairs, 2, axis=0) == alone).all()


def test_what_each_range_keeps() -> None:
    market = Market(np.zeros((2, 3), int), [[3, 1, 2], [1, 1, 5]], [1, 1, 1], bidders=[0, 3])
    kept = [within(market, range_).feasible for range_ in (ByOwner((0, 1, 0)), ByCost((0, 1, 1)), Cheapest(2))]
    assert [pairs.astype(int).tolist() for pairs in kept if pairs is not None] == [
        [[1, 0, 1], [0, 1, 0]],
        [[0, 1, 1], [1, 0, 0]],
        [[0, 1, 1], [1, 1, 0]],
    ]


def test_hubs_chosen_by_bids_invite_lies() -> None:
    mechanism = Mechanism(FavouriteHub((0, 1)), VCG())
    found = audit(mechanism, Grid(bidders=2, agents=2, values=range(3)), ["truthful"])["truthful"].counterexample
    assert found is not None and found.truth.shape == (1, 2)
    assert found.text == "bidder 0 reports [0, 1] instead of [1, 1] and gains 1"
    assert audit(LocalVCG(ByOwner((0, 1))), Grid(bidders=2, agents=2, values=range(3)), ["truthful"]).passed


def test_the_bound_covers_the_optimum_and_is_tight_without_partition() -> None:
    rng = np.random.default_rng(6)
    gaps = []
    for _ in range(60):
        market = random_market(rng, 8, 4)
        optimum = market.welfare(MinCostFlow().allocate(market))
        loss = partition_loss(market, ByOwner((0, 0, 1, 1)))
        assert loss.welfare <= optimum <= loss.bound and loss.at_most >= optimum - loss.welfare
        assert partition_loss(market, ByOwner((0, 0, 0, 0))).at_most == 0
        gaps.append(optimum - loss.welfare)
    assert max(gaps) > 0


def test_prices_of_agents_without_limit_cost_the_bound_no_more_than_they_could_serve() -> None:
    market = Market([[5]], [[1]], [1000])
    assert welfare_bound(market, np.array([3])) == 1 + 3
    assert welfare_bound(market, np.array([0])) == 4


class Narrow:
    def pairs(self, market: Market) -> np.ndarray:
        return np.ones((1, 1), bool)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: ByOwner((0, 2)), "numbered 0, 1"),
        (lambda: Cheapest(0), "k = 0"),
        (lambda: within(Market([[1, 2]], [[0, 0]], [1, 1]), ByOwner((0, 1, 1))), "name 3 agents, the market has 2"),
        (lambda: within(Market([[1, 2]], [[0, 0]], [1, 1]), Narrow()), r"expected booleans \(1, 2\)"),
        (lambda: welfare_bound(Market([[1, 2]], [[0, 0]], [1, 1]), np.array([1, -1])), "expected 2 micro-units"),
        (lambda: partition_loss(Market([[1, 2]], [[0, 0]], [1, 1]), Cheapest(1), Greedy()), "gives no prices"),
    ],
)
def test_refusals(attempt: object, message: str) -> None:
    with pytest.raises((MarketError, MechanismError), match=message):
        attempt()  # type: ignore[operator]


def test_in_range_allocations_claim_no_optimality_outside() -> None:
    allocation: Allocation = MaximalInRange(Cheapest(1)).allocate(Market([[1, 9]], [[0, 1]], [1, 1]))
    assert allocation.agents.tolist() == [0] and allocation.prices is None
