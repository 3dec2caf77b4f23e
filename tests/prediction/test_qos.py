import dataclasses
import inspect
import math

import numpy as np
import pytest

from prediction import Features, Frozen, HoeffdingQoS, Measured, PredictionError, QoS, QoSModel, TokenPrices

GOOD = {
    "prompt_tokens": [[100, 90], [50, 40]],
    "cached_tokens": [[64, 0], [0, 32]],
    "max_tokens": [16, 32],
    "turn": [1, 0],
    "inflight": [2, 0],
    "slots": [4, 8],
    "backlog_tokens": [30, 0],
}


def test_qos_keeps_read_only_float_copies():
    latency = np.ones((2, 3))
    qos = QoS(latency, np.zeros((2, 3), int), np.full((2, 3), 0.5))
    latency[0, 0] = 9
    assert qos.shape == (2, 3)
    assert qos.latency[0, 0] == 1 and qos.cost.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        qos.quality[0, 0] = 1


@pytest.mark.parametrize("name", ["latency", "cost", "quality"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1])
def test_qos_names_the_bad_entry(name, bad):
    arrays = {key: np.full((2, 3), 0.5) for key in ("latency", "cost", "quality")}
    arrays[name][1, 2] = bad
    with pytest.raises(PredictionError, match=rf"`{name}` .*row 1, column 2"):
        QoS(**arrays)


def test_qos_refuses_quality_above_one_and_unequal_shapes():
    half = np.full((2, 3), 0.5)
    with pytest.raises(PredictionError, match=r"`quality` .*at most 1: row 0, column 0"):
        QoS(half, half, half + 1)
    with pytest.raises(PredictionError, match="`cost`"):
        QoS(half, half[:1], half)
    with pytest.raises(PredictionError, match="`latency`"):
        QoS(half[0], half[0], half[0])


def test_a_row_carries_the_derived_features():
    assert Features(**GOOD).row(0, 0) == {
        "prompt_tokens": 100, "cached_tokens": 64, "uncached_tokens": 36, "max_tokens": 16,
        "turn": 1, "inflight": 2, "slots": 4, "load": 0.5, "backlog_tokens": 30,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("prompt_tokens", [[100, -1], [50, 40]], "row 0, column 1"),
        ("prompt_tokens", [100, 90], "2-D"),
        ("prompt_tokens", [[100.0, 90], [50, 40]], "integers"),
        ("cached_tokens", [[64, 0], [51, 32]], "row 1, column 0 is 51"),
        ("cached_tokens", [[64, 0]], "shape"),
        ("max_tokens", [16], "shape"),
        ("max_tokens", [16, -1], "entry 1"),
        ("turn", [[1, 0]], "shape"),
        ("inflight", [2, -2], "entry 1"),
        ("slots", [4, 0], "entry 1"),
    ],
)
def test_features_name_the_bad_entry(name, value, message):
    with pytest.raises(PredictionError, match=message) as caught:
        Features(**GOOD | {name: value})
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"latency_s": math.nan}, {"latency_s": -1.0}, {"cost": math.inf}, {"quality": 1.5}, {"quality": math.nan},
        {"output_tokens": -1},
    ],
)  # fmt: skip
def test_measurements_are_checked(fields):
    with pytest.raises(PredictionError, match=next(iter(fields))):
        Measured(**{"latency_s": 1.0, "cost": 1.0} | fields)


def test_prices():
    prices = TokenPrices(fresh=10, cached=1, output=30)
    assert prices.cost(100, 64, 5) == 10 * 36 + 64 + 150
    for counts in ((10, 11, 0), (10, -1, 0), (10, 0, -1), (math.nan, 0, 0)):
        with pytest.raises(PredictionError, match="token counts"):
            prices.cost(*counts)
    with pytest.raises(PredictionError, match="cached"):
        TokenPrices(1, -1, 1)


def test_no_report_can_reach_a_prediction():
    """The non-interference law: what a model is given has no place for a value, a bid or a name."""
    assert {field.name for field in dataclasses.fields(Features)} == set(GOOD)
    assert {field.name for field in dataclasses.fields(Measured)} == {"latency_s", "cost", "quality", "output_tokens"}
    for model in (QoSModel, HoeffdingQoS, Frozen):
        assert list(inspect.signature(model.predict).parameters) == ["self", "features"]
        assert list(inspect.signature(model.learn).parameters) == ["self", "agent", "row", "measured"]


def test_a_frozen_model_no_longer_learns():
    model = HoeffdingQoS([TokenPrices(1, 1, 1)] * 2, warmup=1)
    features = Features(**GOOD)
    frozen = Frozen(model)
    before = frozen.predict(features)
    for learner in (model, frozen):
        learner.learn(0, features.row(0, 0), Measured(9.0, 9.0, 1.0))
    assert isinstance(frozen, QoSModel)
    assert np.array_equal(frozen.predict(features).latency, before.latency)
    assert not np.array_equal(model.predict(features).latency, before.latency)
