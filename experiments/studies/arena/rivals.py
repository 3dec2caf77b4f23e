"""Who competes in the arena, by name; each is made anew for a run from its seed."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.routers.catalogue import INFORMED, PLAIN, Make, policies
from experiments.studies.arena.warm_up import Lesson, MakeQuality, taught
from experiments.worlds.traffic.agents import SimulatedAgent
from mechanisms import find_mechanism
from runtime import Auction, Offer
from runtime.policies.forecast import Forecaster
from runtime.policies.skill import PooledSkill


def rivals(fleet: Sequence[SimulatedAgent], warm_up: Sequence[Lesson] = ()) -> dict[str, Make]:
    """Who plays: the auction, its rivals, and last an oracle that is told the true skills.

    Args:
        warm_up: what the auction and its informed rivals have learnt of the agents before.
    """
    names = ("iemas", "paper-auction", *INFORMED, *PLAIN[:6])
    known = policies(find_mechanism("vcg"), _warm(warm_up))
    found = {name: known[name] for name in names}
    found["oracle"] = lambda seed: Auction(find_mechanism("vcg"), oracle(fleet), name="oracle")
    return found


def everybody(fleet: Sequence[SimulatedAgent], warm_up: Sequence[Lesson] = ()) -> dict[str, Make]:
    """Whoever may play by name: all policies that ship, the oracle, the ablations."""
    return {**policies(find_mechanism("vcg"), _warm(warm_up)), **rivals(fleet, warm_up), **ablations(warm_up)}


def ablations(warm_up: Sequence[Lesson] = ()) -> dict[str, Make]:
    """The auction without each of its terms, and without all of them."""
    terms = ("congestion", "continuation", "exploration", "gathering")

    def without(*names: str) -> Make:
        return lambda seed: Auction(find_mechanism("vcg"), _warm(warm_up), without=names)

    found = {f"iemas without {name}": without(name) for name in terms}
    found["iemas without any"] = without(*terms)
    found["iemas, no price prior"] = lambda seed: Auction(find_mechanism("vcg"), unpriced(warm_up))
    return found


def unpriced(warm_up: Sequence[Lesson] = ()) -> Callable[[], Forecaster]:
    """A forecaster that takes no price for a sign of quality."""
    return _warm(warm_up, lambda agents: PooledSkill(agents, signal=0.0))


def _warm(warm_up: Sequence[Lesson], quality: MakeQuality = PooledSkill) -> Callable[[], Forecaster]:
    return lambda: Forecaster(taught(warm_up, quality))


def oracle(fleet: Sequence[SimulatedAgent]) -> Callable[[], Forecaster]:
    """A forecaster that is told each agent's true skill."""
    skills = np.array([agent.skill for agent in fleet])
    return lambda: Forecaster(lambda agents: Told(skills))


class Told:
    """A quality model that knows."""

    def __init__(self, skills: NDArray[np.float64]) -> None:
        self._skills = skills

    def predict(self, offers: Sequence[Offer]) -> NDArray[np.float64]:
        """(N, M) the true chances."""
        return np.broadcast_to(self._skills, (len(offers), self._skills.size))

    def doubt(self) -> NDArray[np.float64]:
        """(M,) none."""
        return np.zeros(self._skills.size)

    def learn(self, offer: Offer, agent: int, right: bool | None) -> None:
        """Nothing to learn."""
