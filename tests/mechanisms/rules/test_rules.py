"""Each rule against its definition, computed another way."""

from fractions import Fraction
from functools import partial
from itertools import product
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings

from allocation import Allocation, BruteForce, Greedy, Market, MinCostFlow, minimal_prices
from mechanisms import VCG, Mechanism
from mechanisms.rules.affine import AffineMaximizer, ReserveVCG
from mechanisms.rules.critical import ByValue, CriticalValue, Vickrey
from mechanisms.rules.pricing import ClearingPrice, HighestClearingPrice, SecondPrice, maximal_prices
from mechanisms.rules.redistribution import Redistribution
from mechanisms.rules.sharing import Free, ProportionalShare, RandomPriority
from proofs import Grid, implementability
from tests.markets import markets

EXACT = Mechanism(MinCostFlow(), VCG())


def feasible(market: Market) -> list[Allocation]:
    found = []
    for agents in product(range(-1, market.shape[1]), repeat=market.shape[0]):
        loads = [agents.count(agent) for agent in range(market.shape[1])]
        open_pairs = market.feasible is None or all(market.feasible[i, j] for i, j in enumerate(agents) if j >= 0)
        if open_pairs and all(load <= capacity for load, capacity in zip(loads, market.capacities, strict=True)):
            found.append(Allocation(np.array(agents, np.int64)))
    return found


def weighed(market: Market, scale: dict[int, int], boost: np.ndarray, allocation: Allocation, but: int = -1) -> int:
    """Weighted welfare plus boosts of everybody but one bidder."""
    rows = [i for i in np.flatnonzero(allocation.served) if market.bidders[i] != but]
    return sum(
        scale[int(market.bidders[i])] * int(market.weights[i, allocation.agents[i]]) + int(boost[allocation.agents[i]])
        for i in rows
    )


@pytest.mark.parametrize(("weights", "boosts"), [((3, 1, 2), 0), ((1,), (-2, 1)), ((2, 5), (1, -3)), ({2: 4}, -1)])
def test_affine_payments_are_the_externality_on_the_weighted_scale(weights: object, boosts: object) -> None:
    rng = np.random.default_rng(1)
    for _ in range(15):
        market = Market(rng.integers(-1, 9, (4, 2)), rng.integers(0, 4, (4, 2)), [1, 2], bidders=[0, 1, 0, 2])
        outcome = AffineMaximizer(MinCostFlow(), weights, boosts).run(market)  # type: ignore[arg-type]
        scale = {b: weights.get(b, 1) if isinstance(weights, dict) else (*weights, 1, 1, 1)[b] for b in range(3)}  # type: ignore[misc]
        boost = np.broadcast_to(boosts, 2)  # type: ignore[call-overload]

        objective = partial(weighed, market, scale, boost)
        choices = feasible(market)
        assert objective(outcome.allocation) == max(map(objective, choices))
        for bidder in range(3):
            mine = market.bidders == bidder
            alone = max(objective(a, bidder) for a in choices if not a.served[mine].any())
            own = sum(int(boost[j]) for j in outcome.allocation.agents[mine] if j >= 0)
            owed = alone - objective(outcome.allocation, bidder) - own
            costs = int(market.take(market.costs, outcome.allocation)[mine].sum())
            assert outcome.payments.charges[mine].sum() == costs + ceil(Fraction(owed, scale[bidder]))


@settings(max_examples=40, deadline=None)
@given(market=markets(owners=True))
def test_without_weights_or_reserve_both_are_vcg(market: Market) -> None:
    plain = EXACT.run(market).bidder_utilities()
    assert AffineMaximizer(weights=()).run(market).bidder_utilities() == plain
    assert ReserveVCG(reserve=0).run(market).bidder_utilities() == plain


def test_nothing_sells_below_its_reserve() -> None:
    market = Market([[9, 0], [4, 0], [1, 3]], np.ones((3, 2), np.int64), [2, 1])
    outcome = ReserveVCG(reserve=(4, 1)).run(market)
    assert outcome.allocation.agents.tolist() == [0, -1, 1]
    assert outcome.payments.charges.tolist() == [5, 0, 2] and outcome.surplus == 5


@settings(max_examples=60, deadline=None)
@given(market=markets(max_requests=4, max_agents=2))
def test_clearing_prices_clear_and_the_highest_cannot_rise(market: Market) -> None:
    allocation = MinCostFlow().allocate(market)
    low, high = minimal_prices(market, allocation), maximal_prices(market, allocation)
    sold = market.loads(allocation) > 0
    assert (low[sold] <= high[sold]).all()
    market.certify(Allocation(allocation.agents, high))
    for agent in np.flatnonzero(sold):
        higher = high.copy()
        higher[agent] += 1
        with pytest.raises(ValueError, match=r"not optimal|free (slot|capacity)"):
            market.certify(Allocation(allocation.agents, higher))


def test_lowest_clearing_prices_are_vcg_for_single_requests_and_highest_are_dearer() -> None:
    market = Market([[9, 3], [7, 3], [5, 0]], np.ones((3, 2), np.int64), [1, 1])
    lowest, highest = (Mechanism(MinCostFlow(), ClearingPrice(end)).run(market) for end in ("lowest", "highest"))
    assert lowest.payments.charges.tolist() == EXACT.run(market).payments.charges.tolist() == [5, 1, 0]
    assert highest.payments.charges.tolist() == [9, 3, 0]
    also = Mechanism(MinCostFlow(), HighestClearingPrice()).run(market)
    assert also.payments.charges.tolist() == highest.payments.charges.tolist()


def test_generalised_second_price_charges_the_next_rank_of_somebody_else() -> None:
    market = Market([[9], [7], [4], [4]], [[1], [1], [1], [1]], [2])
    assert Mechanism(MinCostFlow(), SecondPrice()).run(market).payments.charges.tolist() == [7, 4, 0, 0]
    owned = Market([[9], [7], [4]], [[1], [1], [1]], [2], bidders=[0, 0, 1])
    assert Mechanism(MinCostFlow(), SecondPrice()).run(owned).payments.charges.tolist() == [4, 4, 0]


def test_critical_value_is_the_least_winning_report_with_one_agent() -> None:
    rng = np.random.default_rng(2)
    mechanism = Mechanism(ByValue(), CriticalValue())
    for _ in range(60):
        market = Market(rng.integers(0, 9, (4, 1)), rng.integers(0, 4, (4, 1)), [2])
        outcome = mechanism.run(market)
        for request in np.flatnonzero(outcome.allocation.served):
            price, values = int(outcome.payments.charges[request]), market.values.copy()
            wins = []
            for report in (price - 1, price + 1):
                values[request] = report
                wins.append(bool(mechanism.run(market.replace(values=values)).allocation.served[request]))
            assert wins == [False, True]


def test_along_a_ray_no_scale_beats_the_truth() -> None:
    rng = np.random.default_rng(3)
    mechanism = Mechanism(ByValue(), CriticalValue())
    gained = 0
    for _ in range(60):
        ray = rng.integers(0, 4, 3)
        truth = Market(rng.integers(0, 20, (4, 3)), rng.integers(0, 6, (4, 3)), [1, 1, 2])
        values = truth.values.copy()
        values[0] = 4 * ray
        truth = truth.replace(values=values)
        honest = mechanism.run(truth).bidder_utilities()[0]
        assert honest >= 0
        gained += honest
        for scale in range(12):
            report = values.copy()
            report[0] = scale * ray
            assert mechanism.run(truth.replace(values=report)).bidder_utilities(truth)[0] <= honest
    assert gained > 0


@pytest.mark.parametrize(
    ("grid", "implementable"),
    [
        (Grid(1, 1, range(5), costs=[[0], [3]], requests_per_bidder=2), False),
        (Grid(1, 2, range(3), requests_per_bidder=2), False),
        (Grid(2, 1, range(4), costs=1, capacities=2, requests_per_bidder=2), True),
        (Grid(2, 1, range(4), costs=[[0], [3]]), True),
    ],
    ids=["costs differ", "two agents", "one agent and equal costs", "single requests"],
)
def test_no_payments_would_make_the_greedy_truthful_for_owners_of_several(grid: Grid, implementable: bool) -> None:
    assert bool(implementability(ByValue(), grid)) == implementable


def test_along_a_ray_the_greedy_can_give_an_owner_of_several_less_for_more() -> None:
    base = np.array([[2, 0, 2], [0, 1, 0]])
    got = []
    for scale in (1, 2):
        market = Market([*(scale * base).tolist(), [3, 3, 0]], np.zeros((3, 3), int), [1, 1, 1], bidders=[0, 0, 1])
        agents = ByValue().allocate(market).agents[:2]
        got.append(sum(int(base[i, j]) for i, j in enumerate(agents) if j >= 0))
    assert got == [3, 2]


def test_vickrey_is_the_critical_value_where_one_agent_may_serve() -> None:
    rng = np.random.default_rng(4)
    for _ in range(40):
        feasible_pairs = np.eye(2, dtype=bool)[rng.integers(0, 2, 5)]
        market = Market(rng.integers(-2, 9, (5, 2)), rng.integers(0, 4, (5, 2)), [1, 2], feasible_pairs)
        charges = [
            Mechanism(ByValue(), rule).run(market).payments.charges.tolist() for rule in (Vickrey(), CriticalValue())
        ]
        assert charges[0] == charges[1]
    market = Market([[9], [7], [2]], [[3], [3], [3]], [1])
    assert Mechanism(ByValue(), Vickrey()).run(market).payments.charges.tolist() == [7, 0, 0]
    assert Mechanism(ByValue(), Vickrey()).run(market.requests([0, 2])).payments.charges.tolist() == [3, 0]


@settings(max_examples=40, deadline=None)
@given(market=markets(max_requests=4, owners=True))
def test_rebates_leave_the_auctioneer_whole_and_ignore_the_receivers_report(market: Market) -> None:
    mechanism = Mechanism(MinCostFlow(), Redistribution())
    outcome, plain = mechanism.run(market), EXACT.run(market)
    assert 0 <= outcome.surplus <= plain.surplus
    for bidder in market.players:
        rebate = outcome.bidder_utilities()[bidder] - plain.bidder_utilities()[bidder]
        values = market.values.copy()
        values[market.bidders == bidder] = 1
        misreport = market.replace(values=values)
        again = (
            mechanism.run(misreport).bidder_utilities(market)[bidder]
            - EXACT.run(misreport).bidder_utilities(market)[bidder]
        )
        assert rebate == again >= 0


def test_no_report_leaves_less_surplus_than_staying_away() -> None:
    """So that the rebates of Bailey and of Cavallo, who takes the least over all reports, are the same here."""
    rng = np.random.default_rng(9)
    for _ in range(40):
        market = Market(rng.integers(0, 6, (5, 2)), rng.integers(0, 3, (5, 2)), [1, 2], bidders=[0, 1, 2, 0, 1])
        away = EXACT.run(market.without(0)).surplus
        for _ in range(10):
            values = market.values.copy()
            values[[0, 3]] = rng.integers(0, 9, (2, 2))
            assert EXACT.run(market.replace(values=values)).surplus >= away


def test_rebates_return_most_of_the_surplus() -> None:
    market = Market([[10]] * 4, [[1]] * 4, [1])
    assert EXACT.run(market).surplus == 9
    outcome = Mechanism(MinCostFlow(), Redistribution()).run(market)
    assert outcome.surplus == 1 and sorted(outcome.payments.charges.tolist()) == [-2, -2, -2, 8]


def test_proportional_shares_cover_the_cost_and_little_more() -> None:
    market = Market([[8], [4], [2]], [[3], [1], [2]], [2])
    outcome = Mechanism(MinCostFlow(), ProportionalShare()).run(market)
    assert outcome.payments.charges.tolist() == [3, 2, 0] and outcome.payments.receipts.tolist() == [4]
    subsidised = Market([[-1], [4]], [[-3], [1]], [2])
    assert Mechanism(MinCostFlow(), ProportionalShare()).run(subsidised).payments.charges.tolist() == [-3, 1]


def test_random_priority_serves_wishes_in_an_order_that_no_report_moves() -> None:
    market = Market([[5, 1], [9, 1], [7, 6]], np.full((3, 2), 100), [1, 1])
    firsts = set()
    for seed in range(20):
        outcome = Mechanism(RandomPriority(seed), Free()).run(market)
        assert outcome.allocation.served.sum() == 2 and not outcome.payments.charges.any()
        firsts.add(outcome.allocation.agents.tolist().index(0))
    assert firsts == {0, 1, 2}


MARKET = Market([[5, 3], [4, 1]], [[1, 1], [1, 1]], [1, 1])
OWNED = Market([[5], [4]], [[1], [1]], [1], bidders=[0, 0])


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: AffineMaximizer(weights=(0,)), "weight 0"),
        (lambda: AffineMaximizer(boosts=(0.5,)), "boost 0.5"),  # type: ignore[arg-type]
        (lambda: AffineMaximizer(boosts=(1, 2, 3)).run(MARKET), "3 boosts for 2 agents"),
        (lambda: AffineMaximizer(weights=(2**61,)).run(MARKET), "overflows"),
        (lambda: ReserveVCG(reserve=-1), "reserve -1"),
        (lambda: ClearingPrice("middle"), "middle"),
        (lambda: Mechanism(Greedy(), ClearingPrice()).run(MARKET), "Greedy proves no optimality"),
        (lambda: Mechanism(Greedy(), Redistribution()).run(MARKET), "rebates could exceed"),
        (lambda: Mechanism(BruteForce(), CriticalValue()).run(MARKET), r"ByValue\(\) allocates, not BruteForce"),
        (lambda: Mechanism(ByValue(), Vickrey()).run(MARKET), "request 0 may go to 2 agents"),
        (lambda: Mechanism(ByValue(), CriticalValue()).run(OWNED), "have several"),
        (lambda: Mechanism(ByValue(), Vickrey()).run(Market([[5], [4]], [[1], [-1]], [1])), r"costs\[1, 0\] = -1"),
    ],
)  # fmt: skip
def test_refusals_name_the_value_and_the_remedy(attempt: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attempt()  # type: ignore[operator]
