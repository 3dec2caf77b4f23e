"""Matrix factorisation over preferences, after RouteLLM (Ong et al. 2024, arXiv:2406.18665).

Taken from the paper: a model's score on a question is w . (p_m * (W e)), with a vector p_m of norm 1 for each model, a
projection W of the question's embedding e and no intercepts; it is learnt from pairs, by the logistic loss of the
difference (Bradley and Terry 1952).

What differs: there are many models, not two, so every pair that differs on a question is a comparison, weighed by how
much it differs; the loss is minimised over the whole table by L-BFGS with a penalty, not by stochastic steps with noise
added to embeddings; and since the score is linear in the question, what is kept is its one (D, M) matrix.
"""

from itertools import combinations

import numpy as np

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.learned.router import Floats, Users, Vectors, chances, check_fitted, training


class MFRouter:
    """RouteLLM's bilinear score, on whole tables.

    Args:
        rank: length of a model's vector.
        penalty: of the squared Euclidean length of W and w, against the mean loss of a question.

    Raises:
        StudyError: one of them is not positive.
    """

    name = "mf"
    foretells = False

    def __init__(self, rank: int = 64, penalty: float = 3e-2) -> None:
        if rank < 1 or not penalty > 0:
            raise StudyError(f"rank {rank} at penalty {penalty}; both must be positive")
        self.models: tuple[str, ...] = ()
        self._rank, self._penalty = rank, penalty

    def fit(self, vectors: Vectors, table: AnswerTable, *, users: Users = None, seed: int = 0) -> None:
        """Minimise by L-BFGS (Liu and Nocedal 1989) from a start drawn by seed."""
        from scipy.optimize import minimize

        taken = training(vectors, table, users)
        questions = taken.vectors.astype(np.float64)
        models, size, rank = taken.scores.shape[1], questions.shape[1], self._rank
        ends = np.cumsum([models * rank, rank * size])
        first, second = np.array(list(combinations(range(models), 2)), np.intp).reshape(-1, 2).T
        gaps = taken.scores[:, first] - taken.scores[:, second]
        # (pairs, models): a pair's difference is this times the scores.
        signs = np.eye(models)[first] - np.eye(models)[second]

        def loss(flat: Floats) -> tuple[float, Floats]:
            p, w1, w = np.split(flat, ends)
            p, w1 = p.reshape(models, rank), w1.reshape(rank, size)
            length = np.linalg.norm(p, axis=1, keepdims=True)
            unit = p / length
            hidden = questions @ w1.T
            margins = (hidden * w) @ unit.T @ signs.T * np.sign(gaps)
            value = (np.abs(gaps) * np.logaddexp(0, -margins)).sum() / len(questions)
            slope = -gaps * chances(-margins) @ signs / len(questions)
            of_unit = slope.T @ (hidden * w)
            of_hidden = slope @ unit
            of_p = (of_unit - (of_unit * unit).sum(axis=1, keepdims=True) * unit) / length
            of_w1 = (of_hidden * w).T @ questions + self._penalty * w1
            of_w = (of_hidden * hidden).sum(axis=0) + self._penalty * w
            value += 0.5 * self._penalty * float((w1**2).sum() + (w**2).sum())
            return float(value), np.concatenate([of_p.ravel(), of_w1.ravel(), of_w])

        rng = np.random.default_rng(seed)
        # Of about the size that the penalty leaves: a start near zero is a saddle.
        begun = np.concatenate(
            [rng.normal(size=models * rank), rng.normal(size=rank * size) * size**-0.5, rng.normal(size=rank) ** 2]
        )
        found = minimize(loss, begun, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
        p, w1, w = np.split(found, ends)
        p = p.reshape(models, rank)[taken.columns]
        unit = p / np.linalg.norm(p, axis=1, keepdims=True)
        self._matrix = np.ascontiguousarray((w1.reshape(rank, size).T * w) @ unit.T, np.float32)
        self.models = table.models

    def scores(self, vectors: Vectors, users: Users = None) -> Floats:
        """(N, M) of no scale: only differences within a question mean anything."""
        check_fitted(self)
        found: Floats = (np.asarray(vectors, np.float32) @ self._matrix).astype(np.float64)
        return found
