"""`Histogram`: counts in buckets, cheap to add to."""

from bisect import bisect_left
from collections.abc import Sequence

#: Upper bounds in seconds, as vLLM has them for the time to the first token and for the whole answer.
FIRST_TOKEN_S = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0,
    640.0, 2560.0,
)  # fmt: skip
LATENCY_S = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
)  # fmt: skip
#: Of a round's deciding.
DECIDE_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Histogram:
    """Observations in buckets.

    Args:
        bounds: the buckets' upper bounds, ascending; one more bucket takes what is above.

    Example:
        >>> seen = Histogram((1.0, 2.0))
        >>> for seconds in (0.5, 1.0, 3.0):
        ...     seen.add(seconds)
        >>> seen.cumulative(), seen.total
        ([('1.0', 2), ('2.0', 2), ('+Inf', 3)], 4.5)
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one; a bucket holds its upper bound."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, int]]:
        """Each upper bound as Prometheus writes it, and how many were at most it."""
        found, so_far = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            so_far += count
            found.append((bound, so_far))
        return found
