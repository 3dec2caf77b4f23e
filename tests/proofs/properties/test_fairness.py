"""Claims about even-handedness, budgets and welfare: by definition, and what is known of the rules that ship."""

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

from allocation import BruteForce, Greedy, Market, MinCostFlow
from mechanisms import VCG, DirectMechanism, FirstCome, Mechanism, PayAsBid, PostedPrice, find_mechanism
from mechanisms.settlement import OnMeasurement, OnPrediction
from proofs import AuditError, Counterexample, Grid, Property, Status, audit
from proofs.properties.bayesian import InterimRational, grid_prior
from proofs.properties.budget import Approximation, Balanced, NoDeficitRealised
from proofs.properties.fairness import Anonymous, EnvyFree, Monotone
from tests.proofs.helpers import examined
from tests.proofs.rules import EXACT, Dice, Dictators, Nobody, Spoiled

pytestmark = pytest.mark.usefixtures("replayed_here")

SQUARE = Grid(bidders=2, agents=2, values=range(3))
GREEDY = Mechanism(Greedy(), VCG())
FIRST_PRICE = Mechanism(MinCostFlow(), PayAsBid())
KINDS = [EXACT, FIRST_PRICE, GREEDY, Dictators(), Nobody(), *map(Dice, range(3))]


def holds(mechanism: DirectMechanism, grid: Grid, prop: Property) -> bool:
    finding = examined(mechanism, grid, [prop])[prop.name]
    if finding.counterexample is not None:
        assert Counterexample.from_json(finding.counterexample.to_json()).replay(mechanism) == finding.worst
    return finding.status is not Status.REFUTED


def anonymous(mechanism: DirectMechanism, grid: Grid) -> bool:
    """Every permutation of single-request bidders, not only neighbours."""
    for profile in range(grid.profiles):
        truth = grid.market(profile)
        utilities = mechanism.run(truth).bidder_utilities()
        for order in map(list, permutations(range(grid.bidders))):
            moved = Market(truth.values[order], truth.costs[order], truth.capacities)
            after = mechanism.run(moved).bidder_utilities()
            if any(after[place] != utilities[bidder] for place, bidder in enumerate(order)):
                return False
    return True


def envious(mechanism: DirectMechanism, grid: Grid) -> bool:
    """Single requests, equal costs: somebody prefers another's agent and charge."""
    for profile in range(grid.profiles):
        truth = grid.market(profile)
        outcome = mechanism.run(truth)
        own = outcome.bidder_utilities()
        for other, agent in enumerate(outcome.allocation.agents.tolist()):
            price = int(outcome.payments.charges[other])
            for bidder in set(truth.players) - {other}:
                value = max(0, int(truth.values[bidder, agent])) if agent >= 0 else 0
                if value - price > own[bidder]:
                    return True
    return False


@pytest.mark.parametrize("mechanism", KINDS, ids=str)
def test_fairness_is_as_defined(mechanism: DirectMechanism) -> None:
    for grid in (Grid(3, 1, range(3)), Grid(2, 2, range(2))):
        assert holds(mechanism, grid, Anonymous()) == anonymous(mechanism, grid)
        assert holds(mechanism, grid, EnvyFree()) != envious(mechanism, grid)


@pytest.mark.parametrize("mechanism", KINDS, ids=str)
def test_monotone_is_as_defined(mechanism: DirectMechanism) -> None:
    lost = False
    for profile in range(SQUARE.profiles):
        truth = SQUARE.market(profile)
        for request, agent in enumerate(mechanism.run(truth).allocation.agents.tolist()):
            for value in range(int(truth.values[request, agent]) + 1, 3) if agent >= 0 else ():
                values = truth.values.copy()
                values[request, agent] = value
                lost |= int(mechanism.run(truth.replace(values=values)).allocation.agents[request]) != agent
    assert holds(mechanism, SQUARE, Monotone()) != lost


def test_vcg_is_fair_and_greedy_with_its_payments_is_not() -> None:
    report = audit(EXACT, Grid(3, 2, range(2), costs=(0, 1)), [Anonymous(), EnvyFree()])
    assert report.passed
    unfair = audit(GREEDY, SQUARE, [Anonymous(), EnvyFree(), Monotone()])
    assert [str(finding.status) for finding in unfair.findings] == ["REFUTED", "REFUTED", "VERIFIED"]
    found = unfair["anonymous"].counterexample
    assert found is not None and found.text == "bidders 0 and 1 change places, and bidder 0 has 0, not 1"
    assert eval(found.expression("vcg", "greedy")) == 1


@pytest.mark.parametrize(("name", "allocator"), [("posted-price", None), ("vcg", "random")])
def test_who_comes_first_matters_to_posted_prices_and_to_the_lottery_as_drawn(name: str, allocator: str | None) -> None:
    assert not holds(find_mechanism(name, allocator), SQUARE, Anonymous())


def test_an_owner_envies_what_all_his_requests_could_use() -> None:
    truth = Market([[4, 0], [0, 4], [1, 1], [1, 1]], np.zeros((4, 2), int), [1, 1], bidders=[0, 0, 1, 1])
    second = Mechanism(FirstCome(), PostedPrice()).run(truth)
    assert EnvyFree().check(second, truth.replace(values=[[4, 0], [0, 4], [9, 9], [7, 7]])).amount == 16  # type: ignore[union-attr]


def test_half_of_the_optimum_is_what_greedy_guarantees_and_no_more() -> None:
    tight, beyond = Approximation(Fraction(1, 2)), Approximation(Fraction(501, 1000))
    report = audit(GREEDY, Grid(3, 2, range(3)), [tight, beyond])
    assert report[tight.name] and report[tight.name].note.startswith("worst on the scope: 1/2, at values")
    found = report[beyond.name].counterexample
    assert found is not None and found.truth.values.tolist() == [[1, 1], [1, 0]]
    assert found.text == "welfare is 1, less than 501/1000 of the optimum 2"


def test_without_ties_greedy_comes_as_close_to_half_as_values_are_fine() -> None:
    for top in (3, 10, 1000):
        market = Market([[top, top - 1], [top - 1, 0]], np.zeros((2, 2), int), [1, 1])
        outcome, best = GREEDY.run(market), market.welfare(BruteForce().allocate(market))
        assert Approximation().check(outcome, market) is None
        assert Approximation().grade(outcome, market) == Fraction(top, best) == Fraction(top, 2 * top - 2)


def test_a_ratio_is_exact() -> None:
    for ratio, message in ((0.5, "float"), ("3/2", "in .0, 1")):
        with pytest.raises(AuditError, match=message):
            Approximation(ratio)  # type: ignore[arg-type]
    assert Approximation(Fraction(1)).name == "approximation(1)"
    found = audit("vcg", SQUARE, [Approximation(Fraction(1))], allocator="greedy")["approximation(1)"].counterexample
    assert found is not None and eval(found.expression("vcg", "greedy")) == found.amount == 1


def test_balance_is_to_the_tick() -> None:
    assert holds(Mechanism(FirstCome(), PostedPrice()), SQUARE, Balanced())
    finding = examined(EXACT, SQUARE, [Balanced()])["balanced"]
    assert finding.counterexample is not None and finding.counterexample.text == "the auctioneer keeps 2"


@pytest.mark.parametrize(("settlement", "safe"), [(OnPrediction(), False), (OnMeasurement(), True)], ids=str)
def test_who_bears_realised_costs_decides_the_budget(settlement: OnPrediction | OnMeasurement, safe: bool) -> None:
    prop = NoDeficitRealised(over=2, under=1, settlement=settlement)
    assert holds(EXACT, Grid(2, 2, range(3), costs=(0, 1)), prop) == safe
    assert holds(Mechanism(FirstCome(3), PostedPrice(3)), Grid(2, 1, range(6)), NoDeficitRealised(over=3))
    with pytest.raises(AuditError, match="over = -1"):
        NoDeficitRealised(over=-1)


def test_losing_on_average_is_told_from_losing_once() -> None:
    prior = grid_prior(Grid(2, 1, range(3)), (1, 1, 1))
    assert holds(EXACT, Grid(2, 1, range(3)), InterimRational(prior))
    finding = examined(Spoiled("entry fee"), Grid(2, 1, range(3)), [InterimRational(prior)])
    found = finding["interim-rational"].counterexample
    assert found is not None and found.text == "bidder 0 of type [0] tells the truth and loses 1 on average"
    assert found.replay(Spoiled("entry fee")) == 3
