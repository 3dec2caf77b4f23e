"""Trees on what the queue model gets wrong: of use where there is a pattern, harmless where there is none."""

from collections.abc import Callable

import numpy as np
import pytest

from prediction import Features, PredictionError, TokenPrices, TreeCorrection

PRICES = [TokenPrices(0.01, 0.001, 0.02), TokenPrices(0.02, 0.002, 0.04)]


def features(prompt: int = 300, turn: int = 0, requests: int = 1) -> Features:
    return Features(
        np.full((requests, 2), prompt), np.zeros((requests, 2), int), np.full(requests, 32), np.full(requests, turn),
        np.array([1, 2]), np.array([8, 8]), np.array([0, 0]),
    )  # fmt: skip


def replay(took: Callable[[float, int, np.random.Generator], float], count: int = 400) -> tuple[float, float, float]:
    """Mean absolute error in the second half, of the queue model and of the corrected one; weight of the trees."""
    rng = np.random.default_rng(0)
    correction, off = TreeCorrection(PRICES), []
    for _ in range(count):
        prompt, turn, agent = int(rng.integers(50, 1000)), int(rng.integers(3)), int(rng.integers(2))
        seen, said = features(prompt, turn), 0.1 + 0.002 * prompt
        experts = correction.experts(seen, np.full((1, 2), said))[:, 0, agent]
        seconds = took(said, turn, rng)
        off.append((abs(said - seconds), abs(float(correction.mix(experts)) - seconds)))
        correction.learn(agent, seen.row(0, agent), experts, seconds)
    alone, corrected = np.array(off[count // 2 :]).mean(axis=0)
    return float(alone), float(corrected), correction.weight


def test_a_pattern_that_no_queue_explains_is_learnt() -> None:
    alone, corrected, weight = replay(lambda said, turn, rng: said * (1 + 0.3 * turn) * float(rng.lognormal(0, 0.05)))
    assert corrected < 0.35 * alone and weight > 0.95


def test_where_there_is_none_the_queue_model_is_as_good_as_alone() -> None:
    alone, corrected, weight = replay(lambda said, turn, rng: said * float(rng.lognormal(0, 0.1)))
    assert corrected < 1.01 * alone and weight < 0.5


def test_before_anything_is_measured_the_queue_model_speaks_and_asking_changes_nothing() -> None:
    correction, said = TreeCorrection(PRICES), np.array([[1.0, 2.0], [3.0, 4.0]])
    first = correction.experts(features(requests=2), said)
    assert first.shape == (2, 2, 2) and np.array_equal(correction.mix(first), said)
    assert np.array_equal(correction.experts(features(requests=2), said), first) and correction.weight == 0.1


@pytest.mark.parametrize(("experts", "seconds"), [((0.0, 1.0), 1.0), ((1.0, 1.0), 0.0)])
def test_a_wait_of_nothing_teaches_nothing(experts: tuple[float, float], seconds: float) -> None:
    correction = TreeCorrection(PRICES)
    correction.learn(0, features().row(0, 0), np.array(experts), seconds)
    assert correction.weight == 0.1


def test_an_absurd_measurement_does_not_drown_the_rest() -> None:
    correction, said = TreeCorrection(PRICES), np.ones((1, 2))
    for seconds in (1e9, *[1.0] * 20):
        experts = correction.experts(features(), said)[:, 0, 0]
        correction.learn(0, features().row(0, 0), experts, seconds)
    assert 0.25 <= float(correction.mix(correction.experts(features(), said))[0, 0]) <= 2.0


def test_shapes_must_agree() -> None:
    with pytest.raises(PredictionError, match=r"`seconds` must have shape \(1, 2\), not \(2, 2\)"):
        TreeCorrection(PRICES).experts(features(), np.ones((2, 2)))
