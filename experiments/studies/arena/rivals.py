"""Who competes in the arena, by name; each is made anew for a run from its seed."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.routers.informed import CMu, DecliningCacheAware, Tiers, greedy, posted
from experiments.routers.plain import CacheAware, baselines, best_single, sticky_best
from experiments.worlds.fleets import SimulatedAgent
from mechanisms import find_mechanism
from runtime import Auction, Offer, PaperAuction, Policy
from runtime.policies.forecast import Forecaster
from runtime.policies.skill import PooledSkill

Make = Callable[[int], Policy]

#: Routers that see neither reports nor forecasts.
PLAIN = ("cache-aware", "sticky", "cache-aware, best class", "sticky, best class", "best single agent", "random")
#: Rivals with the auction's forecasts, and its right to decline where they have one.
INFORMED = ("c-mu", "tiers", "greedy", "posted cost + fee", "cache-aware, may decline")


def rivals(fleet: Sequence[SimulatedAgent]) -> dict[str, Make]:
    """Every competitor by name: the auction first, an oracle that is told the true skills last."""
    plain = {name: k for k, name in enumerate(policy.name for policy in baselines())}
    return {
        "iemas": lambda seed: Auction(find_mechanism("vcg")),
        "paper-auction": lambda seed: PaperAuction(find_mechanism("vcg")),
        "c-mu": lambda seed: CMu(),
        "tiers": lambda seed: Tiers(),
        "greedy": lambda seed: greedy(),
        "posted cost + fee": lambda seed: posted(),
        "cache-aware, may decline": lambda seed: DecliningCacheAware(),
        "cache-aware": lambda seed: CacheAware(),
        "sticky": lambda seed: baselines(seed)[plain["sticky"]],
        "cache-aware, best class": lambda seed: CacheAware(best=True, name="cache-aware, best class"),
        "sticky, best class": lambda seed: sticky_best(),
        "best single agent": lambda seed: best_single(),
        "random": lambda seed: baselines(seed)[plain["random"]],
        "oracle": lambda seed: Auction(find_mechanism("vcg"), oracle(fleet), name="oracle"),
    }


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
