"""`PerQuestion`: the chance that each model answers this question right, from the question alone."""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from prediction.errors import PredictionError
from prediction.quality.embedding import Embedder, HashedNgrams, Vector
from prediction.quality.experts import Counts, Logistic, Neighbours, shrunk
from prediction.quality.gate import Gate

Floats = NDArray[np.float64]

EXPERTS = ("counts", "neighbours", "logistic")
_WEIGHTS = (0.5, 0.25, 0.25)


class _Known:
    """What is kept of a question: its vector, and each model's nearest answers with how much it had learnt then."""

    __slots__ = ("found", "learnt", "nearest", "vector")

    def __init__(self, vector: Vector, models: int) -> None:
        self.vector = vector
        self.found, self.nearest = np.zeros(models), np.zeros(models)
        self.learnt = np.zeros(models, np.int64)


class PerQuestion:
    """Counts, neighbours and a logistic regression over questions' vectors, mixed by how well each has predicted.

    Args:
        prior: (K,) by how much each of K models is likelier right than 1/2 a priori.
        weight: graded answers that this prior weighs.
        embedder: questions to vectors; default `HashedNgrams`.
        memory: answers kept of each model, the last ones: a megabyte for each model.
        memo: questions whose vectors are kept, those used last: 3 kB each. If more wait at once, they are embedded anew
            in every round.

    Where questions tell nothing, all answers together cost no more than ln 2 + ln(T + 1) / 2 nats of log loss over
    what the counts alone lose (see `Gate`). What is predicted of one question does not depend on others asked with it.

    Raises:
        PredictionError: memory or memo is not positive.

    >>> skill = PerQuestion(np.zeros(2))
    >>> for k in range(100):
    ...     for model, good_at in enumerate(("poems", "sums")):
    ...         for topic in ("poems", "sums"):
    ...             skill.learn(f"{topic}, number {k}", model, topic == good_at)
    >>> skill.predict(["poems, number 200", "sums, number 200"]).round(1)
    array([[0.9, 0.1],
           [0.1, 0.9]])
    """

    def __init__(
        self,
        prior: Floats,
        *,
        weight: float = 4.0,
        embedder: Embedder | None = None,
        memory: int = 512,
        memo: int = 4096,
    ) -> None:
        if memory < 1 or memo < 1:
            raise PredictionError(f"memory={memory} answers and memo={memo} questions; both must be at least 1")
        self._embedder = embedder or HashedNgrams()
        self._models, self._memo = len(prior), memo
        self._counts = Counts(prior, weight)
        self._neighbours = Neighbours(self._models, self._embedder.size, memory)
        self._logistic = Logistic(self._models, self._embedder.size)
        self._gate = Gate(_WEIGHTS)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    @property
    def weights(self) -> dict[str, float]:
        """How far each expert is believed now."""
        return dict(zip(EXPERTS, self._gate.weights.tolist(), strict=True))

    def predict(self, questions: Sequence[str]) -> Floats:
        """(N, K) chances in [0, 1] that each model answers each question right; what is predicted stays as it was."""
        if not questions:
            return np.zeros((0, self._models))
        known = [self._know(question) for question in questions]
        for model in range(self._models):
            self._refresh(known, model)
        return self._gate.mix(self._experts(known))

    def doubt(self) -> Floats:
        """(K,) standard deviations of what is believed of each model's mean over questions."""
        return self._counts.deviations()

    def learn(self, question: str, model: int, right: bool | None) -> None:
        """Learn from a model's answer: whether it was right, None where nobody can say."""
        if right is not None:
            known = self._know(question)
            self._refresh([known], model)
            said = self._experts([known])[:, 0, model]
            self._gate.learn(said, right)
            self._neighbours.learn(known.vector, model, right)
            self._logistic.learn(known.vector, model, float(said[EXPERTS.index("logistic")]) - right)
        self._counts.learn(model, right)

    def _experts(self, known: list[_Known]) -> Floats:
        """(E, N, K) what each expert says."""
        means = self._counts.means()
        near = shrunk(np.stack([one.found for one in known]), np.stack([one.nearest for one in known]), means)
        line = self._logistic.predict(np.stack([one.vector for one in known]), means)
        return np.stack([np.broadcast_to(means, near.shape), near, line])

    def _refresh(self, known: list[_Known], model: int) -> None:
        """Find a model's nearest answers again, for questions after which it has learnt more."""
        learnt = self._neighbours.learnt[model]
        stale = [one for one in known if one.learnt[model] != learnt]
        if not stale:
            return
        found, nearest = self._neighbours.find(np.stack([one.vector for one in stale]), model)
        for one, right in zip(stale, found.tolist(), strict=True):
            one.found[model], one.nearest[model], one.learnt[model] = right, nearest, learnt

    def _know(self, question: str) -> _Known:
        name = blake2b(question.encode("utf-8", "replace"), digest_size=16).digest()
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = _Known(self._embedder.embed(question), self._models)
            if len(self._known) > self._memo:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(name)
        return known
