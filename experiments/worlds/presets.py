"""Named constants of a demonstration: what bidders are like, what tokens cost, when rounds close."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import erf, sqrt

import numpy as np

from experiments.errors import StudyError
from experiments.routers.catalogue import load_own
from mechanisms import Preferences
from mechanisms.rules.paper import PAPER
from prediction import TokenPrices
from runtime import RoundRules

_USUAL = RoundRules()


@dataclass(frozen=True, slots=True)
class Preset:
    """`draw` makes a bidder's preferences, in words by `description`; `prices` None takes each engine's own list."""

    draw: Callable[[np.random.Generator], Preferences]
    description: str
    prices: TokenPrices | None = None
    window_s: float = _USUAL.window_s
    max_batch: int = _USUAL.max_batch
    bidders: int = 12
    #: Prompts that an engine is given at a time, for every policy alike; None for all at once.
    depth: int | None = 1

    def rounds(self, slots: int | None) -> RoundRules:
        """The rules of rounds, where each agent may serve `slots` requests at once; None: as many as its engine can."""
        return RoundRules(window_s=self.window_s, max_batch=self.max_batch, slots=slots, depth=self.depth)


def _varied(rng: np.random.Generator) -> Preferences:
    return Preferences.paper(float(rng.uniform(0.5, 0.95)))


#: Credits of worth of a right answer, and credits of cost a second of delay, between which bidders who differ lie.
WORTHS = (2.0, 500.0)
DELAY_COSTS = (0.05, 30.0)


def differing(correlation: float = 0.0) -> Callable[[np.random.Generator], Preferences]:
    """Draws bidders whose worth and delay cost are log-uniform, and go together as a Gaussian copula says.

    Args:
        correlation: of the copula, in [-1, 1].

    Raises:
        StudyError: it is no such number.
    """
    if not -1.0 <= correlation <= 1.0:
        raise StudyError(f"correlation = {correlation}; expected a number in [-1, 1]")

    def draw(rng: np.random.Generator) -> Preferences:
        one, other = rng.standard_normal(2)
        other = correlation * one + sqrt(1 - correlation**2) * other
        shares = [(1 + erf(z / sqrt(2))) / 2 for z in (one, other)]
        worth, delay = (low * (high / low) ** at for at, (low, high) in zip(shares, (WORTHS, DELAY_COSTS), strict=True))
        return Preferences(worth, delay)

    return draw


def _published(rng: np.random.Generator) -> Preferences:
    return PAPER.preferences()


#: The public code prices every token at 1, cached or not, and counts `cost_scale` credits for each unit of cost.
PRESETS: dict[str, Preset] = {
    "differing": Preset(
        differing(),
        f"bidders who differ: worth of a right answer log-uniform in [{WORTHS[0]:g}, {WORTHS[1]:g}] credits, cost of a "
        f"second's delay in [{DELAY_COSTS[0]:g}, {DELAY_COSTS[1]:g}]",
        bidders=40,
    ),
    "varied": Preset(_varied, "paper's form, weight of quality uniform in [0.5, 0.95] per bidder"),
    "paper": Preset(
        _published,
        f"published: {PAPER.weight:g} * {PAPER.worth:g} * quality - {1 - PAPER.weight:g} * {PAPER.delay_cost:g} * "
        f"seconds for every bidder; {PAPER.cost_scale:g} credits per token, cached or not",
        TokenPrices(PAPER.cost_scale, PAPER.cost_scale, PAPER.cost_scale),
        PAPER.window_s,
        PAPER.batch,
        depth=None,
    ),
}


def find_preset(name: str, preferences: str | None = None, correlation: float = 0.0) -> Preset:
    """The preset of this name, with bidders of yours where `preferences` names them, such as `mine:draw`.

    Args:
        correlation: of worth and delay cost where bidders differ, as in `differing`.

    Raises:
        StudyError: there is no such preset, what is named draws no `Preferences`, or bidders have no correlation that
            could be set.
    """
    if name not in PRESETS:
        raise StudyError(f"no preset {name!r}; there are: {', '.join(PRESETS)}")
    if correlation:
        if name != "differing" or preferences is not None:
            raise StudyError("a correlation is of the bidders that preset 'differing' draws, and of no others")
        words = f"{PRESETS[name].description}, correlated {correlation:g} (Gaussian copula)"
        return replace(PRESETS[name], draw=differing(correlation), description=words)
    if preferences is None:
        return PRESETS[name]
    draw = load_own(preferences)
    wanted = f"{preferences} draws no Preferences"
    if not callable(draw):
        raise StudyError(f"{wanted}: it is a {type(draw).__name__}; give a function of a numpy Generator")
    try:
        drawn = draw(np.random.default_rng(0))
    except Exception as error:
        raise StudyError(f"{wanted}: it raises {type(error).__name__}: {error}") from error
    if not isinstance(drawn, Preferences):
        raise StudyError(f"{wanted}: it returns {drawn!r}; return mechanisms.Preferences")
    return replace(PRESETS[name], draw=draw, description=f"drawn by {preferences}")
