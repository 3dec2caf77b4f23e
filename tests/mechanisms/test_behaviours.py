"""Behaviours are pure; the learner regrets nothing, stays honest under VCG and shades under pay-as-bid."""

from math import inf, log, sqrt

import numpy as np
import pytest

from allocation import Market, MinCostFlow
from mechanisms import VCG, Mechanism, MechanismError, PayAsBid, Preferences
from mechanisms.behaviours import (
    AGGRESSIVE,
    CONSERVATIVE,
    Behaviour,
    Erratic,
    Honest,
    Learner,
    Scaled,
    counterfactuals,
)

TRUE = Preferences(10.0, 2.0, deadline=30.0)


def test_fixed_behaviours_scale_worth_and_delay_and_keep_the_deadline() -> None:
    assert Honest().report(TRUE) == TRUE
    assert AGGRESSIVE.report(TRUE) == Preferences(15.0, 3.0, 30.0)
    assert CONSERVATIVE.report(TRUE) == Preferences(5.0, 1.0, 30.0)


@pytest.mark.parametrize("behaviour", [Honest(), AGGRESSIVE, Erratic(3), Learner(seed=2)])
def test_the_same_history_gives_the_same_report(behaviour: Behaviour) -> None:
    history = [(0,) * 6, (1,) * 6]
    assert isinstance(behaviour, Behaviour)
    assert behaviour.report(TRUE, history) == behaviour.report(TRUE, history)


def test_erratic_reports_differ_by_round_and_stay_in_range() -> None:
    reported = [Erratic(1).report(TRUE, [()] * number).worth for number in range(50)]
    assert len(set(reported)) == 50 and 5.0 <= min(reported) < 7.0 and 13.0 < max(reported) <= 15.0


def test_hedge_keeps_its_bound_against_an_adversary() -> None:
    rng = np.random.default_rng(7)
    learner = Learner((0.5, 1.0, 1.5), horizon=200, span=1000)
    history: list[tuple[int, ...]] = []
    expected = 0.0
    for _ in range(200):
        chances = learner.chances(history)
        earned = np.where(np.array(chances) >= max(chances), 0, rng.integers(0, 1001, 3))
        expected += float(np.dot(chances, earned))
        history.append(tuple(earned.tolist()))
    best = max(sum(round_[k] for round_ in history) for k in range(3))
    assert best - expected <= 1000 * sqrt(200 * log(3) / 2)


def learnt(mechanism: Mechanism) -> tuple[float, ...]:
    """Chances of (half, truth, double) after 60 rounds against one random rival each."""
    rng = np.random.default_rng(8)
    learner = Learner((0.5, 1.0, 2.0), horizon=60, span=100)
    history: list[tuple[int, ...]] = []
    for _ in range(60):
        reported = Market([[0], [int(rng.integers(0, 120))]], [[0], [0]], [1])
        history.append(counterfactuals(mechanism, reported, np.array([[100]]), 0, learner.factors))
    return learner.chances(history)


def test_a_learner_stays_honest_under_vcg_and_shades_under_pay_as_bid() -> None:
    under_vcg, under_pay_as_bid = (learnt(Mechanism(MinCostFlow(), rule)) for rule in (VCG(), PayAsBid()))
    assert max(under_vcg) == under_vcg[1]
    assert under_pay_as_bid[0] > 0.95


def test_counterfactuals_are_true_utilities() -> None:
    market = Market([[0], [6]], [[1], [1]], [1])
    earned = counterfactuals(Mechanism(MinCostFlow(), PayAsBid()), market, np.array([[10]]), 0, (0.5, 0.7, 1.0, 2.0))
    assert earned == (0, 3, 0, -10)


def test_a_deadline_makes_late_answers_worthless() -> None:
    assert TRUE.value([1.0, 1.0, 0.0], [4.0, 30.0, 30.1]).tolist() == [2_000_000, -50_000_000, -60_200_000]
    assert Preferences(10.0, 1.0, 3.0).value(1.0, [3.0, 4.0, 12.0]).tolist() == [7_000_000, 0, -2_000_000]
    assert Preferences(1.0, 0.0).deadline == inf


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: Scaled(-1), "factor -1"),
        (lambda: Erratic(low=2.0, high=1.0), "low = 2.0 exceeds"),
        (lambda: Erratic(seed=-1), "seed = -1"),
        (lambda: Learner(()), "no factors"),
        (lambda: Learner(horizon=0), "horizon = 0"),
        (lambda: Learner((1.0, 2.0)).chances([(1,)]), "round 0 has 1 utilities for 2 factors"),
        (lambda: Preferences(1.0, 1.0, 0.0), "deadline = 0.0"),
        (lambda: Preferences(1.0, 1.0, float("nan")), "deadline = nan"),
    ],
)
def test_refusals(attempt: object, message: str) -> None:
    with pytest.raises(MechanismError, match=message):
        attempt()  # type: ignore[operator]
