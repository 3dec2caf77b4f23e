import pickle

import numpy as np
import pytest

from allocation import FORBIDDEN, MAX_AMOUNT, Allocation, CertificateError, Market, MarketError, MinCostFlow, to_micros
from allocation.exact.duals import Lowest, minimal_prices


def market(**changes: object) -> Market:
    data: dict[str, object] = {"values": [[5, 3], [4, 1]], "costs": [[1, 1], [1, 1]], "capacities": [1, 1]}
    return Market(**(data | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": [[5.0, np.nan], [4, 1]]}, r"values\[0, 1\] is nan"),
        ({"values": [[5, 3], [np.inf, 1]]}, r"values\[1, 0\] is inf"),
        ({"costs": [[0.5, 1], [1, 1]]}, r"costs\[0, 0\] = 0.5 is a float.*to_micros"),
        ({"values": [5, 3]}, "values has 1 dimensions"),
        ({"costs": [[1, 1]]}, r"costs has shape \(1, 2\), expected \(2, 2\)"),
        ({"capacities": [1, -2]}, r"capacities\[1\] = -2 is negative"),
        ({"capacities": [1]}, r"capacities has shape \(1,\)"),
        ({"capacities": [1.5, 1]}, "capacities holds 1.5"),
        ({"values": [[5, 3], [4, MAX_AMOUNT + 1]]}, r"values\[1, 1\] = 1099511627777 exceeds"),
        ({"values": np.array([[2**63, 0], [0, 0]], dtype=np.uint64)}, "exceeds"),
        ({"values": [[True, False], [True, True]]}, "values holds True"),
        ({"feasible": [[True, True]]}, "feasible has shape"),
        ({"feasible": [[1, 1], [1, 1]]}, "expected booleans"),
        ({"bidders": [0]}, "bidders has shape"),
        ({"bidders": ["a", "b"]}, "bidders holds"),
        ({"values": np.zeros((2, 0), np.int64)}, "at least one agent"),
    ],
)
def test_bad_markets_are_refused_by_name_and_place(changes: dict[str, object], message: str) -> None:
    with pytest.raises(MarketError, match=message):
        market(**changes)


def test_a_sum_that_could_overflow_is_refused() -> None:
    n = 2**19
    huge = np.full((n, 1), MAX_AMOUNT)
    with pytest.raises(MarketError, match="could overflow"):
        Market(huge, -huge, [1])
    assert Market(huge // 4, huge * 0, [1]).shape == (n, 1)


def test_more_rows_or_amounts_that_could_overflow_are_refused_in_markets_made_of_others() -> None:
    n = 2**19
    huge = np.full((n - 1, 1), MAX_AMOUNT)
    fits = Market(huge, -huge, [1])
    with pytest.raises(MarketError, match="could overflow"):
        fits.requests(np.zeros(n, np.intp))
    assert fits.requests(np.arange(n - 1)).shape == (n - 1, 1)
    half = np.full((n, 1), MAX_AMOUNT // 2)
    modest = Market(half, half * 0, [1])
    with pytest.raises(MarketError, match="could overflow"):
        modest.replace(values=half * 2, costs=-half * 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": [[5.0, 3.0], [4.0, 1.0]]}, "float"),
        ({"values": [[5, 3]]}, r"costs has shape \(2, 2\), expected \(1, 2\)"),
        ({"costs": [[1], [1]]}, r"costs has shape \(2, 1\), expected \(2, 2\)"),
        ({"capacities": [1]}, r"capacities has shape \(1,\), expected \(2,\)"),
        ({"capacities": [1, -1]}, "negative"),
        ({"values": [[5, 3], [4, MAX_AMOUNT + 1]]}, "exceeds"),
    ],
)
def test_other_reports_are_checked_like_the_first(changes: dict[str, list[int]], message: str) -> None:
    with pytest.raises(MarketError, match=message):
        market().replace(**changes)


def test_markets_made_of_others_are_those_made_anew_and_hold_arrays_of_their_own() -> None:
    rng = np.random.default_rng(5)
    values, costs, capacities = rng.integers(-9, 9, (4, 3)), rng.integers(0, 9, (4, 3)), rng.integers(0, 3, 3)
    for feasible in (None, rng.random((4, 3)) < 0.6):
        made = Market(values, costs, capacities, feasible, [0, 1, 0, 2])
        rows = [3, 0, 2]
        cut = Market(values[rows], costs[rows], capacities, None if feasible is None else feasible[rows], [2, 0, 0])
        pairs = [
            (made.requests(rows), cut),
            (made.replace(values=-values), Market(-values, costs, capacities, feasible, made.bidders)),
            (
                made.replace(costs=values, capacities=[7, 8, 9]),
                Market(values, values, [7, 8, 9], feasible, [0, 1, 0, 2]),
            ),
        ]
        assert made.requests(rows).weights.tolist() == cut.weights.tolist()
        for one, other in pairs:
            assert repr(one) == repr(other)
            for name in ("values", "costs", "capacities", "bidders", "feasible"):
                mine, theirs = getattr(one, name), getattr(other, name)
                if mine is not None:
                    assert (mine.dtype, mine.flags.c_contiguous, mine.flags.writeable) == (theirs.dtype, True, False)
                    assert not np.shares_memory(mine, getattr(made, name))


def test_markets_do_not_change_with_the_arrays_they_came_from() -> None:
    values = np.array([[5, 3]])
    made = Market(values, values * 0, [1, 1])
    values[0, 0] = 99
    assert made.values[0, 0] == 5
    with pytest.raises(ValueError, match="read-only"):
        made.values[0, 0] = 1


def test_forbidden_pairs_have_a_weight_that_nobody_takes() -> None:
    made = market(feasible=[[True, False], [True, True]])
    assert made.weights.tolist() == [[4, FORBIDDEN], [3, 0]]
    with pytest.raises(CertificateError, match="request 0 is given to agent 1, a forbidden pair"):
        made.welfare(Allocation([1, 0]))


@pytest.mark.parametrize(
    ("agents", "message"),
    [
        ([0, 0], "agent 0 serves 2 requests, its capacity is 1"),
        ([0], "allocation has 1 requests, the market 2"),
        ([0, 2], "request 1 is given to agent 2"),
        ([-2, 0], "request 0 is given to agent -2"),
    ],
)
def test_infeasible_allocations_are_refused(agents: list[int], message: str) -> None:
    with pytest.raises(CertificateError, match=message):
        market().check(Allocation(np.array(agents)))


@pytest.mark.parametrize(
    ("agents", "prices", "message"),
    [
        ([1, 0], None, "no prices"),
        ([1, 0], [2, 0, 0], "3 prices for 2 agents"),
        ([1, 0], [-1, 0], r"price -1 of agent 0"),
        ([0, -1], [2, 1], "agent 1 has a free slot but price 1"),
        ([0, 1], [2, 0], "request 1 gains 1 by agent 0"),
        ([1, 0], [1, 0], "request 0 gains 1 by agent 0"),
        ([1, 0], [4, 3], "request 0 gains 1 by staying out"),
    ],
)
def test_certify_names_what_breaks_the_proof(agents: list[int], prices: list[int] | None, message: str) -> None:
    proof = None if prices is None else np.array(prices)
    with pytest.raises(CertificateError, match=message):
        market().certify(Allocation(np.array(agents), proof))


@pytest.mark.parametrize("agents", [[0.7, 1.0], [True, False], ["0", "1"]])
def test_agents_are_integers(agents: list[object]) -> None:
    with pytest.raises(MarketError, match="agents holds"):
        Allocation(agents)  # type: ignore[arg-type]


def test_certify_accepts_any_supporting_prices() -> None:
    for prices in ([2, 0], [3, 1], [3, 0]):
        assert market().certify(Allocation(np.array([1, 0]), np.array(prices))) == 5


def test_without_removes_all_requests_of_a_bidder() -> None:
    made = Market([[1], [2], [3]], [[0], [0], [0]], [1], bidders=[7, 4, 7])
    assert made.players == (7, 4)
    assert made.without(7).values.tolist() == [[2]]
    assert made.requests_of(7).tolist() == [0, 2]


def test_equal_markets_are_equal_and_stay_so_and_read_only_in_another_process() -> None:
    one = market(feasible=[[True, False], [True, True]])
    same = Market([[5, 3], [4, 1]], [[1, 1], [1, 1]], [1, 1], [[True, False], [True, True]], [0, 1])
    there = pickle.loads(pickle.dumps(one))
    assert one == same == there and len({one, same, there}) == 1 and one.key() == there.key()
    assert not any(part.flags.writeable for part in (there.values, there.costs, there.capacities, there.bidders))
    assert market() == market(feasible=np.ones((2, 2), bool)), "what may all be matched is all the same"
    assert market() != "market"
    others = [
        market(),
        market(values=[[5, 3], [4, 2]]),
        market(costs=[[1, 1], [1, 0]]),
        market(capacities=[1, 2]),
        market(bidders=[0, 0]),
        market(bidders=[1, 0]),
        market(feasible=[[True, True], [True, False]]),
        Market([[5], [3], [4], [1]], [[1]] * 4, [1]),
        Market([[5, 3, 4, 1]], [[1] * 4], [1] * 4),
        Market([[1, 1], [1, 1]], [[5, 3], [4, 1]], [1, 1]),
    ]
    assert len({one, *others}) == len({one.key(), *(other.key() for other in others)}) == 11


def test_a_certificate_is_bound_to_one_object_not_to_all_that_equal_it() -> None:
    one, twin = market(), market()
    allocation = MinCostFlow().allocate(one)
    assert isinstance(allocation, Lowest) and allocation.market is not None and one == twin
    assert allocation.market() is one and allocation.market() is not twin
    assert minimal_prices(twin, allocation).tolist() == minimal_prices(one, allocation).tolist()


def test_an_agent_may_serve_nobody_or_not_be_there() -> None:
    found = market(feasible=[[True, False], [True, True]], bidders=[3, 3])
    idle, gone = found.without_agent(1), found.drop_agent(0)
    assert idle.capacities.tolist() == [1, 0] and found.capacities.tolist() == [1, 1]
    assert (idle.values == found.values).all() and idle.feasible is not None
    assert repr(gone) == repr(Market([[3], [1]], [[1], [1]], [1], [[False], [True]], [3, 3]))
    assert MinCostFlow().allocate(idle).agents.max() == 0
    with pytest.raises(MarketError, match="at least one agent"):
        gone.drop_agent(0)


def test_to_micros_is_the_only_door_from_floats() -> None:
    assert to_micros([0.1, -2, 1e-7, 0.0000005]).tolist() == [100_000, -2_000_000, 0, 0]
    with pytest.raises(MarketError, match=r"value\[1\] is nan"):
        to_micros([0.0, np.nan], name="value")
    with pytest.raises(MarketError, match=r"value\[0\] = 2000000.0 credits is beyond"):
        to_micros([2e6], name="value")


def test_a_market_prints_as_the_expression_that_makes_it() -> None:
    made = Market([[5, 3]], [[1, 1]], [1, 0], feasible=[[True, False]])
    assert repr(eval(repr(made))) == repr(made)


def test_the_layout_of_the_arrays_given_does_not_matter() -> None:
    values = np.asfortranarray([[1, 2], [2, 1], [3, 3]])
    made = Market(values, np.broadcast_to((0, 1), (3, 2)), [1, 1])
    assert made.values.flags["C_CONTIGUOUS"]
    assert made.costs.flags["C_CONTIGUOUS"]
    assert made.weights.flags["C_CONTIGUOUS"]
    assert made.weights.tolist() == [[1, 1], [2, 0], [3, 2]]
