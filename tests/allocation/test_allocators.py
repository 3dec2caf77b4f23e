"""One validity suite for every allocator; the exact ones answer to brute force."""

import subprocess
import sys
from functools import cache
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings

from allocation import (
    UNSERVED,
    Allocation,
    Allocator,
    BruteForce,
    CertificateError,
    ConvexProgram,
    Greedy,
    LinearProgram,
    Market,
    MarketError,
    MinCostFlow,
    NetworkFlow,
    OrTools,
    Random,
    SolverError,
    improve,
    minimal_prices,
)
from tests.markets import markets, random_market, stack

EXACT: list[Allocator] = [
    MinCostFlow(),
    OrTools(),
    NetworkFlow(),
    LinearProgram("highs"),
    LinearProgram("cbc"),
    ConvexProgram("HIGHS"),
    ConvexProgram("CLARABEL"),
]
FAST, PROGRAMS = EXACT[:3], EXACT[3:]
EVERY: list[Allocator] = [*EXACT, BruteForce(), Greedy(), Random(3)]

CORNERS = {
    "no requests": Market(np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int64), [1, 1]),
    "one agent": Market([[3], [5], [4]], [[1], [1], [1]], [2]),
    "zero capacity": Market([[3, 9], [5, 9]], [[1, 1], [1, 1]], [2, 0]),
    "no capacity at all": Market([[3, 9]], [[1, 1]], [0, 0]),
    "spare capacity": Market([[3, 9], [5, 9]], [[1, 1], [1, 1]], [50, 50]),
    "all equal": Market(np.full((4, 3), 2), np.ones((4, 3), np.int64), [1, 1, 1]),
    "nothing pays": Market([[1, 2]], [[3, 3]], [1, 1]),
    "exactly nothing": Market([[3, 3]], [[3, 3]], [1, 1]),
    "all forbidden": Market([[5, 5]], [[0, 0]], [1, 1], feasible=[[False, False]]),
    "a chain of displacements": Market([[9, 8, 0], [9, 0, 7], [9, 8, 7]], np.zeros((3, 3), np.int64), [1, 1, 1]),
}


def named(allocator: Allocator) -> str:
    return repr(allocator)


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("allocator", EVERY, ids=named)
def test_corners(allocator: Allocator, corner: str) -> None:
    market = CORNERS[corner]
    allocation = allocator.allocate(market)
    market.check(allocation)
    best = market.certify(BruteForce().allocate(market))
    assert market.welfare(allocation) <= best
    if allocation.prices is not None:
        assert market.certify(allocation) == best


@settings(max_examples=600, deadline=None)
@given(market=markets())
def test_exact_allocators_agree_with_brute_force(market: Market) -> None:
    # Together: it is the drawing of a market that takes time.
    best = market.welfare(BruteForce().allocate(market))
    for allocator in FAST:
        assert market.certify(allocator.allocate(market)) == best, allocator


@settings(max_examples=150, deadline=None)
@given(market=markets())
def test_programs_agree_with_brute_force(market: Market) -> None:
    best = market.welfare(BruteForce().allocate(market))
    for allocator in PROGRAMS:
        assert market.certify(allocator.allocate(market)) == best, allocator


@cache
def stacks() -> list[tuple[Market, int]]:
    """Two thousand markets in forty stacks, each with its optimum by brute force, part by part."""
    rng = np.random.default_rng(11)
    made = []
    for _ in range(40):
        parts = [random_market(rng, int(rng.integers(1, 5)), int(rng.integers(1, 4))) for _ in range(50)]
        made.append((stack(parts), sum(part.welfare(BruteForce().allocate(part)) for part in parts)))
    return made


@pytest.mark.parametrize("allocator", EXACT, ids=named)
def test_exact_allocators_agree_with_brute_force_on_stacked_markets(allocator: Allocator) -> None:
    # Five hundred for those that take a hundred times as long, and are mended by `improve` all alike.
    for whole, best in stacks()[:: 4 if allocator in PROGRAMS else 1]:
        assert whole.certify(allocator.allocate(whole)) == best


@pytest.mark.parametrize("program", [LinearProgram("highs"), LinearProgram("cbc"), ConvexProgram("HIGHS")], ids=named)
def test_programs_are_optimal_before_any_repair(program: LinearProgram | ConvexProgram) -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        market = Market(rng.integers(0, 1000, (12, 4)), rng.integers(0, 300, (12, 4)), [2, 3, 1, 4])
        assert improve(market, program.relaxed(market))[1] == 0


def test_larger_markets_agree_with_or_tools() -> None:
    rng = np.random.default_rng(2)
    for n, m in [(60, 5), (300, 12), (500, 40)]:
        for _ in range(6):
            market = random_market(rng, n, m)
            assert market.certify(MinCostFlow().allocate(market)) == market.certify(OrTools().allocate(market))


@settings(max_examples=200, deadline=None)
@given(market=markets(), other=markets())
def test_warm_prices_change_the_start_and_not_the_welfare(market: Market, other: Market) -> None:
    prices = np.resize(MinCostFlow().allocate(other).prices, market.shape[1])
    warm = MinCostFlow().allocate_from(market, prices)
    assert market.certify(warm) == market.certify(MinCostFlow().allocate(market))


def test_warm_prices_far_above_every_value_do_no_harm() -> None:
    market = CORNERS["a chain of displacements"]
    warm = MinCostFlow().allocate_from(market, np.full(3, 2**59))
    assert market.certify(warm) == 24


@pytest.mark.parametrize("prices", [np.array([-1, 0]), np.array([0]), np.array([0.5, 1.0]), np.array([2**60, 0])])
def test_bad_warm_prices_are_refused(prices: np.ndarray) -> None:
    with pytest.raises(MarketError, match="prices"):
        MinCostFlow().allocate_from(CORNERS["spare capacity"], prices)


@settings(max_examples=250, deadline=None)
@given(market=markets())
def test_minimal_prices_are_certified_and_nothing_lower_is(market: Market) -> None:
    allocation = MinCostFlow().allocate(market)
    lowest = minimal_prices(market, allocation)
    welfare = market.certify(Allocation(allocation.agents, lowest))
    assert (lowest <= allocation.prices).all()
    for agent in np.flatnonzero(lowest):
        lower = lowest.copy()
        lower[agent] -= 1
        with pytest.raises(CertificateError):
            market.certify(Allocation(allocation.agents, lower))
    assert welfare == market.welfare(allocation)


@settings(max_examples=250, deadline=None)
@given(market=markets())
def test_improve_turns_any_feasible_allocation_into_an_optimal_one(market: Market) -> None:
    better, _ = improve(market, Random(1).allocate(market))
    assert market.certify(better) == market.certify(BruteForce().allocate(market))


def test_minimal_prices_refuse_an_allocation_that_is_not_optimal() -> None:
    with pytest.raises(CertificateError, match="not welfare-optimal"):
        minimal_prices(Market([[5, 3]], [[0, 0]], [1, 1]), Allocation([1]))


@settings(max_examples=300, deadline=None)
@given(market=markets())
def test_greedy_is_feasible_and_at_least_half_as_good(market: Market) -> None:
    welfare = market.welfare(Greedy().allocate(market))
    assert 2 * welfare >= market.welfare(BruteForce().allocate(market)) >= welfare


def test_random_ignores_values_and_repeats_itself() -> None:
    rng = np.random.default_rng(0)
    market = random_market(rng, 9, 3)
    again = market.replace(values=market.values[::-1] * 0 + 7)
    assert Random(5).allocate(market).agents.tolist() == Random(5).allocate(again).agents.tolist()
    draws = {tuple(Random(seed).allocate(CORNERS["spare capacity"]).agents.tolist()) for seed in range(20)}
    assert len(draws) == 4


def test_brute_force_refuses_what_it_cannot_finish() -> None:
    with pytest.raises(SolverError, match=r"4\^30 assignments exceed"):
        BruteForce().allocate(Market(np.zeros((30, 3), np.int64), np.zeros((30, 3), np.int64), [9, 9, 9]))


def test_an_unknown_solver_is_named_with_the_ones_installed() -> None:
    with pytest.raises(SolverError, match=r"no solver 'NONE'.*HIGHS"):
        ConvexProgram("NONE").allocate(CORNERS["one agent"])


def test_unserved_is_how_a_losing_request_is_marked() -> None:
    assert MinCostFlow().allocate(CORNERS["nothing pays"]).agents.tolist() == [UNSERVED]
    assert MinCostFlow().allocate(CORNERS["exactly nothing"]).agents.tolist() == [UNSERVED]


@pytest.mark.parametrize("order", list(permutations(["cvxpy", "highspy", "ortools.graph.python.min_cost_flow"])))
def test_solver_libraries_load_together_in_every_order(order: tuple[str, ...]) -> None:
    code = ";".join(f"import {name}" for name in order)
    use = "import pulp;p=pulp.LpProblem();p+=p.add_variable('x',0,1);assert p.solve(pulp.HiGHS(msg=False))==1"
    done = subprocess.run([sys.executable, "-c", f"{code};{use}"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
