"""What every learned router is held against: one model for all, a die, and whoever knows the answers."""

import hashlib

import numpy as np

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.learned.router import Floats, Users, Vectors, check_fitted, training


class BestSingle:
    """Every question to the model with the highest mean score in training."""

    name = "best-single"
    foretells = True

    def __init__(self) -> None:
        self.models: tuple[str, ...] = ()

    def fit(self, vectors: Vectors, table: AnswerTable, *, users: Users = None, seed: int = 0) -> None:
        """Take the means."""
        taken = training(vectors, table, users)
        self._means = taken.scores.mean(axis=0)[taken.columns]
        self.models = table.models

    def scores(self, vectors: Vectors, users: Users = None) -> Floats:
        """(N, M) the means, whatever is asked."""
        check_fitted(self)
        return np.tile(self._means, (len(vectors), 1))


class RandomRouter:
    """A model drawn for each question, from its vector and a seed: asked again, the same."""

    name = "random"
    foretells = False

    def __init__(self) -> None:
        self.models: tuple[str, ...] = ()

    def fit(self, vectors: Vectors, table: AnswerTable, *, users: Users = None, seed: int = 0) -> None:
        """Take note of the models."""
        training(vectors, table, users)
        self.models, self._seed = table.models, seed

    def scores(self, vectors: Vectors, users: Users = None) -> Floats:
        """(N, M) numbers from [0, 1)."""
        check_fitted(self)
        return np.array([self._drawn(vector) for vector in np.asarray(vectors, np.float32)])

    def _drawn(self, vector: Vectors) -> Floats:
        digest = hashlib.blake2b(vector.tobytes(), digest_size=8, salt=self._seed.to_bytes(8, signed=True)).digest()
        return np.random.default_rng(int.from_bytes(digest)).random(len(self.models))


class OracleRouter:
    """Knows the scores of the questions that it was fitted on, and of no others: fit it on what is to be routed."""

    name = "oracle"
    foretells = True

    def __init__(self) -> None:
        self.models: tuple[str, ...] = ()

    def fit(self, vectors: Vectors, table: AnswerTable, *, users: Users = None, seed: int = 0) -> None:
        """Write the scores down; a question that stands twice with one user has the mean of its scores."""
        training(vectors, table, users)
        self.models = table.models
        found: dict[tuple[bytes, str], list[Floats]] = {}
        for key, row in zip(_keys(vectors, users), table.scores, strict=True):
            found.setdefault(key, []).append(row)
        self._known = {key: np.mean(rows, axis=0) for key, rows in found.items()}

    def scores(self, vectors: Vectors, users: Users = None) -> Floats:
        """(N, M) the scores themselves.

        Raises:
            StudyError: a question is not among those it was fitted on.
        """
        check_fitted(self)
        keys = _keys(vectors, users)
        for row, key in enumerate(keys):
            if key not in self._known:
                raise StudyError(f"the oracle was not fitted on question {row}; fit it on the questions to be routed")
        return np.array([self._known[key] for key in keys])


def _keys(vectors: Vectors, users: Users) -> list[tuple[bytes, str]]:
    named = users if users is not None else ("",) * len(vectors)
    return [(vector.tobytes(), user) for vector, user in zip(np.asarray(vectors, np.float32), named, strict=True)]
