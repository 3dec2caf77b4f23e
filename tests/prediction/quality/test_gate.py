import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prediction.quality.gate import Gate, believable

chances = st.floats(0.0, 1.0)
History = list[tuple[float, float, float, bool]]
histories = st.lists(st.tuples(chances, chances, chances, st.booleans()), max_size=200)
WEIGHTS = (0.5, 0.25, 0.25)


def lost(chance: float, right: bool) -> float:
    return -math.log(chance if right else 1 - chance)


@given(histories)
def test_no_history_costs_more_over_any_expert_than_is_promised(
    history: History,
) -> None:
    gate = Gate(WEIGHTS)
    mixture, experts = 0.0, np.zeros(3)
    for *said, right in history:
        told = np.array(said)
        mixture += lost(float(gate.mix(told)), right)
        experts += [lost(float(chance), right) for chance in believable(told)]
        gate.learn(told, right)
    for weight, expert in zip(WEIGHTS, experts, strict=True):
        assert mixture - expert <= -math.log(weight) + (1 - weight) * math.log(len(history) + 1) + 1e-9


@given(histories)
def test_weights_stay_weights_and_the_mixture_between_the_experts(
    history: History,
) -> None:
    gate = Gate(WEIGHTS)
    for *said, right in history:
        told = np.array(said)
        gate.learn(told, right)
        assert abs(gate.weights.sum() - 1) < 1e-9 and (gate.weights > 0).all()
        between = believable(told)
        assert between.min() - 1e-12 <= gate.mix(told) <= between.max() + 1e-12


def test_an_expert_that_was_bad_at_first_is_believed_once_it_is_good() -> None:
    gate = Gate((0.5, 0.5))
    for _ in range(500):
        gate.learn(np.array([0.5, 0.1]), True)
    assert gate.weights[1] < 0.01
    for _ in range(50):
        gate.learn(np.array([0.5, 0.9]), True)
    assert gate.weights[1] > 0.9
