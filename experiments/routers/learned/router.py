"""`QueryRouter`: learns from a table which model answers which question well; what all of them learn from."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.answers import AnswerTable
from experiments.errors import StudyError

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Users = Sequence[str] | None


class QueryRouter(Protocol):
    """Scores models on questions, the higher the better.

    `models` names the columns of its scores, as its training table has them. Where `foretells` is true, scores are
    expected ones in [0, 1]; otherwise they only rank the models of one question.
    """

    name: str
    models: tuple[str, ...]
    foretells: bool

    def fit(self, vectors: Vectors, table: AnswerTable, *, users: Users = None, seed: int = 0) -> None:
        """Learn from (Q, D) vectors of a table's questions, and from who asked each where that is known.

        Raises:
            StudyError: shapes differ, a vector is not finite.
        """
        ...

    def scores(self, vectors: Vectors, users: Users = None) -> Floats:
        """(N, M) scores of questions, and of their users where the router knows users."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What a router learns from, in an order of its own: models by name, questions by text.

    Neither the order of a file nor that of the keys in its records moves what is learnt: random starting points and
    batches fall on the same model and question whatever came first. `columns` (M,) leads back: `learnt[columns]` is in
    the table's order.
    """

    vectors: Vectors
    scores: Floats
    users: tuple[str, ...] | None
    columns: NDArray[np.intp]


def training(vectors: Vectors, table: AnswerTable, users: Users = None) -> Training:
    """A table's questions and scores, checked and put in order.

    Raises:
        StudyError: there is not a vector for each question, or a user where users are known, or one is not finite.
    """
    found = np.asarray(vectors, np.float32)
    if found.ndim != 2 or len(found) != len(table.questions) or not found.shape[1]:
        raise StudyError(f"vectors are {found.shape}; {table.title} has {len(table.questions)} questions: one row each")
    if not np.isfinite(found).all():
        row = int(np.argwhere(~np.isfinite(found))[0, 0])
        raise StudyError(f"vector {row}, of {table.questions[row][:40]!r}, is not finite")
    if users is not None and len(users) != len(found):
        raise StudyError(f"{len(users)} users for {len(found)} questions; give each question its own, or none at all")
    named = users if users is not None else ("",) * len(found)
    rows = sorted(range(len(found)), key=lambda k: (table.questions[k], named[k], *table.scores[k]))
    models = sorted(range(len(table.models)), key=table.models.__getitem__)
    columns = np.argsort(np.array(models, np.intp))
    return Training(
        np.ascontiguousarray(found[rows]),
        table.scores[np.ix_(rows, models)],
        None if users is None else tuple(users[k] for k in rows),
        columns,
    )


def check_fitted(router: QueryRouter) -> None:
    """Refuse to go on with a router that has learnt from no table.

    Raises:
        StudyError: it has not.
    """
    if not router.models:
        raise StudyError(f"{router.name} has learnt nothing yet; call `fit` first")


def chances(logits: Floats) -> Floats:
    """The logistic function, of any shape, without overflow."""
    halved: Floats = 0.5 * (1.0 + np.tanh(0.5 * logits))
    return halved


def torch_for(router: str) -> Any:
    """Torch, imported when a router is trained with it and not before.

    Raises:
        StudyError: it is not installed.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise StudyError(f"{router} is trained with torch ({error}); pip install 'iemas[baselines]'") from None


@contextmanager
def torch_seeded(torch: Any, seed: int) -> Iterator[None]:
    """One seed for all that is drawn inside, and one thread; torch is as it was afterwards.

    Sums do not depend on the number of cores then, and graphs are too small to share out: threads would only wait.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
