"""Dual contrastive learning, after RouterDC (Chen, Jiang, Lin, Kwok and Zhang, NeurIPS 2024, arXiv:2409.19886).

Taken from the paper: a question's score on a model is the cosine of the question's vector and the model's; each of the
best models of a question is contrasted with its worst ones by a softmax, and each question with questions of other
clusters, against one of its own; both losses are summed.

What differs: the encoder stays frozen and only a linear head over its vectors is learnt, where the paper trains all of
mDeBERTa; scores are first smoothed over a question's neighbours, since a linear head learns little from single rights
and wrongs; only the best model is a positive, since three did worse; temperatures divide both cosines; the steps are
Adam's (Kingma and Ba 2015) with a rate that falls to nothing.
"""

import numpy as np
from numpy.typing import NDArray

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.learned.router import Floats, Training, Users, Vectors, check_fitted, training

Ints = NDArray[np.intp]

#: Negatives that score above this are no negatives, as the paper has it.
_GOOD = 0.5
#: Questions whose similarities are computed at once.
_CHUNK = 1024


class RouterDC:
    """RouterDC with a linear head.

    Args:
        size: length of the vectors compared.
        neighbours: questions over which a score is smoothed, itself among them; 1 for none.
        best, worst: how many models of a question are positives, and negatives.
        steps, batch, rate: of the optimiser.
        temperature: that cosines are divided by.
        others: questions of other clusters that one is contrasted with.
        clusters: of questions, by k-means.

    Raises:
        StudyError: one of them is not positive.
    """

    name = "router-dc"
    foretells = False

    def __init__(
        self,
        size: int = 128,
        *,
        neighbours: int = 40,
        best: int = 1,
        worst: int = 3,
        steps: int = 1000,
        batch: int = 64,
        rate: float = 3e-3,
        temperature: float = 0.1,
        others: int = 3,
        clusters: int = 8,
    ) -> None:
        given = (size, neighbours, best, worst, steps, batch, rate, temperature, others, clusters)
        if not min(given) > 0:
            raise StudyError(f"RouterDC with {given}; every one of them must be positive")
        self.models: tuple[str, ...] = ()
        self._size, self._neighbours, self._best, self._worst = size, neighbours, best, worst
        self._steps, self._batch, self._rate, self._temperature = steps, batch, rate, temperature
        self._others, self._clusters = others, clusters

    def fit(self, vectors: Vectors, table: AnswerTable, *, users: Users = None, seed: int = 0) -> None:
        """Learn the head and the models' vectors by Adam, batches drawn by seed."""
        taken = training(vectors, table, users)
        questions, models = taken.vectors.astype(np.float64), taken.scores.shape[1]
        rng = np.random.default_rng(seed)
        positive, negative = self._pairs(taken)
        groups = _clustered(questions, min(self._clusters, len(questions)), rng)
        size = questions.shape[1]
        parts = [rng.normal(size=(size, self._size)) * size**-0.5, rng.normal(size=(models, self._size))]
        optimiser = _Adam(parts)
        for step in range(self._steps):
            rows = rng.integers(len(questions), size=self._batch)
            friends, strangers = _contrasted(rows, groups, self._others, rng)
            slopes = self._slopes(parts, questions, rows, positive, negative, friends, strangers)
            optimiser.step(slopes, self._rate * 0.5 * (1 + np.cos(np.pi * step / self._steps)))
        head, of_models = parts
        self._head = np.ascontiguousarray(head, np.float32)
        self._of_models = np.ascontiguousarray(_unit(of_models)[taken.columns].T, np.float32)
        self.models = table.models

    def scores(self, vectors: Vectors, users: Users = None) -> Floats:
        """(N, M) cosines."""
        check_fitted(self)
        hidden = np.asarray(vectors, np.float32) @ self._head
        length = np.sqrt((hidden * hidden).sum(axis=1, keepdims=True))
        cosines: Floats = (hidden @ self._of_models / np.maximum(length, 1e-12)).astype(np.float64)
        return cosines

    def _pairs(self, taken: Training) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(Q, M) which models are positives of a question, and which negatives."""
        smooth = smoothed(taken.vectors, taken.scores, self._neighbours)
        models = smooth.shape[1]
        ranks = np.argsort(np.argsort(-smooth, axis=1, kind="stable"), axis=1)
        # A model is never contrasted with itself; of two or three models one is good.
        best = max(min(self._best, models - 1), 1)
        positive = (ranks < best) & (smooth > 0)
        negative = (ranks >= max(models - self._worst, best)) & ((smooth <= _GOOD) | (ranks >= best))
        return positive, negative

    def _slopes(
        self,
        parts: list[Floats],
        questions: Floats,
        rows: Ints,
        positive: NDArray[np.bool_],
        negative: NDArray[np.bool_],
        friends: Ints,
        strangers: Ints,
    ) -> list[Floats]:
        head, of_models = parts
        batch, temperature = len(rows), self._temperature
        # One pass through the head: the batch, its friends, its strangers.
        inputs = questions[np.concatenate([rows, friends, strangers.ravel()])]
        hidden = inputs @ head
        length = np.maximum(np.linalg.norm(hidden, axis=1, keepdims=True), 1e-12)
        unit = hidden / length
        unit_models = _unit(of_models)
        mine, friend, strange = np.split(unit, [batch, 2 * batch])
        strange = strange.reshape(batch, -1, unit.shape[1])

        of_cosines = _sample_model(mine @ unit_models.T / temperature, positive[rows], negative[rows])
        logits = np.concatenate([(mine * friend).sum(1)[:, None], np.einsum("bd,bhd->bh", mine, strange)], axis=1)
        of_logits = _softmax(logits / temperature)
        of_logits[:, 0] -= 1
        of_cosines, of_logits = of_cosines / (batch * temperature), of_logits / (batch * temperature)

        of_mine = of_cosines @ unit_models + of_logits[:, :1] * friend
        of_mine += np.einsum("bh,bhd->bd", of_logits[:, 1:], strange)
        of_strange = of_logits[:, 1:, None] * mine[:, None]
        of_unit = np.concatenate([of_mine, of_logits[:, :1] * mine, of_strange.reshape(-1, unit.shape[1])])
        of_hidden = (of_unit - (of_unit * unit).sum(1, keepdims=True) * unit) / length
        of_unit_models = of_cosines.T @ mine
        along = (of_unit_models * unit_models).sum(1, keepdims=True) * unit_models
        return [inputs.T @ of_hidden, (of_unit_models - along) / np.linalg.norm(of_models, axis=1, keepdims=True)]


def smoothed(vectors: Vectors, scores: Floats, neighbours: int) -> Floats:
    """(Q, M) each question's scores averaged over the questions most like it, itself among them."""
    count = min(neighbours, len(vectors))
    found = np.empty_like(scores)
    for start in range(0, len(vectors), _CHUNK):
        likeness = vectors[start : start + _CHUNK] @ vectors.T
        found[start : start + _CHUNK] = scores[np.argpartition(likeness, -count, axis=1)[:, -count:]].mean(axis=1)
    return found


def _sample_model(logits: Floats, positive: NDArray[np.bool_], negative: NDArray[np.bool_]) -> Floats:
    """(B, M) slope of the sum over positives of -log softmax of the positive among itself and the negatives."""
    slopes = np.zeros_like(logits)
    held = np.where(negative, logits, -np.inf)
    for model in range(logits.shape[1]):
        among = held.copy()
        among[:, model] = logits[:, model]
        shares = _softmax(among)
        shares[:, model] -= 1
        slopes += np.where(positive[:, model : model + 1], shares, 0.0)
    return slopes


def _contrasted(rows: Ints, groups: Ints, others: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """(B,) a question of the same cluster for each, and (B, others) questions of other clusters where there are any."""
    friends = rows.copy()
    for group in np.unique(groups[rows]):
        at = groups[rows] == group
        friends[at] = rng.choice(np.flatnonzero(groups == group), size=int(at.sum()))
    strangers = rng.integers(len(groups), size=(len(rows), others))
    for _ in range(3):
        same = groups[strangers] == groups[rows][:, None]
        strangers[same] = rng.integers(len(groups), size=int(same.sum()))
    return friends, strangers


def _clustered(questions: Floats, clusters: int, rng: np.random.Generator) -> Ints:
    """(Q,) clusters by k-means (Lloyd 1982), begun at questions drawn at random."""
    centres = questions[rng.choice(len(questions), size=clusters, replace=False)]
    groups = np.zeros(len(questions), np.intp)
    for _ in range(20):
        groups = (questions @ centres.T - 0.5 * (centres**2).sum(axis=1)).argmax(axis=1)
        for group in range(clusters):
            if (groups == group).any():
                centres[group] = questions[groups == group].mean(axis=0)
    return groups


def _softmax(logits: Floats) -> Floats:
    risen = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = risen / risen.sum(axis=1, keepdims=True)
    return shares


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


class _Adam:
    """Kingma and Ba (2015), in place."""

    def __init__(self, parts: list[Floats]) -> None:
        self._parts, self._count = parts, 0
        self._means = [np.zeros_like(part) for part in parts]
        self._squares = [np.zeros_like(part) for part in parts]

    def step(self, slopes: list[Floats], rate: float) -> None:
        self._count += 1
        for part, slope, mean, square in zip(self._parts, slopes, self._means, self._squares, strict=True):
            mean += 0.1 * (slope - mean)
            square += 0.001 * (slope * slope - square)
            steady = np.sqrt(square / (1 - 0.999**self._count)) + 1e-8
            part -= rate * mean / (1 - 0.9**self._count) / steady
