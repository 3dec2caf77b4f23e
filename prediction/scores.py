"""How good the predictions were, judged prequentially: each request is predicted first, learnt from after.

Dawid (1984), "Present position and potential developments: some personal views: statistical theory: the prequential
approach"; Gama, Sebastiao and Rodrigues (2013), "On evaluating stream learning algorithms". Here

    MAE  = mean |predicted - actual|        in the unit of what is predicted
    NMAE = MAE / mean |actual|              unit-free; 1 is as bad as always answering zero
    bias = mean (predicted - actual)        positive when we promise too much
    Brier = mean (p - y)**2                 y = 1 if the measured quality reaches the threshold, else 0

(Brier, 1950, "Verification of forecasts expressed in terms of probability".)
"""

import math
from dataclasses import dataclass

from prediction.errors import PredictionError
from prediction.qos import Measured


@dataclass(slots=True)
class _Errors:
    count: int = 0
    absolute: float = 0.0
    signed: float = 0.0
    actual: float = 0.0

    def add(self, predicted: float, actual: float) -> None:
        self.count += 1
        self.absolute += abs(predicted - actual)
        self.signed += predicted - actual
        self.actual += abs(actual)

    def summary(self, name: str) -> dict[str, float]:
        return {
            f"{name}_mae": _ratio(self.absolute, self.count),
            f"{name}_nmae": _ratio(self.absolute, self.actual),
            f"{name}_bias": _ratio(self.signed, self.count),
        }


class ErrorMeter:
    """Streaming errors of latency and cost, and of quality as a probability; constant memory.

    `quality_threshold` is the measured quality from which an answer counts as good, the same as the predictor's.

    Raises:
        PredictionError: the threshold is not in [0, 1].
    """

    def __init__(self, *, quality_threshold: float = 0.5) -> None:
        if not 0.0 <= quality_threshold <= 1.0:
            raise PredictionError(f"`quality_threshold` must lie in [0, 1], not {quality_threshold}.")
        self._threshold = quality_threshold
        self._latency = _Errors()
        self._cost = _Errors()
        self._judged = 0
        self._squared = 0.0
        self._right = 0

    def update(self, latency: float, cost: float, quality: float, measured: Measured) -> None:
        """Score one prediction (seconds, credits, probability) against what was then measured.

        Quality is scored only where it was measured.

        Raises:
            PredictionError: a prediction is not finite.
        """
        if not all(map(math.isfinite, (latency, cost, quality))):
            raise PredictionError(f"predictions must be finite, not {latency=}, {cost=}, {quality=}.")
        self._latency.add(latency, measured.latency_s)
        self._cost.add(cost, measured.cost)
        if measured.quality is not None:
            good = measured.quality >= self._threshold
            self._judged += 1
            self._squared += (quality - good) ** 2
            self._right += (quality >= 0.5) == good

    def summary(self) -> dict[str, float]:
        """Counts and errors so far; `nan` where there is nothing to divide by.

        Keys: `count`; `latency_mae`, `latency_nmae`, `latency_bias`; the same for `cost`; `quality_count`,
        `quality_brier`, `quality_accuracy`.
        """
        return {
            "count": float(self._latency.count),
            **self._latency.summary("latency"),
            **self._cost.summary("cost"),
            "quality_count": float(self._judged),
            "quality_brier": _ratio(self._squared, self._judged),
            "quality_accuracy": _ratio(self._right, self._judged),
        }


def _ratio(total: float, by: float) -> float:
    return total / by if by else math.nan
