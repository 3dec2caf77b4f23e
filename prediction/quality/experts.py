"""Three opinions of who answers a question right: counts, neighbours, a logistic regression; all learn online.

K models, vectors of D numbers. The latter two start from the counts' means, so that a model is never judged by other
models' answers, and one of whom little is known is taken at its mean.
"""

import numpy as np
from numpy.typing import NDArray

from prediction.quality.embedding import Vector

Floats = NDArray[np.float64]

#: Like neighbours in the published routers that use them; they weigh as much as twice `_SHRINKAGE` answers.
_NEIGHBOURS = 20
_SHRINKAGE = 10.0
#: The regression's first step, and the answers of a model from which on steps shrink as the square root.
_STEP, _STEADY = 0.5, 400.0
#: Inner products of vectors in multiples of this are exact in float32 in any order.
_GRAIN = np.float32(2.0**-10)


class Counts:
    """A beta posterior for each model, whatever was asked.

    Args:
        prior: (K,) what is added to 1/2 a priori. It fades as answers come that nobody can grade: where right cannot
            be told from wrong, no model is better.
        weight: graded answers that the prior weighs.
    """

    def __init__(self, prior: Floats, weight: float) -> None:
        self._prior, self._weight = np.array(prior, dtype=np.float64), weight
        self._right, self._judged = np.zeros((2, self._prior.size))
        self._unjudged = 0
        self._means: Floats | None = None
        self._deviations: Floats | None = None

    def join(self, prior: Floats) -> None:
        """Models may be added at the end: (K',) the prior of all."""
        more = len(prior) - self._prior.size
        self._prior = np.array(prior, dtype=np.float64)
        self._means = self._deviations = None
        self._right, self._judged = (np.append(counts, np.zeros(more)) for counts in (self._right, self._judged))

    def means(self) -> Floats:
        """(K,) posterior means, read-only."""
        if self._means is None:
            judged = self._judged.sum() + self._weight
            prior = 0.5 + self._prior * judged / (judged + self._unjudged)
            self._means = (self._right + prior * self._weight) / (self._judged + self._weight)
            self._means.setflags(write=False)
        return self._means

    def deviations(self) -> Floats:
        """(K,) posterior standard deviations, read-only."""
        if self._deviations is None:
            mean = self.means()
            self._deviations = np.sqrt(mean * (1 - mean) / (self._judged + self._weight + 1))
            self._deviations.setflags(write=False)
        return self._deviations

    def learn(self, model: int, right: bool | None) -> None:
        """Count an answer, None where nobody can grade it."""
        self._means = self._deviations = None
        if right is None:
            self._unjudged += 1
            return
        self._judged[model] += 1
        self._right[model] += right


class Neighbours:
    """Each model's answers to the most similar questions among its last `memory` (Cover and Hart 1967)."""

    def __init__(self, models: int, size: int, memory: int) -> None:
        self._questions = np.zeros((models, memory, size), np.float32)
        self._right = np.zeros((models, memory))
        #: (K,) answers ever learnt of a model: what was found for it holds as long as this does.
        self.learnt = np.zeros(models, np.int64)

    def find(self, vectors: NDArray[np.float32], model: int) -> tuple[Floats, int]:
        """(N,) how many of the nearest answers of a model were right, and how many are nearest."""
        _, memory, _ = self._questions.shape
        filled = min(int(self.learnt[model]), memory)
        nearest = min(_NEIGHBOURS, filled)
        if not nearest:
            return np.zeros(len(vectors)), 0
        alike = _grained(vectors) @ self._questions[model, :filled].T
        places = np.argpartition(alike, filled - nearest, axis=1)[:, filled - nearest :]
        found: Floats = self._right[model][places].sum(axis=1)
        return found, nearest

    def learn(self, vector: Vector, model: int, right: bool) -> None:
        """Keep an answer in the place of the model's oldest."""
        place = self.learnt[model] % self._questions.shape[1]
        self._questions[model, place] = _grained(vector)
        self._right[model, place] = right
        self.learnt[model] += 1


def shrunk(found: Floats, nearest: Floats | int, mean: Floats) -> Floats:
    """Chances from neighbours and the model's mean together."""
    chances: Floats = (found + _SHRINKAGE * mean) / (nearest + _SHRINKAGE)
    return chances


def _grained(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    grained: NDArray[np.float32] = np.round(vectors / _GRAIN) * _GRAIN
    return grained


class Logistic:
    """A logistic regression for each model on top of its mean, by online gradient descent (Zinkevich 2003).

    Models share no slopes: from a question's answer by one model they would know of another's to the same, and the gate
    would take that for foresight.
    """

    def __init__(self, models: int, size: int) -> None:
        self._slopes = np.zeros((models, size))
        self._answers = np.zeros(models)

    def predict(self, vectors: NDArray[np.float32], means: Floats) -> Floats:
        """(N, K) chances."""
        # einsum adds up each entry alone; a product by BLAS rounds by how many others are asked.
        scores = np.einsum("nd,kd->nk", vectors, self._slopes) + np.log(means / (1 - means))
        chances: Floats = 1 / (1 + np.exp(-scores))
        return chances

    def learn(self, vector: Vector, model: int, error: float) -> None:
        """Learn from what was predicted less what came."""
        self._slopes[model] -= _STEP * error / np.sqrt(1 + self._answers[model] / _STEADY) * vector
        self._answers[model] += 1
