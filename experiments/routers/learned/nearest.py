"""k nearest neighbours: a model is as good here as it was on the most similar questions (Cover and Hart 1967)."""

import numpy as np

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.learned.router import Floats, Users, Vectors, check_fitted, training


class KNN:
    """The mean score of each model on the k most similar questions of training, by inner product.

    Similarity is read in the leading principal components of the training questions, so that a decision does not pass
    over all numbers of all questions.

    Args:
        k: neighbours.
        components: principal components that are kept.

    Raises:
        StudyError: one of them is not positive.
    """

    foretells = True

    def __init__(self, k: int = 40, components: int = 64) -> None:
        if k < 1 or components < 1:
            raise StudyError(f"{k} neighbours in {components} components; both must be at least 1")
        self.name = f"knn-{k}"
        self.models: tuple[str, ...] = ()
        self._k, self._components = k, components

    def fit(self, vectors: Vectors, table: AnswerTable, *, users: Users = None, seed: int = 0) -> None:
        """Keep the questions, turned into their principal components."""
        taken = training(vectors, table, users)
        values, axes = np.linalg.eigh(taken.vectors.T @ taken.vectors)
        self._axes = np.ascontiguousarray(axes[:, np.argsort(values)[::-1][: self._components]], np.float32)
        self._kept = np.ascontiguousarray((taken.vectors @ self._axes).T)
        self._scores = taken.scores[:, taken.columns]
        self.models = table.models

    def scores(self, vectors: Vectors, users: Users = None) -> Floats:
        """(N, M) expected scores; fewer neighbours where training had fewer questions."""
        check_fitted(self)
        likeness = np.asarray(vectors, np.float32) @ self._axes @ self._kept
        k = min(self._k, likeness.shape[1])
        nearest = np.argpartition(likeness, -k, axis=1)[:, -k:]
        means: Floats = self._scores[nearest].mean(axis=1)
        return means
