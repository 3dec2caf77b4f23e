import numpy as np
import pytest
from hypothesis import given, settings

from allocation import Allocation, Allocator, CertificateError, Market, MarketError, MinCostFlow
from mechanisms import (
    FirstCome,
    Mechanism,
    MechanismError,
    PayAsBid,
    Payments,
    PostedPrice,
    Preferences,
    serving_costs,
)
from tests.markets import markets

pytestmark = pytest.mark.usefixtures("replayed_here")


@settings(max_examples=150, deadline=None)
@given(market=markets(owners=True))
def test_pay_as_bid_leaves_an_honest_bidder_with_nothing(market: Market) -> None:
    outcome = Mechanism(MinCostFlow(), PayAsBid()).run(market)
    assert not any(outcome.bidder_utilities().values())
    assert outcome.surplus == outcome.welfare


@settings(max_examples=150, deadline=None)
@given(market=markets(owners=True))
def test_at_posted_prices_nobody_loses_and_each_slot_earns_its_markup(market: Market) -> None:
    outcome = Mechanism(FirstCome(2), PostedPrice(2)).run(market)
    assert min(outcome.bidder_utilities().values(), default=0) >= 0
    assert outcome.surplus == 2 * outcome.allocation.served.sum()


def test_first_come_serves_arrivals_in_order_and_whole_bidders_at_once() -> None:
    market = Market([[5, 4], [9, 9], [9, 1]], np.zeros((3, 2), np.int64), [1, 1], bidders=[0, 1, 0])
    assert FirstCome().allocate(market).agents.tolist() == [1, -1, 0]


@pytest.mark.parametrize("markup", [-1, 0.5, True])
def test_a_markup_is_micro_units(markup: object) -> None:
    for made in (PostedPrice, FirstCome):
        with pytest.raises(MechanismError, match="markup"):
            made(markup)  # type: ignore[arg-type]


def test_utilities_come_from_the_true_market_alone() -> None:
    truth = Market([[5], [3]], [[1], [1]], [1])
    outcome = Mechanism(MinCostFlow(), PayAsBid()).run(truth.replace(values=[[4], [3]]))
    assert outcome.bidder_utilities() == {0: 0, 1: 0}
    assert outcome.bidder_utilities(truth) == {0: 1, 1: 0}
    assert outcome.agent_utilities(truth.replace(costs=[[3], [3]])).tolist() == [-2]


def test_an_allocator_that_breaks_a_capacity_is_caught() -> None:
    class Crowd:
        def allocate(self, market: Market) -> Allocation:
            return Allocation(np.zeros(market.shape[0], np.int64))

    with pytest.raises(CertificateError, match="capacity is 1"):
        Mechanism(Crowd(), PayAsBid()).run(Market([[5], [3]], [[1], [1]], [1]))


@pytest.mark.parametrize(
    ("charges", "receipts", "message"),
    [
        ([[1]], [0], "charges has shape"),
        ([1.5], [0], "charges holds 1.5"),
        ([1, 2], [0], "2 charges and 1 receipts"),
        ([1], [], "1 charges and 0 receipts"),
    ],
)
def test_payments_of_the_wrong_shape_are_refused(charges: list[object], receipts: list[int], message: str) -> None:
    class Rule:
        def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
            return Payments(np.array(charges), np.array(receipts, dtype=np.int64))

    with pytest.raises(MarketError, match=message):
        Mechanism(MinCostFlow(), Rule()).run(Market([[5]], [[1]], [1]))


def test_serving_costs_add_up_per_agent() -> None:
    market = Market([[5, 5], [5, 5], [5, 5]], [[1, 2], [3, 4], [5, 6]], [2, 2])
    assert serving_costs(market, Allocation([1, -1, 1])).tolist() == [0, 8]


def test_preferences_turn_service_into_money() -> None:
    assert Preferences(2, 0.5).value([1.0, 0.5], [1.0, 4.0]).tolist() == [1_500_000, -1_000_000]
    assert Preferences.paper(0.5).value(0.8, 2.0).tolist() == 35_000_000
    for arguments in ((-1, 0), (1, float("nan"))):
        with pytest.raises(MechanismError, match="expected a finite number"):
            Preferences(*arguments)
    with pytest.raises(MechanismError, match="weight = 2"):
        Preferences.paper(2)
    with pytest.raises(MarketError, match="value is nan"):
        Preferences(1, 1).value(float("nan"), 0.0)
