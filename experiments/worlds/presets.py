"""Named constants of a demonstration: what bidders are like, what tokens cost, when rounds close."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from experiments.errors import StudyError
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

    def rounds(self, slots: int) -> RoundRules:
        """The rules of rounds, where each agent may serve `slots` requests at once."""
        return RoundRules(window_s=self.window_s, max_batch=self.max_batch, slots=slots)


def _varied(rng: np.random.Generator) -> Preferences:
    return Preferences.paper(float(rng.uniform(0.5, 0.95)))


def _published(rng: np.random.Generator) -> Preferences:
    return PAPER.preferences()


#: The public code prices every token at 1, cached or not, and counts `cost_scale` credits for each unit of cost.
PRESETS: dict[str, Preset] = {
    "varied": Preset(_varied, "paper's form, weight of quality uniform in [0.5, 0.95] per bidder"),
    "paper": Preset(
        _published,
        f"published: {PAPER.weight:g} * {PAPER.worth:g} * quality - {1 - PAPER.weight:g} * {PAPER.delay_cost:g} * "
        f"seconds for every bidder; {PAPER.cost_scale:g} credits per token, cached or not",
        TokenPrices(PAPER.cost_scale, PAPER.cost_scale, PAPER.cost_scale),
        PAPER.window_s,
        PAPER.batch,
    ),
}


def find_preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        StudyError: there is none.
    """
    if name not in PRESETS:
        raise StudyError(f"no preset {name!r}; there are: {', '.join(PRESETS)}")
    return PRESETS[name]
