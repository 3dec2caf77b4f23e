"""Rules for markets with agents as players: the facts that define them; their promises, audited."""

import math

import numpy as np
import pytest

from allocation import BruteForce, Market, MinCostFlow
from mechanisms import Mechanism, MechanismError, Prior
from mechanisms.rules.two_sided import ExpectedExternality, ProcurementVCG, TradeReduction, TwoSidedVCG
from proofs import Efficient, Grid, IndividuallyRational, NoDeficit, Property, Truthful, audit
from proofs.properties.agents import AgentsRational, TruthfulAgents, TruthfulBoth
from proofs.properties.bayesian import BayesianTruthful, InterimRational, grid_prior
from proofs.properties.budget import Balanced
from tests.markets import random_market
from tests.proofs.helpers import examined

pytestmark = pytest.mark.usefixtures("replayed_here")

CLAIMS: list[Property] = [
    Truthful(),
    TruthfulAgents(),
    TruthfulBoth(),
    IndividuallyRational(),
    AgentsRational(),
    NoDeficit(),
    Balanced(),
    Efficient(),
]
PAIRS = Grid(2, 1, range(3), private_costs=range(3), private_capacities=range(3), costs_per_pair=True)
SQUARE = Grid(2, 2, range(2), private_costs=range(2), private_capacities=range(2))
ONE_GOOD = Grid(3, 2, range(3), one_good=True, private_costs=range(3), private_capacities=range(2))
AVERAGE = Grid(2, 1, (0, 36, 72), private_costs=(0, 36))


@pytest.mark.parametrize(
    ("mechanism", "grids"),
    [
        (Mechanism(MinCostFlow(), TwoSidedVCG()), (PAIRS, SQUARE)),
        (Mechanism(MinCostFlow(), ProcurementVCG()), (PAIRS, SQUARE)),
        (TradeReduction(), (ONE_GOOD,)),
        (ExpectedExternality(grid_prior(AVERAGE)), (AVERAGE,)),
    ],
    ids=lambda case: type(getattr(case, "rule", case)).__name__,
)
def test_every_rule_keeps_its_promises_and_nothing_else_holds_everywhere(
    mechanism: Mechanism | TradeReduction | ExpectedExternality, grids: tuple[Grid, ...]
) -> None:
    promises = mechanism.rule.promises if isinstance(mechanism, Mechanism) else mechanism.promises  # type: ignore[attr-defined]
    prior = [BayesianTruthful(grid_prior(AVERAGE))] if isinstance(mechanism, ExpectedExternality) else []
    found = [examined(mechanism, grid, [*CLAIMS, *prior]) for grid in grids]
    kept = {name for name in found[0] if all(findings[name] for findings in found)}
    implied = {"no-deficit"} if "balanced" in promises else set()
    assert kept == set(promises) | implied


def test_the_smallest_deficit_of_two_sided_vcg_is_one_bidder_and_one_agent() -> None:
    found = audit(Mechanism(MinCostFlow(), TwoSidedVCG()), SQUARE, [NoDeficit()])["no-deficit"].counterexample
    assert found is not None and found.truth.values.tolist() == [[1]] and found.truth.costs.tolist() == [[0]]
    assert found.text == "the auctioneer takes 0, pays 1 and loses 1"


def test_agents_are_paid_cost_plus_what_would_be_missing_without_them() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        market = random_market(rng, int(rng.integers(0, 5)), int(rng.integers(1, 4)))
        outcome = Mechanism(MinCostFlow(), TwoSidedVCG()).run(market)
        for agent in range(market.shape[1]):
            capacities = market.capacities.copy()
            capacities[agent] = 0
            rest = market.replace(capacities=capacities)
            missing = outcome.welfare - rest.welfare(BruteForce().allocate(rest))
            assert outcome.agent_utilities()[agent] == missing
        honest = Mechanism(MinCostFlow(), ProcurementVCG()).run(market)
        assert honest.payments.receipts.tolist() == outcome.payments.receipts.tolist()
        assert honest.surplus >= 0


@pytest.mark.parametrize(
    ("values", "costs", "charges", "receipts"),
    [
        ((9, 8, 3), (1, 2, 5), [4, 4, 0], [4, 4, 0]),
        # The price falls between two micro-units: the auctioneer keeps one per trade.
        ((9, 8, 4), (1, 2, 5), [5, 5, 0], [4, 4, 0]),
        # The excluded pair's price, 6, is below the second agent's cost: the second trade is given up.
        ((9, 8, 3), (1, 7, 9), [8, 0, 0], [7, 0, 0]),
        ((9, 2, 0), (1, 3, 3), [3, 0, 0], [2, 0, 0]),
        # Nobody is excluded, so nobody sets a price.
        ((9,), (1,), [0], [0]),
        ((1, 1), (5, 6), [0, 0], [0, 0]),
    ],
)
def test_trade_reduction_by_hand(
    values: tuple[int, ...], costs: tuple[int, ...], charges: list[int], receipts: list[int]
) -> None:
    n, m = len(values), len(costs)
    market = Market(np.repeat(np.array(values)[:, None], m, axis=1), np.repeat([costs], n, axis=0), [1] * m)
    outcome = TradeReduction().run(market)
    assert (outcome.payments.charges.tolist(), outcome.payments.receipts.tolist()) == (charges, receipts)
    assert outcome.allocation.served.tolist() == [charge > 0 for charge in charges]


@pytest.mark.parametrize(
    ("market", "message"),
    [
        (Market([[1, 2]], [[0, 0]], [1, 1]), "request 0 values agents differently"),
        (Market([[1], [1]], [[0], [1]], [1]), "agent 0 has costs that differ"),
        (Market([[1], [1]], [[0], [0]], [1], bidders=[0, 0]), "several requests"),
        (Market([[1]], [[0]], [2]), "capacity above 1"),
        (Market([[1]], [[0]], [1], [[False]]), "forbidden"),
    ],
)
def test_trade_reduction_says_why_it_refuses_a_market(market: Market, message: str) -> None:
    with pytest.raises(MechanismError, match=f"one good, and here .*{message}"):
        TradeReduction().run(market)


def test_expected_externalities_balance_but_somebody_may_lose() -> None:
    prior = grid_prior(AVERAGE)
    report = audit(ExpectedExternality(prior), AVERAGE, [Balanced(), BayesianTruthful(prior), InterimRational(prior)])
    assert report["balanced"] and report["bayesian-truthful"]
    found = report["interim-rational"].counterexample
    assert found is not None and found.text == "bidder 0 of type [0] tells the truth and loses 8 on average"


def test_expected_externalities_need_independent_types_and_whole_ticks() -> None:
    markets = [Market([[a], [b]], [[0], [0]], [1]) for a, b in ((0, 0), (3, 3))]
    with pytest.raises(MechanismError, match="correlated"):
        ExpectedExternality(Prior.over(markets)).run(markets[0])
    thirds = Prior.over([Market([[value]], [[0]], [1]) for value in (0, 1)], (1, 2))
    with pytest.raises(MechanismError, match="2/3 micro-units; multiply all amounts by 3"):
        ExpectedExternality(thirds).run(Market([[0]], [[0]], [1]))
    with pytest.raises(MechanismError, match="shape"):
        ExpectedExternality(thirds).run(markets[0])


def test_expected_externalities_of_markets_that_lack_one_side() -> None:
    for m in (1, 2):
        nobody = Market(np.zeros((0, m), int), np.zeros((0, m), int), [1] * m)
        outcome = ExpectedExternality(Prior.over([nobody])).run(nobody)
        assert outcome.allocation.agents.size == 0 and outcome.payments.receipts.tolist() == [0] * m


@pytest.mark.parametrize(
    ("states", "weights", "message"),
    [
        ([], [], "0 states"),
        ([1, 2], [1], "2 states and 1 weights"),
        ([1, 2], [1, 0], "weight 0"),
        ([1, 1], [1, 1], "appears twice"),
    ],
)
def test_malformed_priors_are_refused(states: list[int], weights: list[int], message: str) -> None:
    with pytest.raises(MechanismError, match=message):
        Prior.over([Market([[value]], [[0]], [1]) for value in states], weights)


def test_a_prior_knows_its_weights() -> None:
    markets = [Market([[value]], [[1]], [1]) for value in (0, 1, 2)]
    prior = Prior.over(markets, (1, 2, 3))
    assert prior.total == 6 == math.fsum(weight for _, weight in prior.markets(markets[0]))
    assert [prior.weight(market) for market in markets] == [1, 2, 3]
    assert prior.weight(Market([[5]], [[1]], [1])) == 0
