"""Who answers right? Quality models see questions and grades, and no report; agents of one model learn together."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prediction import Embedder, PerQuestion
from prediction.quality.experts import Counts
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

    def __init__(self, agents: Sequence[Agent], *, signal: float = 0.2, weight: float = 8.0) -> None:
        self._signal = signal
        self.model_of, prior = _prior(agents, signal)
        self._counts = Counts(prior, weight)

    def join(self, agents: Sequence[Agent]) -> None:
        """The fleet with agents more at its end; what is known of models is kept."""
        self.model_of, prior = _prior(agents, self._signal)
        self._counts.join(prior)

    def predict(self, offers: Sequence[Offer]) -> Floats:
        """(N, M) the same for every request."""
        chances: Floats = np.empty((len(offers), self.model_of.size))
        chances[:] = self._counts.means()[self.model_of]
        return chances

    def doubt(self) -> Floats:
        """(M,) standard deviation of the beta posterior."""
        return self._counts.deviations()[self.model_of]

    def learn(self, offer: Offer, agent: int, right: bool | None) -> None:
        """Count it for the agent's model."""
        self._counts.learn(int(self.model_of[agent]), right)


class PerQuestionSkill:
    """The chance that a model answers this very question, from the last user's message (`prediction.PerQuestion`).

    It starts as `PooledSkill` does, and leaves it as far as questions have told more than counts so far; where they
    tell nothing it stays there, for at most ln 2 + ln(T + 1) / 2 nats of log loss in T answers. What a request is about
    is what it gets an answer to; nothing that its bidder reports is read.

    Args:
        agents: the fleet.
        signal, weight: the prior's, as in `PooledSkill`.
        embedder: questions to vectors; default hashed n-grams.
    """

    def __init__(
        self,
        agents: Sequence[Agent],
        *,
        signal: float = 0.2,
        weight: float = 8.0,
        embedder: Embedder | None = None,
    ) -> None:
        self.model_of, prior = _prior(agents, signal)
        self.skill = PerQuestion(prior, weight=weight, embedder=embedder)

    def predict(self, offers: Sequence[Offer]) -> Floats:
        """(N, M) posterior means in [0, 1]."""
        chances: Floats = self.skill.predict([question(offer) for offer in offers])[:, self.model_of]
        return chances

    def doubt(self) -> Floats:
        """(M,) standard deviation of what is believed of each agent's mean over questions."""
        return self.skill.doubt()[self.model_of]

    def learn(self, offer: Offer, agent: int, right: bool | None) -> None:
        """Learn what the agent's model knows."""
        self.skill.learn(question(offer), int(self.model_of[agent]), right)


def question(offer: Offer) -> str:
    """What its user asked last, or nothing where no user speaks."""
    messages = reversed(offer.request.messages)
    return next((message.content for message in messages if message.role == "user"), "")


def _prior(agents: Sequence[Agent], signal: float) -> tuple[NDArray[np.int64], Floats]:
    """(M,) which model each agent runs, and (K,) by how much each model is taken to be better than even."""
    models = list(dict.fromkeys(agent.info.model for agent in agents))
    model_of = np.array([models.index(agent.info.model) for agent in agents])
    first = [int(np.flatnonzero(model_of == k)[0]) for k in range(len(models))]
    price = np.array([max(agent.prices.fresh, 1e-12) for agent in agents])
    return model_of, np.clip(signal * np.log2(price / price.mean()), -0.3, 0.3)[first]
