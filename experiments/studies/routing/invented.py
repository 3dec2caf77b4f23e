"""Invented tables: models whose chances depend on the topic, and users who have a taste; no embedder is needed."""

import numpy as np
from numpy.typing import NDArray

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.learned.router import Floats, Vectors, chances
from experiments.studies.routing.comparison import Asked, Case

#: Log-odds by which topics move a model, and users.
_TOPIC, _TASTE = 1.3, 1.3


def invented(
    training: int = 400,
    test: int = 200,
    *,
    models: int = 4,
    topics: int = 6,
    users: int = 0,
    size: int = 64,
    seed: int = 0,
) -> Case:
    """Questions to learn from, scored 0 or 1 by draw, and questions to be judged by, scored by the chance itself.

    Args:
        training, test: questions of each.
        models, topics: how many; every topic moves every model's log-odds by a normal draw.
        users: people with a taste: each moves every model's log-odds by a normal draw too; 0 for none.
        size: length of the vectors: a topic's direction and noise, of norm 1.
        seed: of all draws.

    Raises:
        StudyError: one of them is out of range.
    """
    if min(training, test, models, topics, size) < 1 or users < 0:
        raise StudyError(
            f"no world of {models} models, {topics} topics, {users} users, {training} and {test} questions"
        )
    rng = np.random.default_rng(seed)
    count = training + test
    skill = rng.normal(scale=_TOPIC, size=(topics, models))
    taste = rng.normal(scale=_TASTE, size=(max(users, 1), models)) * (users > 0)
    centres = rng.normal(size=(topics, size))
    topic, user = rng.integers(topics, size=count), rng.integers(max(users, 1), size=count)
    found = centres[topic] + 0.9 * rng.normal(size=(count, size))
    vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    chance = chances(skill[topic] + taste[user])
    drawn = (rng.random(chance.shape) < chance).astype(np.float64)
    rows = np.arange(count)
    return (
        _asked(rows[:training], vectors, drawn, topic, user, seed, users),
        _asked(rows[training:], vectors, chance, topic, user, seed, users),
    )


def _asked(
    rows: NDArray[np.intp],
    vectors: Vectors,
    scores: Floats,
    topic: NDArray[np.int64],
    user: NDArray[np.int64],
    seed: int,
    users: int,
) -> Asked:
    table = AnswerTable(
        title="invented",
        questions=tuple(f"world {seed}, question {k}" for k in rows),
        models=tuple(f"model-{k}" for k in range(scores.shape[1])),
        scores=scores[rows],
        topics=tuple(f"topic {topic[k]}" for k in rows),
        measured="Nothing was: topics, users and chances are drawn.",
    )
    return Asked(vectors[rows], table, tuple(f"user-{user[k]}" for k in rows) if users else None)
