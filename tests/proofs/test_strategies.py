"""Strategies: what they draw, and that failures shrink to the textbook's examples, in size too."""

import importlib
import sys
from collections.abc import Callable
from random import Random
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from allocation import Greedy, Market, MinCostFlow
from mechanisms import VCG, DirectMechanism, Mechanism, PayAsBid, TwoSidedVCG
from proofs import AuditError, Counterexample, Grid, Misreport, Status, Truthful, shrink
from proofs.properties.bayesian import BayesianTruthful
from proofs.strategies import markets, misreports, misreports_of, priors, profiles
from tests.proofs.helpers import examined

EXACT = Mechanism(MinCostFlow(), VCG())
Case = tuple[Market, Misreport]
T = TypeVar("T")


def smallest(of: st.SearchStrategy[Case], mechanism: DirectMechanism) -> Case:
    def pays(case: Case) -> bool:
        return Counterexample.of(Truthful(), mechanism, *case) is not None

    return _smallest(of, pays)


def _smallest(of: st.SearchStrategy[T], fails: Callable[[T], bool]) -> T:
    quiet = settings(max_examples=5_000, database=None, deadline=None, phases=[Phase.generate, Phase.shrink])
    return find(of, fails, settings=quiet, random=Random(0))


def test_pay_as_bid_shrinks_to_one_bidder_and_one_agent() -> None:
    market, misreport = smallest(misreports(max_requests=5, costs=range(3)), Mechanism(MinCostFlow(), PayAsBid()))
    assert market.shape == (1, 1) and market.capacities.tolist() == [1] and not market.costs.any()
    assert market.values.tolist() == [[2]] and misreport == Misreport(0, ((1,),))


def test_greedy_with_vcg_shrinks_to_two_bidders_and_two_agents() -> None:
    rule = Mechanism(Greedy(), VCG())
    market, misreport = smallest(misreports(3, 2, values=range(4), capacities=1), rule)
    assert market.shape == (2, 2)
    found = Counterexample.of(Truthful(), rule, market, misreport)
    assert found is not None and shrink(found, rule).truth.values.max() == 2


def test_the_deficit_of_two_sided_vcg_shrinks_to_one_trade() -> None:
    rule = Mechanism(MinCostFlow(), TwoSidedVCG())
    market = _smallest(markets(), lambda market: rule.run(market).surplus < 0)
    assert (market.values.tolist(), market.costs.tolist(), market.capacities.tolist()) == ([[1]], [[0]], [1])


def test_owners_and_forbidden_pairs_shrink_away() -> None:
    whole = markets(max_requests=5, bidders=3, forbidden=True, min_requests=0, values=st.integers(-9, 9))
    market = _smallest(whole, lambda market: bool((market.weights > 3).any()))
    assert market.values.tolist() == [[4]] and market.feasible is None and market.bidders.tolist() == [0]


@settings(deadline=None)
@given(market=markets(max_requests=4, bidders=2, values=(1, 3), costs=2, capacities=st.just(1), forbidden=True))
def test_markets_keep_to_what_was_asked(market: Market) -> None:
    n, m = market.shape
    assert 1 <= n <= 4 and 1 <= m <= 3 and set(market.bidders.tolist()) <= {0, 1}
    assert set(market.values.ravel().tolist()) <= {1, 3} and (market.costs == 2).all()
    assert (market.capacities == 1).all()


@settings(deadline=None)
@given(case=misreports(bidders=2) | markets().flatmap(lambda market: st.tuples(st.just(market), misreports_of(market))))
def test_exact_vcg_survives_every_drawn_misreport(case: Case) -> None:
    market, misreport = case
    assert misreport.rows != tuple(map(tuple, market.values[market.requests_of(misreport.bidder)].tolist()))
    assert Counterexample.of(Truthful(), EXACT, market, misreport) is None


def test_profiles_are_the_markets_of_the_grid() -> None:
    grid = Grid(bidders=2, agents=1, values=(1, 2), private_costs=(0, 3))
    drawn = set()

    @settings(max_examples=200, database=None, deadline=None)
    @given(market=profiles(grid))
    def collect(market: Market) -> None:
        drawn.add((tuple(market.values.ravel().tolist()), int(market.costs[0, 0])))

    collect()
    assert drawn == {((a, b), c) for a in (1, 2) for b in (1, 2) for c in (0, 3)}
    first = _smallest(profiles(grid), lambda market: True)
    assert first.values.tolist() == [[1], [1]] and first.costs.tolist() == [[0], [0]]


@settings(max_examples=15, deadline=None)
@given(prior=priors(Grid(bidders=2, agents=1, values=range(2)), max_states=3))
def test_dominant_strategies_are_best_under_every_prior(prior: object) -> None:
    grid = Grid(bidders=2, agents=1, values=range(2))
    [finding] = examined(EXACT, grid, [BayesianTruthful(prior)]).values()  # type: ignore[arg-type]
    assert finding.status is Status.VERIFIED


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (lambda: markets(values=0.5), "values = 0.5; expected an integer, several"),
        (lambda: markets(costs=[]), r"costs = \[\]"),
        (lambda: markets(capacities=[True]), "capacities"),
        (
            lambda: misreports_of(Market(np.zeros((0, 1), int), np.zeros((0, 1), int), [1])),
            "nobody can misreport",
        ),
        (lambda: misreports_of(Market([[3]], [[0]], [1]), values=3), "nothing but 3, which is true"),
    ],
)
def test_senseless_strategies_are_refused(strategy: Callable[[], st.SearchStrategy[object]], message: str) -> None:
    with pytest.raises(AuditError, match=message):
        _smallest(strategy(), lambda drawn: True)


def test_without_hypothesis_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "proofs.strategies")
    with pytest.raises(ImportError, match=r"proofs.strategies needs Hypothesis; install it, or iemas\[test\]"):
        importlib.import_module("proofs.strategies")
