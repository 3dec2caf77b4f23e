import math

import pytest

from prediction import ErrorMeter, Measured, PredictionError


def test_the_definitions_on_three_predictions():
    meter = ErrorMeter(quality_threshold=0.7)
    meter.update(1.0, 10.0, 0.9, Measured(2.0, 10.0, 0.8))
    meter.update(5.0, 10.0, 0.4, Measured(2.0, 20.0, 0.6))
    meter.update(3.0, 40.0, 0.2, Measured(4.0, 30.0))
    assert meter.summary() == pytest.approx(
        {
            "count": 3, "latency_mae": 5 / 3, "latency_nmae": 5 / 8, "latency_bias": 1 / 3,
            "cost_mae": 20 / 3, "cost_nmae": 20 / 60, "cost_bias": 0,
            "quality_count": 2, "quality_brier": (0.01 + 0.16) / 2, "quality_accuracy": 1,
        }
    )  # fmt: skip


def test_an_empty_meter_says_nan():
    summary = ErrorMeter().summary()
    assert summary.pop("count") == summary.pop("quality_count") == 0
    assert all(math.isnan(value) for value in summary.values())


def test_bad_input_is_refused():
    with pytest.raises(PredictionError, match="finite"):
        ErrorMeter().update(math.nan, 0, 0, Measured(1, 1))
    with pytest.raises(PredictionError, match="quality_threshold"):
        ErrorMeter(quality_threshold=2)
