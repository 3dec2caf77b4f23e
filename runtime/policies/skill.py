"""Who answers right? A quality model sees questions and grades, and no report; agents of a model share what is learnt."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.events import Offer
from runtime.policies.policy import Agent

Floats = NDArray[np.float64]


class QualityModel(Protocol):
    """Predicts the chance that an agent answers a request right."""

    def predict(self, offers: Sequence[Offer]) -> Floats:
        """(N, M) posterior means in [0, 1]; changes nothing."""
        ...

    def doubt(self) -> Floats:
        """(M,) standard deviation of what is believed of each agent's mean, in [0, 1/2]."""
        ...

    def learn(self, offer: Offer, agent: int, right: bool) -> None:
        """Learn from a graded answer."""
        ...


class PooledSkill:
    """One chance a model: a beta posterior over graded answers, whatever was asked.

    Args:
        agents: the fleet.
        signal: how much likelier right a model is taken to be a priori for each doubling of its price.
        weight: graded answers that this prior weighs.

    The prior is 1/2 at the mean price and stays within [0.2, 0.8].
    """

    def __init__(self, agents: Sequence[Agent], *, signal: float = 0.1, weight: float = 4.0) -> None:
        models = list(dict.fromkeys(agent.info.model for agent in agents))
        self.model_of = np.array([models.index(agent.info.model) for agent in agents])
        price = np.array([max(agent.prices.fresh, 1e-12) for agent in agents])
        doublings = np.log2(price / price.mean())
        prior = np.clip(0.5 + signal * doublings, 0.2, 0.8)
        first = [int(np.flatnonzero(self.model_of == k)[0]) for k in range(len(models))]
        self._right = prior[first] * weight
        self._judged = np.full(len(models), weight)

    def predict(self, offers: Sequence[Offer]) -> Floats:
        """(N, M) the same for every request."""
        return np.broadcast_to((self._right / self._judged)[self.model_of], (len(offers), self.model_of.size))

    def doubt(self) -> Floats:
        """(M,) standard deviation of the beta posterior."""
        mean = self._right / self._judged
        deviation: Floats = np.sqrt(mean * (1 - mean) / (self._judged + 1))[self.model_of]
        return deviation

    def learn(self, offer: Offer, agent: int, right: bool) -> None:
        """Count it for the agent's model."""
        self._judged[self.model_of[agent]] += 1
        self._right[self.model_of[agent]] += right
