import doctest
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prediction import OutputLengths, PredictionError
from prediction.latency import lengths

ALLOWED = 10**9


def test_before_any_answer_all_that_is_allowed_is_expected():
    assert OutputLengths(2).predict([7, 9]).tolist() == [[7, 7], [9, 9]]


def test_a_new_agent_borrows_from_the_others_and_an_old_one_does_not():
    model = OutputLengths(3)
    for _ in range(20):
        model.learn(0, 50)
        model.learn(1, 10)
    model.learn(1, 10)
    assert model.predict([ALLOWED])[0].tolist() == [50, 10, 10]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 99)), max_size=60), st.integers(1, 20))
def test_own_answers_decide_once_there_are_many(history, window):
    model = OutputLengths(3, window=window)
    own = [[], [], []]
    for agent, tokens in history:
        model.learn(agent, tokens)
        own[agent].append(tokens)
        pooled = median([tokens for _, tokens in history[: sum(map(len, own))]][-window:])
        expected = median(own[agent][-window:] + [pooled] * lengths.PRIOR_ANSWERS)
        assert model.predict([ALLOWED])[0, agent] == expected
    assert (model.predict([5]) <= 5).all()
    assert all(len(one) <= window for one in [*model._own, model._all])


def test_bad_input_is_refused():
    model = OutputLengths(1)
    for call in (
        lambda: OutputLengths(0),
        lambda: OutputLengths(1, window=0),
        lambda: model.learn(1, 5),
        lambda: model.learn(0, -5),
        lambda: model.predict(5),
        lambda: model.predict([-1]),
        lambda: model.predict([np.nan]),
    ):
        with pytest.raises(PredictionError):
            call()


def test_the_documented_example_runs():
    result = doctest.testmod(lengths)
    assert result.attempted and not result.failed
