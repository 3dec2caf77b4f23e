"""Axes: from where to where, which numbers stand below them, and how a number is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

#: A minus sign; a hyphen is shorter than a plus.
MINUS = "−"
#: Room beyond the outermost end, as a share of the span.
_ROOM = 0.05
#: A scale that comes this near to nothing begins there.
_NEAR_NOTHING = 0.35


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`, with `ticks` between them."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Where a number lies, 0 at `low` and 1 at `high`."""
        if self.log:
            return (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return (value - self.low) / (self.high - self.low)


def axis(numbers: Sequence[float], most_ticks: int, line: float | None = None, log: bool = False) -> Axis:
    """An axis that holds these numbers, and the line where there is one.

    Args:
        numbers: finite, above 0 if `log`; none is an axis from 0 to 1.
        most_ticks: how many numbers there is room for below it, at least 2.

    >>> axis([3.0, 9.5], 5).ticks
    (0.0, 2.0, 4.0, 6.0, 8.0)
    """
    given = [*numbers, *([] if line is None else [line])] or [0.0, 1.0]
    if log:
        first, last = floor(log10(min(given))), ceil(log10(max(given)))
        last += first == last
        apart = ceil((last - first) / (most_ticks - 1))
        return Axis(10.0**first, 10.0**last, tuple(10.0**k for k in range(first, last + 1, apart)), log=True)
    low, high = min(given), max(given)
    if line is None and 0 < low < _NEAR_NOTHING * high:
        low = 0.0
    span = high - low or abs(high) or 1.0
    # Nothing lies beyond zero, unless all is zero.
    low, high = low - _ROOM * span * (low != 0), high + _ROOM * span * (high != 0 or low == 0)
    for multiple in (1, 2, 5, 10, 20, 50, 100):
        # The largest power of ten at which the step could be too small, then 1, 2, 5 of it.
        step = multiple * 10.0 ** floor(log10((high - low) / (10 * most_ticks)))
        ticks = tuple(step * k for k in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1))
        if len(ticks) <= most_ticks:
            break
    return Axis(low, high, ticks)


def written(number: float, decimals: int, signed: bool = False) -> str:
    """So many digits behind the point, and no zero before it, as tables have it.

    >>> written(1234.5, 0), written(-0.256, 2), written(0.5, 1, signed=True), written(-0.01, 1), written(7.0, 1)
    ('1,234', '−.26', '+.5', '0', '7.0')
    """
    text = f"{abs(number):,.{decimals}f}"
    if not text.strip("0."):
        return "0"
    text = text.removeprefix("0") if text.startswith("0.") else text
    return (MINUS if number < 0 else "+" if signed else "") + text


def decimals(numbers: Sequence[float], figures: int = 3) -> int:
    """Digits behind the point that show so many figures of the greatest number.

    >>> decimals([230.0, 1.5]), decimals([2.3]), decimals([])
    (0, 2, 0)
    """
    greatest = max(map(abs, numbers), default=0.0)
    return max(0, figures - 1 - floor(log10(greatest))) if greatest else 0


def digits(ticks: Sequence[float]) -> int:
    """Digits behind the point without which two ticks would read alike, or one as what it is not.

    >>> digits([0.0, 0.5, 1.0]), digits([0, 20, 40]), digits([0.1, 1, 10])
    (1, 0, 1)
    """
    return next((k for k in range(12) if all(abs(round(tick, k) - tick) <= 1e-6 * abs(tick) for tick in ticks)), 12)
