"""Whether an engine has become slower or faster than it was, and by how much.

A two-sided cumulative sum of standardised log-ratios (Page, 1954, "Continuous inspection schemes"), which neither a
single absurd sample nor steady noise sets off, and which a change of speed by half does within some ten samples.

Who is believed slow is given nothing to show otherwise with. So a belief that nobody has tested for a while fades until
a few samples have told it anew; each time they tell the same again, the next fading waits twice as long.
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
# Seconds without a sample after which a factor begins to fade, and in which it loses half of its logarithm: at first,
# and at most. Two factors closer than this are the same, found again.
_FADES_S, _FADES_LAST_S = 60.0, 3600.0
_SAME = math.log(1.5)
# A guessed moment says nothing of changes smaller than this.
_GUESSED = math.log(4.0)


class SpeedChanges:
    """Compares how long an engine's steps took with what was expected of them.

    `factor` is how many times as long as others of its model the engine takes, by all changes found so far: 1 at first.
    `at` is what is left of it when nothing was observed for a minute and more.

    Example:
        >>> changes = SpeedChanges()
        >>> any(changes.observe(1.0, at_s) for at_s in range(20))
        False
        >>> [changes.observe(2.0, at_s) for at_s in range(20, 24)]
        [False, False, False, True]
        >>> [round(changes.at(now_s), 2) for now_s in (24, 83, 143, 900)]
        [2.0, 2.0, 1.41, 1.0]
    """

    __slots__ = ("_deviation", "_down", "_faded", "_fades_s", "_last_s", "_recent", "_seen", "_up", "factor", "found")

    def __init__(self) -> None:
        self.factor = 1.0
        self.found = 0
        self._seen = 0
        self._deviation = sum(_DEVIATIONS) / 2
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._up = self._down = (0.0, 0)
        self._last_s, self._fades_s = -math.inf, _FADES_S
        # The factor that a fading began with.
        self._faded: float | None = None

    def at(self, now_s: float) -> float:
        """The factor, as far as it has not faded by then."""
        if now_s <= self.lasts_s():
            return self.factor
        left: float = 0.5 ** ((now_s - self.lasts_s()) / self._fades_s)
        return float(self.factor**left)

    def lasts_s(self) -> float:
        """Until when the factor holds if nothing is observed."""
        return math.inf if self.factor == 1.0 else self._last_s + self._fades_s

    def observe(self, ratio: float, at_s: float, *, guessed: bool = False) -> bool:
        """A step took `ratio` times (more than 0) what `at` made expect; True if the factor has changed now.

        `guessed`: when its first token came is not known but to an order of magnitude.
        """
        factor = self.at(at_s)
        if factor != self.factor:
            self._faded, self.factor = self._faded or self.factor, factor
        self._last_s = max(self._last_s, at_s)
        self._seen += 1
        if self._seen <= _FIRST:
            return False
        self._recent.append(ratio)
        logarithm = math.log(ratio)
        if guessed:
            logarithm = math.copysign(max(abs(logarithm) - _GUESSED, 0.0), logarithm)
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
        again = self._faded is not None and abs(math.log(self.factor / self._faded)) < _SAME
        self._fades_s = min(2.0 * self._fades_s, _FADES_LAST_S) if again else _FADES_S
        self._faded = None
        self.found += 1
        self._recent.clear()
        self._up = self._down = (0.0, 0)


def _add(sums: tuple[float, int], score: float) -> tuple[float, int]:
    """Page's cumulative sum, and the number of samples since it last was 0."""
    total = sums[0] + score - _DRIFT
    return (total, sums[1] + 1) if total > 0.0 else (0.0, 0)
