"""Who bears a wrong prediction: every settlement's ex-post statement, to the micro-unit."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocation import Market, MarketError, MinCostFlow
from mechanisms import VCG, Mechanism, MechanismError, Outcome
from mechanisms.settlement import (
    CERTAIN,
    Execution,
    ExecutionContingent,
    OnDelivery,
    OnMeasurement,
    OnPrediction,
    Settlement,
    balance,
)

SETTLEMENTS: tuple[Settlement, ...] = (OnPrediction(), OnMeasurement(), OnDelivery(), ExecutionContingent())


@st.composite
def rounds(draw: st.DrawFn) -> tuple[Outcome, Execution]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    market = Market(rng.integers(0, 50, (4, 2)), rng.integers(0, 20, (4, 2)), [1, 2], bidders=[0, 1, 2, 0])
    outcome = Mechanism(MinCostFlow(), VCG()).run(market)
    return outcome, Execution(rng.integers(0, 40, 4), rng.random(4) < 0.6, rng.integers(1, CERTAIN + 1, 4))


@settings(max_examples=40, deadline=None)
@given(played=rounds())
def test_every_statement_adds_up_to_what_was_measured(played: tuple[Outcome, Execution]) -> None:
    outcome, execution = played
    served = outcome.allocation.served
    values = outcome.reported.take(outcome.reported.values, outcome.allocation)
    value = sum(
        int(v) * CERTAIN // int(p) for v, p in zip(values[served & execution.succeeded],
                                                  execution.chances[served & execution.succeeded], strict=True)
    )  # fmt: skip
    measured = value - int(execution.costs[served].sum())
    for settlement in SETTLEMENTS:
        left = balance(outcome, execution, settlement.settle(outcome, execution))
        assert left.auctioneer + sum(left.bidders.values()) + int(left.agents.sum()) == measured


@settings(max_examples=40, deadline=None)
@given(played=rounds())
def test_who_is_insured_against_what(played: tuple[Outcome, Execution]) -> None:
    outcome, execution = played
    served = outcome.allocation.served
    predicted = outcome.reported.take(outcome.reported.costs, outcome.allocation)
    excess = int((execution.costs[served] - predicted[served]).sum())

    on_prediction = balance(outcome, execution, OnPrediction().settle(outcome, execution))
    assert not on_prediction.agents.any() and on_prediction.auctioneer == outcome.surplus - excess

    on_measurement = balance(outcome, execution, OnMeasurement().settle(outcome, execution))
    assert not on_measurement.agents.any() and on_measurement.auctioneer == outcome.surplus >= 0

    on_delivery = OnDelivery().settle(outcome, execution)
    left = balance(outcome, execution, on_delivery)
    assert left.auctioneer >= 0 and not on_delivery.charges[~(served & execution.succeeded)].any()


def test_settling_on_measurement_can_cost_a_client_more_than_he_gains() -> None:
    outcome = Mechanism(MinCostFlow(), VCG()).run(Market([[10], [8]], [[2], [2]], [1]))
    dear = Execution([7, 0])
    payments = OnMeasurement().settle(outcome, dear)
    assert payments.charges.tolist() == [13, 0] and payments.receipts.tolist() == [7]
    assert balance(outcome, dear, payments).bidders == {0: -3, 1: 0}
    assert balance(outcome, dear, OnPrediction().settle(outcome, dear)).auctioneer == 1


def test_delivery_pays_the_auctioned_amounts_on_average() -> None:
    outcome = Mechanism(MinCostFlow(), VCG()).run(Market([[10], [8]], [[2], [2]], [1]))
    half = [CERTAIN // 2, CERTAIN]
    done, failed = (OnDelivery().settle(outcome, Execution([2, 0], [ok, True], half)) for ok in (True, False))
    assert done.charges.tolist() == [16, 0] and done.receipts.tolist() == [4]
    assert failed.charges.tolist() == [0, 0] and failed.receipts.tolist() == [0]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_on_delivery_no_client_with_one_request_loses_more_than_rounding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outcome = Mechanism(MinCostFlow(), VCG()).run(Market(rng.integers(0, 50, (4, 2)), np.ones((4, 2), int), [1, 2]))
    execution = Execution(rng.integers(0, 40, 4), rng.random(4) < 0.6, rng.integers(1, CERTAIN + 1, 4))
    left = balance(outcome, execution, OnDelivery().settle(outcome, execution))
    assert min(left.bidders.values()) >= -1


def test_execution_contingent_payments_make_an_agent_want_its_true_chance() -> None:
    """One request, of value 100 upon success; agent 1 is certain at cost 40, agent 0 succeeds half the time, at 5."""

    def gain_of_agent_0(announced: int) -> float:
        chances = np.array([announced, CERTAIN])
        market = Market([(100 * chances // CERTAIN).tolist()], [[5, 40]], [1, 1])
        outcome = Mechanism(MinCostFlow(), VCG()).run(market)
        if outcome.allocation.agents[0] != 0:
            return 0.0
        gains = [
            int(balance(outcome, ran, ExecutionContingent().settle(outcome, ran)).agents[0])
            for ran in (Execution([5], [ok], [announced]) for ok in (True, False))
        ]
        return sum(gains) / 2

    truth = gain_of_agent_0(CERTAIN // 2)
    boasts = [gain_of_agent_0(chance * CERTAIN // 10) for chance in range(1, 11)]
    assert truth == 0.0 and max(boasts) <= truth and min(boasts) == 50 - 5 - 60


def expected_gain(
    settlement: Settlement, values: np.ndarray, costs: np.ndarray, true: tuple[int, ...], report: int
) -> Fraction:
    """Of agent 0, who announces the chance `report`. Chances are in quarters and values in fours, so nothing rounds."""
    announced = np.array([report, *true[1:]])
    outcome = Mechanism(MinCostFlow(), VCG()).run(Market(values * announced // 4, costs, [1, 2]))
    served = np.flatnonzero(outcome.allocation.served).tolist()
    agents = outcome.allocation.agents
    chances = np.full(len(values), CERTAIN)
    chances[served] = announced[agents[served]] * (CERTAIN // 4)
    gain = Fraction(0)
    for fate in product((True, False), repeat=len(served)):
        done, likely = np.ones(len(values), bool), Fraction(1)
        for request, ok in zip(served, fate, strict=True):
            done[request] = ok
            chance = Fraction(true[agents[request]], 4)
            likely *= chance if ok else 1 - chance
        ran = Execution(outcome.reported.take(costs, outcome.allocation), done, chances)
        gain += likely * int(balance(outcome, ran, settlement.settle(outcome, ran)).agents[0])
    return gain


def test_no_announced_chance_beats_the_true_one_under_execution_contingent_payments_alone() -> None:
    rng = np.random.default_rng(11)
    tempted = 0
    for _ in range(25):
        values, costs = 4 * rng.integers(0, 12, (3, 2)), rng.integers(0, 9, (3, 2))
        true = tuple(rng.integers(1, 5, 2).tolist())
        contingent, delivered = (
            [expected_gain(settlement, values, costs, true, report) for report in (true[0], 1, 2, 3, 4)]
            for settlement in (ExecutionContingent(), OnDelivery())
        )
        assert max(contingent) == contingent[0]
        tempted += max(delivered) > delivered[0]
    assert tempted > 5


def test_groves_payments_on_execution_can_cost_the_auctioneer() -> None:
    outcome = Mechanism(MinCostFlow(), VCG()).run(Market([[10, 1]], [[2, 0]], [1, 1]))
    ran = Execution([2])
    assert balance(outcome, ran, ExecutionContingent().settle(outcome, ran)).auctioneer == -7


def test_malformed_executions_are_refused() -> None:
    outcome = Mechanism(MinCostFlow(), VCG()).run(Market([[10], [8]], [[2], [2]], [1]))
    for settlement in SETTLEMENTS:
        with pytest.raises(MechanismError, match="3 measured costs for an outcome of 2 requests"):
            settlement.settle(outcome, Execution([1, 2, 3]))
    with pytest.raises(MechanismError, match=r"chances\[1\] = 0"):
        Execution([1, 2], chances=[CERTAIN, 0])
    with pytest.raises(MechanismError, match="expected 2 booleans"):
        Execution([1, 2], succeeded=[1, 0])
    with pytest.raises(MechanismError, match="expected 2 integers"):
        Execution([1, 2], chances=[0.5, 0.5])
    with pytest.raises(MarketError, match="float"):
        Execution([1.5, 2])
