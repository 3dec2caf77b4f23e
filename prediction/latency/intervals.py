"""How far off a prediction may be: online conformal intervals, and the chance that a deadline is kept.

A prediction p of what turned out y has the score (y - p) / (p + offset). An interval holds the scores between two order
statistics of the last ones seen (split conformal prediction: Papadopoulos, Proedrou, Vovk and Gammerman, 2002,
"Inductive confidence machines for regression"; Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, 2018). Which two is
adapted to how often intervals missed of late (Gibbs and Candes, 2021, "Adaptive conformal inference under distribution
shift", whose long-run coverage holds for every sequence, however it was chosen).
"""

import math
from bisect import bisect_left, insort
from collections import deque
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prediction.errors import PredictionError

Floats = NDArray[np.float64]

#: Spread of ln(y / p) assumed before anything is known: nine in ten within a factor of 3.4.
PRIOR_SPREAD = 0.75
#: Scores that the prior counts as; each one measured takes the place of one.
PRIOR_SCORES = 20


class ConformalIntervals:
    """Intervals that hold the actual value with probability `coverage`, whatever predicts and however it drifts.

    Args:
        coverage: wanted share of values within their intervals, in (0, 1).
        window: scores remembered, pooled over all that is predicted.
        rate: step of the adaptation, gamma of Gibbs and Candes; 0 turns it off. Larger holds the coverage in shorter
            stretches, for wider intervals (with `issued`, stretches of 300 stayed within .87 and .93 at .03).
        offset: added to a prediction before errors are taken relative to it, in its unit: what makes errors of small
            predictions comparable.

    Raises:
        PredictionError: a parameter is out of range.

    Until `PRIOR_SCORES` values were learnt, a wide prior stands in for those missing: y = p exp(`PRIOR_SPREAD` z).

    Example:
        >>> intervals = ConformalIntervals(rate=0.0)
        >>> for k in range(100):
        ...     intervals.learn(100.0, 37 * k % 100)
        >>> low, high = intervals.interval(100.0)
        >>> round(float(low)), round(float(high))
        (4, 95)
        >>> intervals.chance_within(100.0, [0.0, 50.0, float("inf")]).round(1)
        array([0. , 0.5, 1. ])
    """

    def __init__(self, *, coverage: float = 0.9, window: int = 500, rate: float = 0.03, offset: float = 0.1) -> None:
        if not 0.0 < coverage < 1.0:
            raise PredictionError(f"`coverage` must lie strictly between 0 and 1, not {coverage}.")
        if window < PRIOR_SCORES:
            raise PredictionError(f"`window` must be at least {PRIOR_SCORES}, not {window}.")
        if not (0.0 <= rate < 1.0 and math.isfinite(offset) and offset > 0.0):
            raise PredictionError(f"expected 0 <= rate < 1 and offset > 0, not {rate=}, {offset=}.")
        self._missed = self._aimed = 1.0 - coverage
        self._rate = rate
        self._offset = offset
        self._window: deque[float] = deque(_prior(), maxlen=window)
        self._sorted = sorted(self._window)
        self._from_prior = PRIOR_SCORES

    def interval(self, predicted: ArrayLike) -> tuple[Floats, Floats]:
        """Where the actual values of predictions (any shape, at least 0) will be: `(low, high)`, at least 0.

        Raises:
            PredictionError: a prediction is negative or not finite.
        """
        p = self._checked(predicted)
        low, high = self._bounds()
        scale = p + self._offset
        return np.maximum(p + low * scale, 0.0), np.maximum(p + high * scale, 0.0)

    def chance_within(self, predicted: ArrayLike, limits: ArrayLike) -> Floats:
        """Probability that the actual value is at most the limit, elementwise; both of any shapes that broadcast.

        An infinite limit is kept for sure. Limits may be negative, and are then missed.

        Raises:
            PredictionError: a prediction is negative or not finite, or a limit is not a number.
        """
        p, limit = self._checked(predicted), np.asarray(limits, np.float64)
        if np.isnan(limit).any():
            raise PredictionError("limits must be numbers or infinite, not nan.")
        scores = (limit - p) / (p + self._offset)
        within = np.searchsorted(np.array(self._sorted), scores, side="right") / len(self._sorted)
        return np.where(limit < 0.0, 0.0, within)

    def learn(self, predicted: float, actual: float, issued: tuple[float, float] | None = None) -> None:
        """Learn what came of a prediction.

        `issued` is the interval that was given for it, where the caller has kept it: with many predictions open at
        once the coverage is held more closely than by today's interval of the same prediction, taken otherwise.

        Raises:
            PredictionError: either is negative or not finite.
        """
        p, y = float(predicted), float(actual)
        if not (0.0 <= p < math.inf and 0.0 <= y < math.inf):
            raise PredictionError("predictions and actual values must be finite and at least 0.")
        score = (y - p) / (p + self._offset)
        low, high = self._bounds()
        held = low <= score <= high if issued is None else issued[0] <= y <= issued[1]
        self._missed += self._rate * (self._aimed - (not held))
        if self._from_prior:
            self._from_prior -= 1
            # The widest go first: what was measured soon says more of the tails.
            self._forget(self._window.popleft())
        elif len(self._window) == self._window.maxlen:
            self._forget(self._window.popleft())
        self._window.append(score)
        insort(self._sorted, score)

    def _forget(self, score: float) -> None:
        del self._sorted[bisect_left(self._sorted, score)]

    def _bounds(self) -> tuple[float, float]:
        """The scores that an interval lies between now: equally many beyond either."""
        tail = min(max(self._missed, 0.0), 1.0) / 2.0
        return self._order(tail), self._order(1.0 - tail)

    def _order(self, level: float) -> float:
        """Order statistic at rank `level (n + 1)`, linear between two; beyond the extremes, half as far again."""
        scores, rank = self._sorted, level * (len(self._sorted) + 1) - 1.0
        below = math.floor(rank)
        if below < 0:
            return scores[0] - 0.5 * abs(scores[0])
        if below >= len(scores) - 1:
            return scores[-1] + (0.5 * abs(scores[-1]) if rank > len(scores) - 1 else 0.0)
        return scores[below] + (rank - below) * (scores[below + 1] - scores[below])

    @staticmethod
    def _checked(values: ArrayLike) -> Floats:
        array = np.asarray(values, np.float64)
        if array.size and not (array.min() >= 0.0 and np.isfinite(array.max())):
            raise PredictionError("predictions and actual values must be finite and at least 0.")
        return array


def _prior() -> list[float]:
    """Quantiles of exp(spread z) - 1, from the outermost inwards."""
    normal = NormalDist(0.0, PRIOR_SPREAD)
    levels = [(k + 0.5) / PRIOR_SCORES for k in range(PRIOR_SCORES)]
    return [math.exp(normal.inv_cdf(level)) - 1.0 for level in sorted(levels, key=lambda level: -abs(level - 0.5))]
