"""One ridge-penalised logistic regression a model, on scores that may be fractions (Papke and Wooldridge 1996)."""

from collections.abc import Sequence

import numpy as np

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.learned.router import Floats, Users, Vectors, chances, check_fitted, training


class LogisticRouter:
    """The expected score of each model, log-odds linear in the question, and in its user where users are known.

    Args:
        ridge: penalty of a squared weight, against the mean log loss; an intercept is not penalised.
        with_users: whether users are read, as one number each.

    Raises:
        StudyError: the penalty is not positive.
    """

    foretells = True

    def __init__(self, ridge: float = 3e-3, *, with_users: bool = False) -> None:
        if not ridge > 0:
            raise StudyError(f"a ridge penalty of {ridge}; it must be positive")
        self.name = "logistic + user" if with_users else "logistic"
        self.models: tuple[str, ...] = ()
        self._ridge, self._with_users = ridge, with_users

    def fit(self, vectors: Vectors, table: AnswerTable, *, users: Users = None, seed: int = 0) -> None:
        """Minimise by L-BFGS (Liu and Nocedal 1989)."""
        from scipy.optimize import minimize

        taken = training(vectors, table, users)
        named = taken.users if self._with_users and taken.users is not None else ()
        self._users = {user: k for k, user in enumerate(sorted(set(named)))}
        inputs = np.hstack([taken.vectors.astype(np.float64), self._told(named, len(taken.vectors))])
        count, size = inputs.shape
        models = taken.scores.shape[1]

        def loss(flat: Floats) -> tuple[float, Floats]:
            weights, levels = flat[:-models].reshape(size, models), flat[-models:]
            logits = inputs @ weights + levels
            # log(1 + e^z) - y z, the negative log-likelihood of a fraction y.
            value = (np.logaddexp(0, logits) - taken.scores * logits).sum() / count
            error = (chances(logits) - taken.scores) / count
            slopes = np.concatenate([(inputs.T @ error + self._ridge * weights).ravel(), error.sum(axis=0)])
            return float(value + 0.5 * self._ridge * (weights**2).sum()), slopes

        found = minimize(loss, np.zeros((size + 1) * models), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
        weights = found[:-models].reshape(size, models)[:, taken.columns]
        self._weights = np.ascontiguousarray(weights[: taken.vectors.shape[1]], np.float32)
        # A user who was never seen moves nothing.
        self._of_user = np.vstack([weights[taken.vectors.shape[1] :], np.zeros(models)])
        self._levels = found[-models:][taken.columns]
        self.models = table.models

    def scores(self, vectors: Vectors, users: Users = None) -> Floats:
        """(N, M) expected scores."""
        check_fitted(self)
        logits = np.asarray(vectors, np.float32) @ self._weights + self._levels
        if self._users and users is not None:
            logits = logits + self._of_user[[self._users.get(user, -1) for user in users]]
        return chances(logits)

    def _told(self, named: Sequence[str], count: int) -> Floats:
        told = np.zeros((count, len(self._users)))
        for row, user in enumerate(named):
            told[row, self._users[user]] = 1
        return told
