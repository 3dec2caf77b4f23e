"""When dialogues or requests begin: at random, in bursts, at given times, or all at once.

    Poisson(2.0).starts(3, seed=0)
    Bursts(2.0, burst=5.0).starts(1000, seed=0)

Each is the same on every machine for the same seed; times are seconds from the start of the run and never decrease.
"""

import random
from dataclasses import dataclass
from math import inf, isfinite
from typing import Protocol, runtime_checkable

from experiments.errors import StudyError


@runtime_checkable
class Arrivals(Protocol):
    """A process of starts."""

    def starts(self, count: int, seed: int) -> tuple[float, ...]:
        """The first `count` starts.

        Raises:
            StudyError: `count` is negative, or there are not so many.
        """
        ...


@dataclass(frozen=True, slots=True)
class Closed:
    """All begin at 0: only the engines' speed paces them."""

    def starts(self, count: int, seed: int) -> tuple[float, ...]:
        """Zeros; see `Arrivals`."""
        return (0.0,) * _checked(count)


@dataclass(frozen=True, slots=True)
class Poisson:
    """Whoever comes knows nothing of others: exponential gaps, `rate` a second on average.

    Raises:
        StudyError: the rate is not positive and finite.
    """

    rate: float

    def __post_init__(self) -> None:
        _positive(rate=self.rate)

    def starts(self, count: int, seed: int) -> tuple[float, ...]:
        """See `Arrivals`."""
        source = random.Random(seed)
        now, found = 0.0, []
        for _ in range(_checked(count)):
            now += source.expovariate(self.rate)
            found.append(now)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Bursts:
    """A Poisson process whose rate is high in bursts and low between them.

    Bursts and the times between them have exponential lengths of `on_s` and `off_s` on average, so that a share
    `on_s / (on_s + off_s)` of the time is burst. In it `burst` times `rate` come a second; between bursts so few that
    the average over a long time is `rate`. The first moment is in a burst as often as any other.
    Source: Fischer and Meier-Hellstern, "The Markov-modulated Poisson process (MMPP) cookbook", 1993.

    Raises:
        StudyError: a number is not positive and finite, `burst` is below 1, or bursts alone come to more than `rate`.
    """

    rate: float
    burst: float = 5.0
    on_s: float = 10.0
    off_s: float = 60.0

    def __post_init__(self) -> None:
        _positive(rate=self.rate, burst=self.burst, on_s=self.on_s, off_s=self.off_s)
        if self.burst < 1 or self.burst * self._share > 1:
            raise StudyError(
                f"burst = {self.burst:g}: with {self.on_s:g} s of {self.on_s + self.off_s:g} s in bursts it must be "
                f"from 1 to {1 / self._share:g}, or bursts alone would exceed the rate"
            )

    @property
    def _share(self) -> float:
        return self.on_s / (self.on_s + self.off_s)

    def starts(self, count: int, seed: int) -> tuple[float, ...]:
        """See `Arrivals`."""
        source = random.Random(seed)
        quiet = self.rate * max(0.0, 1 - self.burst * self._share) / (1 - self._share)
        on = source.random() < self._share
        now, found = 0.0, []
        change = source.expovariate(1 / (self.on_s if on else self.off_s))
        for _ in range(_checked(count)):
            while True:
                rate = self.rate * self.burst if on else quiet
                # Exponential gaps have no memory, so that one cut off by a change may be drawn anew.
                following = now + source.expovariate(rate) if rate > 0 else inf
                if following <= change:
                    break
                now, on = change, not on
                change = now + source.expovariate(1 / (self.on_s if on else self.off_s))
            now = following
            found.append(now)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class AtTimes:
    """Given times, such as a trace's.

    Raises:
        StudyError: one is negative, not finite, or before the one that it follows.
    """

    times: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", tuple(map(float, self.times)))
        before = 0.0
        for k, time in enumerate(self.times):
            if not isfinite(time) or time < before:
                raise StudyError(f"times[{k}] = {time:g} s; expected a finite time, at {before:g} s or later")
            before = time

    def starts(self, count: int, seed: int) -> tuple[float, ...]:
        """The first of the given times, whatever the seed; see `Arrivals`."""
        if _checked(count) > len(self.times):
            raise StudyError(
                f"{count} starts are asked for, and {len(self.times)} times given; give more, or ask fewer"
            )
        return self.times[:count]


def _checked(count: int) -> int:
    if count < 0:
        raise StudyError(f"{count} starts are asked for; the number must not be negative")
    return count


def _positive(**given: float) -> None:
    for name, value in given.items():
        if not (isfinite(value) and value > 0):
            raise StudyError(f"{name} = {value:g}; expected a positive number")
