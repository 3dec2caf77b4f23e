import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prediction import ConformalIntervals, PredictionError
from prediction.latency import intervals

amounts = st.floats(0, 1e6)


def coverage(model, pairs):
    held = []
    for predicted, actual in pairs:
        low, high = model.interval(predicted)
        held.append(low <= actual <= high)
        model.learn(predicted, actual)
    return np.array(held)


def test_every_stretch_of_a_drifting_stream_is_covered():
    rng = np.random.default_rng(0)
    spread = np.repeat([0.1, 0.5, 0.2, 0.8], 600)
    predicted = rng.uniform(0.1, 5.0, 2400)
    held = coverage(ConformalIntervals(), zip(predicted, predicted * rng.lognormal(0.0, spread), strict=True))
    stretches = held.reshape(-1, 300).mean(axis=1)
    assert stretches.min() >= 0.86 and stretches.max() <= 0.94


def test_errors_of_one_sign_make_an_interval_of_one_side():
    model = ConformalIntervals(rate=0.0)
    for k in range(600):
        model.learn(1.0, 1.0 + (k % 10) / 10)
    low, high = model.interval(1.0)
    assert float(low) == pytest.approx(1.0, abs=0.05)
    assert float(high) == pytest.approx(1.9, abs=0.05)


def test_before_anything_is_learnt_intervals_are_wide():
    low, high = ConformalIntervals().interval(1.0)
    assert low < 0.4 and high > 3.0
    assert 0.3 < ConformalIntervals().chance_within(1.0, 1.0) < 0.7


def test_the_window_forgets():
    model = ConformalIntervals(window=50, rate=0.0)
    for _ in range(60):
        model.learn(1.0, 100.0)
    for _ in range(50):
        model.learn(1.0, 1.0)
    assert model.chance_within(1.0, 1.0) == 1.0
    assert len(model._window) == len(model._sorted) == 50


@given(st.lists(st.tuples(amounts, amounts), max_size=60), st.lists(amounts, min_size=1, max_size=4))
def test_chances_are_probabilities_that_grow_with_the_limit(history, predictions):
    model = ConformalIntervals(window=30)
    for pair in history:
        model.learn(*pair)
    limits = np.array([-math.inf, -1.0, 0.0, 0.5, 10.0, 1e7, math.inf])[:, None]
    chance = model.chance_within(predictions, limits)
    assert chance.shape == (7, len(predictions))
    assert (chance >= 0).all() and (chance <= 1).all() and (np.diff(chance, axis=0) >= 0).all()
    assert (chance[:2] == 0).all() and (chance[-1] == 1).all()
    low, high = model.interval(predictions)
    assert (low >= 0).all() and (low <= high).all() and np.isfinite(high).all()


@settings(max_examples=30)
@given(st.lists(st.tuples(amounts, amounts), min_size=1, max_size=60))
def test_what_is_kept_sorted_is_what_is_remembered(history):
    model = ConformalIntervals(window=25)
    for pair in history:
        model.learn(*pair)
    assert model._sorted == sorted(model._window)
    assert len(model._window) <= 25


def test_bad_input_is_refused():
    model = ConformalIntervals()
    for call in (
        lambda: ConformalIntervals(coverage=1.0),
        lambda: ConformalIntervals(window=3),
        lambda: ConformalIntervals(rate=1.0),
        lambda: ConformalIntervals(offset=0.0),
        lambda: model.interval(-1.0),
        lambda: model.interval([1.0, math.nan]),
        lambda: model.learn(1.0, math.inf),
        lambda: model.chance_within(1.0, math.nan),
    ):
        with pytest.raises(PredictionError):
            call()


def test_the_documented_example_runs():
    result = doctest.testmod(intervals)
    assert result.attempted and not result.failed


def test_the_interval_that_was_issued_decides_whether_it_held():
    told, forgot = ConformalIntervals(rate=0.5), ConformalIntervals(rate=0.5)
    told.learn(1.0, 1.0, issued=(2.0, 3.0))
    forgot.learn(1.0, 1.0)
    assert told.interval(1.0)[1] > forgot.interval(1.0)[1]
