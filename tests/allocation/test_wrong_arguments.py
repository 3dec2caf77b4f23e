"""Whoever calls this room with the wrong thing is told so: every public name, every argument."""

import numpy as np
import pytest

import allocation
from allocation import (
    Allocation,
    BruteForce,
    CertificateError,
    ConvexProgram,
    Greedy,
    LawError,
    LinearProgram,
    Market,
    MarketError,
    MinCostFlow,
    NetworkFlow,
    OrTools,
    Random,
    SolverError,
    TieError,
    check_allocator,
    externalities,
    improve,
    minimal_prices,
    optimal_allocations,
    tied_allocations,
    to_micros,
)
from allocation.heuristic.ranges import ByCost, ByOwner, Cheapest, FavouriteHub, MaximalInRange, welfare_bound, within
from tests.wrong_arguments import Call, untried

OURS = (MarketError, CertificateError, SolverError, TieError, LawError)

MARKET = Market([[5, 3], [4, 1]], [[1, 1], [1, 1]], [1, 1], None, [0, 0])
ONE = Allocation([1, 0], [0, 0])
MANY = np.stack([MARKET.values, MARKET.values])
PRICES = np.zeros(2, np.int64)

CALLS: dict[str, Call] = {
    "Allocation": Call(Allocation, {"agents": [0, 1], "prices": [0, 0]}, {"prices": (None,)}),
    "Market": Call(
        Market,
        {"values": [[5]], "costs": [[1]], "capacities": [1], "feasible": [[True]], "bidders": [0]},
        {"values": ([[1]],), "costs": ([[1]],), "feasible": (None,), "bidders": (None,)},
    ),
    "to_micros": Call(to_micros, {"credits": [1.5]}, {"credits": (3, [[1]])}),
    "check_allocator": Call(check_allocator, {"allocator": Greedy()}),
    "externalities": Call(
        externalities,
        {"market": MARKET, "allocation": ONE, "requests": MARKET.shared[0], "first": MARKET.shared[1]},
    ),
    "improve": Call(improve, {"market": MARKET, "allocation": ONE}),
    "minimal_prices": Call(minimal_prices, {"market": MARKET, "allocation": ONE}),
    "optimal_allocations": Call(optimal_allocations, {"market": MARKET, "limit": 10}, {"limit": (3,)}),
    "tied_allocations": Call(tied_allocations, {"allocator": Greedy(), "market": MARKET}),
    "stands_for": Call(
        allocation.stands_for,
        {"thing": Greedy(), "attribute": "exact", "method": "allocate"},
        {"thing": "anything", "attribute": ("x",), "method": ("x",)},
    ),
    **{
        f"{type(each).__name__}.allocate": Call(each.allocate, {"market": MARKET})
        for each in (
            MinCostFlow(),
            NetworkFlow(),
            OrTools(),
            LinearProgram(),
            ConvexProgram(),
            BruteForce(),
            Greedy(),
            Random(),
            MaximalInRange(Cheapest(1)),
            FavouriteHub((0, 1)),
        )
    },
    **{
        f"{type(each).__name__}.ties": Call(each.ties, {"market": MARKET})
        for each in (Greedy(), Random(), MaximalInRange(Cheapest(1)))
    },
    **{
        f"{type(each).__name__}.relaxed": Call(each.relaxed, {"market": MARKET})
        for each in (LinearProgram(), ConvexProgram())
    },
    **{
        f"{type(each).__name__}.pairs": Call(each.pairs, {"market": MARKET})
        for each in (Cheapest(1), ByOwner((0, 1)), ByCost((0, 1)))
    },
    "MinCostFlow.allocate_from": Call(MinCostFlow().allocate_from, {"market": MARKET, "prices": PRICES}),
    "MinCostFlow.allocate_many": Call(MinCostFlow().allocate_many, {"values": MANY, "template": MARKET}),
    "LinearProgram": Call(lambda solver: LinearProgram(solver).allocate(MARKET), {"solver": "highs"}),
    "ConvexProgram": Call(lambda solver: ConvexProgram(solver).allocate(MARKET), {"solver": "HIGHS"}),
    "BruteForce": Call(lambda limit: BruteForce(limit).allocate(MARKET), {"limit": 100}),
    "Random": Call(lambda seed: Random(seed).allocate(MARKET), {"seed": 1}, {"seed": (3,)}),
    "Cheapest": Call(Cheapest, {"k": 1}, {"k": (3,)}),
    "ByOwner": Call(ByOwner, {"hubs": (0, 1)}),
    "ByCost": Call(ByCost, {"hubs": (0, 1)}),
    "FavouriteHub": Call(
        lambda hubs, allocator: FavouriteHub(hubs, allocator).allocate(MARKET),
        {"hubs": (0, 1), "allocator": MinCostFlow()},
    ),
    "MaximalInRange": Call(
        lambda range_, allocator: MaximalInRange(range_, allocator).allocate(MARKET),
        {"range_": Cheapest(1), "allocator": MinCostFlow()},
    ),
    "within": Call(within, {"market": MARKET, "range_": Cheapest(1)}),
    "welfare_bound": Call(welfare_bound, {"market": MARKET, "prices": PRICES}),
    "Market.take": Call(MARKET.take, {"matrix": MARKET.values, "allocation": ONE}),
    "Market.loads": Call(MARKET.loads, {"allocation": ONE}),
    "Market.welfare": Call(MARKET.welfare, {"allocation": ONE}),
    "Market.check": Call(MARKET.check, {"allocation": ONE}),
    "Market.certify": Call(MARKET.certify, {"allocation": MinCostFlow().allocate(MARKET)}),
    "Market.requests": Call(MARKET.requests, {"rows": [0]}),
    "Market.requests_of": Call(MARKET.requests_of, {"bidder": 0}),
    "Market.without": Call(Market([[1], [1]], [[0], [0]], [1]).without, {"bidder": 0}),
    "Market.without_agent": Call(MARKET.without_agent, {"agent": 0}),
    "Market.drop_agent": Call(MARKET.drop_agent, {"agent": 0}),
    "Market.replace": Call(
        MARKET.replace,
        {"values": MARKET.values, "costs": MARKET.costs, "capacities": [1, 1]},
        dict.fromkeys(("values", "costs", "capacities"), (None,)),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_wrong_thing_is_named(name: str) -> None:
    CALLS[name].valid()
    assert list(CALLS[name].faults(OURS)) == []


def test_nothing_public_is_left_out() -> None:
    allocators = {name.partition(".")[0] for name in CALLS}
    assert untried(allocation, CALLS.keys() | allocators) == []


@pytest.mark.parametrize("agents", [[2, 0], [-2, 0], [0]])
def test_an_allocation_of_another_market_is_no_index_error(agents: list[int]) -> None:
    for use in (MARKET.loads, MARKET.check, lambda other: MARKET.take(MARKET.values, other)):
        with pytest.raises(CertificateError, match=r"agent|requests"):
            use(Allocation(agents))


@pytest.mark.parametrize(
    ("requests", "first", "message"),
    [
        ([0, 9], [0, 2], "requests are 0 to 1"),
        ([0, 1], [0, 1], "expected 0, ..., 2"),
        ([0, 1], [0, 3, 2], "rising"),
        ([0, 1], [1, 2], "expected 0, ..., 2"),
    ],
)
def test_groups_that_are_none_never_reach_machine_code(requests: list[int], first: list[int], message: str) -> None:
    with pytest.raises(MarketError, match=message):
        externalities(MARKET, ONE, np.array(requests), np.array(first))
