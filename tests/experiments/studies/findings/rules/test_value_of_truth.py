"""Learners of what pays: shading under first prices, nothing to learn under VCG, and what that leaves of welfare."""

import numpy as np
import pytest

from allocation import MICROS, Market
from experiments.errors import StudyError
from experiments.studies.findings.rules.served import World
from experiments.studies.findings.rules.value_of_truth import (
    BIDDERS,
    FACTORS,
    RULES,
    Part,
    TwoTiers,
    learn,
    outcomes,
    run,
    stages,
)

SMALL = World(copies=4, rate=60.0, bidders=12, slots=1, dialogues=3, turns=2)


def two(first: int, second: int) -> Market:
    return Market([[first * MICROS], [second * MICROS]], [[MICROS], [MICROS]], [1])


def test_learners_shade_under_first_price_and_have_nothing_to_gain_under_vcg() -> None:
    picked = np.zeros(400, np.int64)
    said = {}
    for name in ("first price", "the auction (VCG)"):
        utility, welfare, _ = outcomes(RULES[name], two(16, 3))
        profiles, regret = learn(utility[None], picked, np.random.default_rng(0))
        late = profiles[-100:]
        said[name] = np.array(FACTORS)[late // len(FACTORS)].mean()
        assert abs(regret) < 0.05
        assert welfare[late].mean() > 14.9
    # The lowest factor that still wins is a quarter: 4 against 3.
    assert said["first price"] < 0.6 < said["the auction (VCG)"]


def test_truth_is_never_worse_under_vcg_in_any_profile() -> None:
    utility, _, surplus = outcomes(RULES["the auction (VCG)"], two(16, 11))
    table = utility.reshape(len(FACTORS), len(FACTORS), 2)
    truth = FACTORS.index(1.0)
    assert (table[truth, :, 0] >= table[:, :, 0].max(axis=0) - 1e-6).all()
    assert (surplus >= 0).all()


def test_two_tiers_give_the_dear_agents_to_who_reports_most() -> None:
    market = Market([[9, 9], [1, 1]], [[2, 0], [2, 0]], [1, 1])
    outcome = TwoTiers().run(market)
    assert outcome.allocation.agents.tolist() == [0, 1]
    assert not outcome.payments.charges.any() and outcome.surplus == -2


def test_markets_are_of_served_rounds_and_every_rule_is_answered() -> None:
    drawn = stages(Part(0, SMALL, 40, 2))
    assert all(market.shape == (BIDDERS, 4) and set(market.capacities) == {1} for market in drawn)


def test_bad_input_is_refused() -> None:
    with pytest.raises(StudyError, match="3 rounds"):
        run(seeds=[0], workers=0, progress=lambda done, total: None, rounds=3)
    with pytest.raises(StudyError, match="no round of 4 bidders"):
        stages(Part(0, World(copies=1, bidders=3, dialogues=1, turns=1), 40, 2))
