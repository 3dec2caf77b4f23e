"""How simulated bidders report: a `Behaviour` maps true preferences, and what happened so far, to reported ones.

Each is a pure function of its arguments and its seed, so a simulation that asks again gets the same answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, isfinite, log, sqrt
from typing import Protocol, runtime_checkable

import numpy as np

from allocation import Market
from mechanisms.errors import MechanismError
from mechanisms.mechanism import DirectMechanism
from mechanisms.preferences import Preferences

#: One past round: the utility, in micro-units, that each factor of a learner would have earned in it.
Round = Sequence[int]


def _check_factors(factors: Sequence[float]) -> None:
    if not factors:
        raise MechanismError("no factors; give at least one multiple of the truth, e.g. (0.5, 1.0)")
    for factor in factors:
        if not (isfinite(factor) and factor >= 0):
            raise MechanismError(f"factor {factor}; expected a finite number >= 0")


def _check_seed(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise MechanismError(f"seed = {seed!r}; expected an integer >= 0")


@runtime_checkable
class Behaviour(Protocol):
    """A way to report."""

    def report(self, true: Preferences, history: Sequence[Round] = ()) -> Preferences:
        """What to report, given the truth and the rounds so far, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Honest:
    """Reports the truth."""

    def report(self, true: Preferences, history: Sequence[Round] = ()) -> Preferences:
        """The true preferences."""
        return true


@dataclass(frozen=True, slots=True)
class Scaled:
    """Reports a fixed multiple of the truth; `AGGRESSIVE` and `CONSERVATIVE` are two of them.

    Raises:
        MechanismError: the factor is negative or not finite.

    Example:
        >>> Scaled(0.5).report(Preferences(worth=10.0, delay_cost=1.0))
        Preferences(worth=5.0, delay_cost=0.5, deadline=inf, stake=0.0)
    """

    factor: float

    def __post_init__(self) -> None:
        _check_factors((self.factor,))

    def report(self, true: Preferences, history: Sequence[Round] = ()) -> Preferences:
        """The true preferences, times the factor."""
        return scaled(true, self.factor)


AGGRESSIVE = Scaled(1.5)
CONSERVATIVE = Scaled(0.5)


@dataclass(frozen=True, slots=True)
class Erratic:
    """Reports a multiple of the truth drawn anew each round, uniform on [low, high].

    Raises:
        MechanismError: not 0 <= low <= high, or the seed is negative.
    """

    seed: int = 0
    low: float = 0.5
    high: float = 1.5

    def __post_init__(self) -> None:
        _check_factors((self.low, self.high))
        _check_seed(self.seed)
        if self.low > self.high:
            raise MechanismError(f"low = {self.low} exceeds high = {self.high}; swap them")

    def report(self, true: Preferences, history: Sequence[Round] = ()) -> Preferences:
        """The true preferences, times the round's draw."""
        return scaled(true, float(np.random.default_rng([self.seed, len(history)]).uniform(self.low, self.high)))


@dataclass(frozen=True, slots=True)
class Learner:
    """Hedge over scaling factors (Freund and Schapire 1997): no regret against the best of them in hindsight.

    Factor k is drawn with probability proportional to `exp(rate * utility so far / span)`. Over T rounds of utilities
    within a range of `span`, the expected total falls short of the best factor's by at most
    `span * sqrt(T * ln(K) / 2)` where `rate = sqrt(8 ln(K) / T)` (Cesa-Bianchi and Lugosi 2006, theorem 2.2). Full
    information: history holds what every factor would have earned, which `counterfactuals` computes.

    Args:
        factors: K multiples of the truth to choose among.
        horizon: T, which sets the rate.
        span: micro-units between the best and the worst utility of a round.
        seed: of the draws.

    Raises:
        MechanismError: no factor, one negative or not finite, or horizon or span < 1.
    """

    factors: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
    horizon: int = 100
    span: int = 1_000_000
    seed: int = 0

    def __post_init__(self) -> None:
        _check_factors(self.factors)
        _check_seed(self.seed)
        for name in ("horizon", "span"):
            if getattr(self, name) < 1:
                raise MechanismError(f"{name} = {getattr(self, name)}; expected at least 1")

    def report(self, true: Preferences, history: Sequence[Round] = ()) -> Preferences:
        """The true preferences, times the factor drawn for this round."""
        chances = self.chances(history)
        drawn = np.random.default_rng([self.seed, len(history)]).choice(len(self.factors), p=chances)
        return scaled(true, self.factors[drawn])

    def chances(self, history: Sequence[Round] = ()) -> tuple[float, ...]:
        """Probability of each factor in the next round.

        Raises:
            MechanismError: a round does not hold one utility per factor.
        """
        totals = [0] * len(self.factors)
        for number, earned in enumerate(history):
            if len(earned) != len(totals):
                raise MechanismError(
                    f"round {number} has {len(earned)} utilities for {len(totals)} factors; give one each"
                )
            totals = [total + int(utility) for total, utility in zip(totals, earned, strict=True)]
        rate, best = sqrt(8 * log(max(len(totals), 2)) / self.horizon), max(totals)
        weights = [exp(rate * (total - best) / self.span) for total in totals]
        return tuple(weight / sum(weights) for weight in weights)


def counterfactuals(
    mechanism: DirectMechanism, reported: Market, true_rows: np.ndarray, bidder: int, factors: Sequence[float]
) -> tuple[int, ...]:
    """What a bidder would have earned with each factor, the others reporting what they did; micro-units.

    Args:
        mechanism: run once per factor.
        reported: the market of the others' reports; the bidder's own rows in it are not read.
        true_rows: (K, M) the bidder's true values in micro-units.
        bidder: whose utility.
        factors: multiples of the truth.
    """
    mine = reported.requests_of(bidder)
    values = reported.values.copy()
    values[mine] = true_rows
    truth = reported.replace(values=values)
    earned = []
    for factor in factors:
        misreported = values.copy()
        misreported[mine] = np.rint(np.asarray(true_rows) * factor).astype(np.int64)
        earned.append(mechanism.run(reported.replace(values=misreported)).bidder_utilities(truth)[bidder])
    return tuple(earned)


def scaled(true: Preferences, factor: float) -> Preferences:
    """The preferences with worth and cost of delay both multiplied; a deadline stays what it is."""
    return replace(true, worth=true.worth * factor, delay_cost=true.delay_cost * factor)
