"""Whether an engine has become slower or faster than it was, and by how much.

A two-sided cumulative sum of standardised log-ratios (Page, 1954, "Continuous inspection schemes"), which neither a
single absurd sample nor steady noise sets off, and which a change of speed by half does within some ten samples.
"""

import math
from collections import deque
from statistics import median

# In deviations: what a sample must exceed to count, what the sum must exceed, and how far one sample counts.
_DRIFT = 1.0
_ALARM = 9.0
_MOST = 3.5
# The deviation of ln(actual / expected): bounds, and how fast it is learnt.
_DEVIATIONS = (0.08, 0.35)
_SLOWLY = 0.03
# Samples before the first alarm, and the most that a change is measured by.
_FIRST = 8
_RECENT = 16


class SpeedChanges:
    """Compares how long an engine's steps took with what was expected of them.

    `factor` is how many times as long as others of its model the engine takes, by all changes found so far: 1 at first.

    Example:
        >>> changes = SpeedChanges()
        >>> any(changes.observe(1.0) for _ in range(20))
        False
        >>> [changes.observe(2.0) for _ in range(4)]
        [False, False, False, True]
        >>> changes.factor
        2.0
    """

    __slots__ = ("_deviation", "_down", "_recent", "_seen", "_up", "factor", "found")

    def __init__(self) -> None:
        self.factor = 1.0
        self.found = 0
        self._seen = 0
        self._deviation = sum(_DEVIATIONS) / 2
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._up = self._down = (0.0, 0)

    def observe(self, ratio: float) -> bool:
        """A step took `ratio` times (more than 0) what `factor` made expect; True if the factor has changed now."""
        self._seen += 1
        if self._seen <= _FIRST:
            return False
        self._recent.append(ratio)
        logarithm = math.log(ratio)
        score = min(max(logarithm / self._deviation, -_MOST), _MOST)
        # The mean of |z| is about 4/5 of a deviation; what is far off counts as little.
        spread = 1.25 * min(abs(logarithm), 2.0 * self._deviation)
        least, most = _DEVIATIONS
        self._deviation = min(max(self._deviation + _SLOWLY * (spread - self._deviation), least), most)
        self._up, self._down = _add(self._up, score), _add(self._down, -score)
        for total, length in (self._up, self._down):
            if total > _ALARM:
                self._change(median(list(self._recent)[-length:]))
                return True
        return False

    def _change(self, times: float) -> None:
        self.factor *= times
        self.found += 1
        self._recent.clear()
        self._up = self._down = (0.0, 0)


def _add(sums: tuple[float, int], score: float) -> tuple[float, int]:
    """Page's cumulative sum, and the number of samples since it last was 0."""
    total = sums[0] + score - _DRIFT
    return (total, sums[1] + 1) if total > 0.0 else (0.0, 0)
