"""Differences between policies in one world, with intervals: paired by seed, resampled by seed and conversation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.errors import StudyError

_DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class Difference:
    """Welfare of one policy over another's, as a share of the other's: `share` with its 95 % interval.

    `chance` is the bootstrap's two-sided p-value of no difference (twice the smaller tail, at least 1 / draws).
    """

    share: float
    low: float
    high: float
    chance: float
    wins: int
    seeds: int

    @property
    def half_width(self) -> float:
        """Half the interval."""
        return (self.high - self.low) / 2

    def __str__(self) -> str:
        return f"{100 * self.share:+.1f} % [{100 * self.low:+.1f}, {100 * self.high:+.1f}], {self.wins}/{self.seeds}"


def compare(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]], seed: int = 0) -> Difference:
    """The difference between two policies that met the same conversations at the same seeds.

    Args:
        one, other: welfare by seed and conversation; S rows that match in length, pair by pair.
        seed: of the resampling.

    The cluster bootstrap of two stages (Davison and Hinkley 1997, section 3.8): seeds are drawn with replacement, then
    conversations within each.

    Raises:
        StudyError: there is no seed, or the rows do not match.
    """
    if not one or [len(row) for row in one] != [len(row) for row in other]:
        raise StudyError(f"{len(one)} and {len(other)} seeds, whose conversations must match, cannot be compared")
    first, second = [np.array(row) for row in one], [np.array(row) for row in other]
    rng = np.random.default_rng(seed)
    gain = sum(row.sum() for row in first) - sum(row.sum() for row in second)
    base = abs(sum(row.sum() for row in second))
    shares = np.empty(_DRAWS)
    for k in range(_DRAWS):
        ours = theirs = 0.0
        for s in rng.integers(len(first), size=len(first)):
            drawn = rng.integers(first[s].size, size=first[s].size)
            ours += first[s][drawn].sum()
            theirs += second[s][drawn].sum()
        shares[k] = (ours - theirs) / base if base else np.nan
    low, high = np.quantile(shares, [0.025, 0.975])
    tail = min(float((shares <= 0).mean()), float((shares >= 0).mean()))
    wins = sum(mine.sum() > their.sum() for mine, their in zip(first, second, strict=True))
    share = gain / base if base else float("nan")
    return Difference(share, float(low), float(high), max(2 * tail, 1 / _DRAWS), int(wins), len(first))


def holm(chances: Mapping[str, float], level: float = 0.05) -> dict[str, bool]:
    """Which of several differences hold together at `level` (Holm 1979)."""
    ordered = sorted(chances, key=chances.__getitem__)
    held: dict[str, bool] = {}
    going = True
    for k, name in enumerate(ordered):
        going = going and chances[name] <= level / (len(ordered) - k)
        held[name] = going
    return {name: held[name] for name in chances}


def normalised(totals: NDArray[np.float64], floor: NDArray[np.float64], ceiling: NDArray[np.float64]) -> float:
    """(W - floor) / (ceiling - floor), summed over seeds: 0 is the floor's welfare, 1 the ceiling's."""
    span = float((ceiling - floor).sum())
    return float((totals - floor).sum()) / span if span else float("nan")
