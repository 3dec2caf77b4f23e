"""Who competes in the arena, by name; each is made anew for a run from its seed."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.routers.catalogue import INFORMED, PLAIN, Make, policies
from experiments.worlds.fleets import SimulatedAgent
from mechanisms import find_mechanism
from runtime import Auction, Offer
from runtime.policies.forecast import Forecaster
from runtime.policies.skill import PooledSkill


def rivals(fleet: Sequence[SimulatedAgent]) -> dict[str, Make]:
    """Who plays: the auction, its rivals, and last an oracle that is told the true skills."""
    names = ("iemas", "paper-auction", *INFORMED, *PLAIN[:6])
    known = policies(find_mechanism("vcg"))
    found = {name: known[name] for name in names}
    found["oracle"] = lambda seed: Auction(find_mechanism("vcg"), oracle(fleet), name="oracle")
    return found


def everybody(fleet: Sequence[SimulatedAgent]) -> dict[str, Make]:
    """Whoever may play by name: all policies that ship, the oracle, the ablations."""
    return {**policies(find_mechanism("vcg")), **rivals(fleet), **ablations()}


def ablations() -> dict[str, Make]:
    """The auction without each of its terms, and without all of them."""
    terms = ("congestion", "continuation", "exploration", "gathering")

    def without(*names: str) -> Make:
        return lambda seed: Auction(find_mechanism("vcg"), without=names)

    found = {f"iemas without {name}": without(name) for name in terms}
    found["iemas without any"] = without(*terms)
    found["iemas, no price prior"] = lambda seed: Auction(find_mechanism("vcg"), unpriced)
    return found


def unpriced() -> Forecaster:
    """A forecaster that takes no price for a sign of quality."""
    return Forecaster(lambda agents: PooledSkill(agents, signal=0.0))


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
