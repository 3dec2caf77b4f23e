"""Who answers right? Quality models see questions and grades, and no report; agents of one model learn together."""

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

    def learn(self, offer: Offer, agent: int, right: bool | None) -> None:
        """Learn from an answer: whether it was right, None where nobody can say."""
        ...


class PooledSkill:
    """One chance a model: a beta posterior over graded answers, whatever was asked.

    Args:
        agents: the fleet.
        signal: how much likelier right a model is taken to be a priori for each doubling of its price.
        weight: graded answers that this prior weighs.

    The prior is 1/2 at the mean price and stays within [0.2, 0.8]. It fades as answers come that nobody can grade:
    where right cannot be told from wrong, a dearer model is no better.
    """

    def __init__(self, agents: Sequence[Agent], *, signal: float = 0.1, weight: float = 4.0) -> None:
        models = list(dict.fromkeys(agent.info.model for agent in agents))
        self.model_of = np.array([models.index(agent.info.model) for agent in agents])
        first = [int(np.flatnonzero(self.model_of == k)[0]) for k in range(len(models))]
        price = np.array([max(agent.prices.fresh, 1e-12) for agent in agents])
        self._prior = np.clip(signal * np.log2(price / price.mean()), -0.3, 0.3)[first]
        self._weight = weight
        self._right, self._judged = np.zeros((2, len(models)))
        self._unjudged = 0

    def predict(self, offers: Sequence[Offer]) -> Floats:
        """(N, M) the same for every request."""
        return np.broadcast_to(self._means()[self.model_of], (len(offers), self.model_of.size))

    def doubt(self) -> Floats:
        """(M,) standard deviation of the beta posterior."""
        mean = self._means()
        deviation: Floats = np.sqrt(mean * (1 - mean) / (self._judged + self._weight + 1))[self.model_of]
        return deviation

    def learn(self, offer: Offer, agent: int, right: bool | None) -> None:
        """Count it for the agent's model."""
        if right is None:
            self._unjudged += 1
            return
        self._judged[self.model_of[agent]] += 1
        self._right[self.model_of[agent]] += right

    def _means(self) -> Floats:
        judged = self._judged.sum() + self._weight
        prior = 0.5 + self._prior * judged / (judged + self._unjudged)
        means: Floats = (self._right + prior * self._weight) / (self._judged + self._weight)
        return means
