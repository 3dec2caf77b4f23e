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
    Where the other's welfare is nothing, `share` and its interval are NaN.
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
    if len(one) == 0 or [len(row) for row in one] != [len(row) for row in other]:
        raise StudyError(f"{len(one)} and {len(other)} seeds, whose conversations must match, cannot be compared")
    first, second = [np.array(row) for row in one], [np.array(row) for row in other]
    rng = np.random.default_rng(seed)
    gain = sum(row.sum() for row in first) - sum(row.sum() for row in second)
    base = abs(sum(row.sum() for row in second))
    gains = np.zeros(_DRAWS)
    # (_DRAWS, S) how often each resample has each seed; its conversations are drawn anew each time.
    times = rng.multinomial(len(first), np.full(len(first), 1 / len(first)), size=_DRAWS)
    for row, count in zip((mine - their for mine, their in zip(first, second, strict=True)), times.T, strict=True):
        sums = row[rng.integers(row.size, size=(count.sum(), row.size))].sum(axis=1)
        gains += np.bincount(np.repeat(np.arange(_DRAWS), count), sums, minlength=_DRAWS)
    tail = min(float((gains <= 0).mean()), float((gains >= 0).mean()))
    wins = sum(mine.sum() > their.sum() for mine, their in zip(first, second, strict=True))
    share, low, high = np.array([gain, *np.quantile(gains, [0.025, 0.975])]) / base if base else (np.nan,) * 3
    chance = min(max(2 * tail, 1 / _DRAWS), 1.0)
    return Difference(float(share), float(low), float(high), chance, int(wins), len(first))


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
