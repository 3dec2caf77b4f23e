"""Routers on invented questions: each beats a die by far, comes near who knows the chances, owes nothing to order."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.learned.contrastive import RouterDC, smoothed
from experiments.routers.learned.factors import MFRouter
from experiments.routers.learned.graph import GraphRouter
from experiments.routers.learned.logistic import LogisticRouter
from experiments.routers.learned.nearest import KNN
from experiments.routers.learned.policy import Calibrated
from experiments.routers.learned.references import BestSingle, OracleRouter, RandomRouter
from experiments.routers.learned.router import QueryRouter, Users, Vectors
from experiments.routers.learned.users import GMTRouter
from experiments.studies.routing.invented import invented

Make = Callable[[], QueryRouter]

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs torch: pip install 'iemas[baselines]'"
)
TORCHLESS: list[Make] = [KNN, LogisticRouter, MFRouter, lambda: RouterDC(steps=300)]
LEARNED = [
    *(pytest.param(make, id=make().name) for make in TORCHLESS),
    pytest.param(lambda: GraphRouter(epochs=40), id="graph", marks=needs_torch),
    pytest.param(lambda: GMTRouter(epochs=100), id="gmt", marks=needs_torch),
]
REFERENCES = [pytest.param(make, id=make.name) for make in (BestSingle, RandomRouter, OracleRouter)]

LEARN, TEST = invented(300, 200, seed=5)


@cache
def learnt(make: Make) -> QueryRouter:
    """Fitted once for all tests that only ask it."""
    router = make()
    router.fit(LEARN.vectors, LEARN.table, seed=3)
    return router


def value(router: QueryRouter, vectors: Vectors, table: AnswerTable, users: Users = None) -> float:
    scores = router.scores(vectors, users)
    assert scores.shape == table.scores.shape
    return float(table.scores[np.arange(len(scores)), scores.argmax(axis=1)].mean())


def reached(router: QueryRouter) -> float:
    """How far from a die's value (0) to the best that there is (1)."""
    low, high = TEST.table.scores.mean(), TEST.table.oracle
    return float((value(router, TEST.vectors, TEST.table) - low) / (high - low))


@pytest.mark.parametrize("make", LEARNED)
def test_a_router_finds_who_knows_which_topic(make: Make) -> None:
    router, single = learnt(make), learnt(BestSingle)
    assert reached(router) > 0.6 > reached(single) + 0.2
    if router.foretells:
        scores = router.scores(TEST.vectors)
        assert scores.min() >= 0 and scores.max() <= 1
        assert np.abs(scores.mean(axis=0) - TEST.table.scores.mean(axis=0)).max() < 0.1


def test_references_are_where_they_belong() -> None:
    die, single, oracle = RandomRouter(), BestSingle(), OracleRouter()
    for one in (die, single):
        one.fit(LEARN.vectors, LEARN.table)
    oracle.fit(TEST.vectors, TEST.table)
    assert abs(reached(die)) < 0.2
    assert reached(oracle) == 1
    assert set(single.scores(TEST.vectors).argmax(axis=1)) == {LEARN.table.best_single}
    picks = np.bincount(die.scores(TEST.vectors).argmax(axis=1), minlength=4)
    assert picks.min() > 25 and picks.tolist() == np.bincount(die.scores(TEST.vectors).argmax(axis=1)).tolist()
    with pytest.raises(StudyError, match="not fitted on question 0"):
        oracle.scores(LEARN.vectors[:1])


@pytest.mark.parametrize("make", [*LEARNED, *REFERENCES])
def test_neither_the_order_of_questions_nor_that_of_models_is_learnt(make: Make) -> None:
    rows = np.random.default_rng(1).permutation(len(LEARN.table.questions))
    models = tuple(LEARN.table.models[k] for k in (2, 0, 3, 1))
    one, other = learnt(make), make()
    other.fit(LEARN.vectors[rows], LEARN.table.rows(rows).only(models), seed=3)
    assert other.models == models
    asked = LEARN.vectors[:40]
    found, again = one.scores(asked), other.scores(asked)
    if one.name == "random":
        found = np.sort(found)
        again = np.sort(again)
    else:
        found = found[:, [LEARN.table.models.index(name) for name in models]]
    np.testing.assert_allclose(again, found, atol=1e-6)


@pytest.mark.parametrize("make", LEARNED)
def test_a_question_is_scored_the_same_alone_and_among_others(make: Make) -> None:
    router = learnt(make)
    together = router.scores(TEST.vectors)
    alone = np.concatenate([router.scores(TEST.vectors[k : k + 1]) for k in range(20)])
    np.testing.assert_allclose(alone, together[:20], atol=1e-5)


@pytest.mark.parametrize("make", LEARNED)
def test_two_models_and_few_questions_are_enough(make: Make) -> None:
    table = LEARN.table.only(LEARN.table.models[:2]).rows(np.arange(3))
    router = make()
    router.fit(LEARN.vectors[:3], table)
    assert np.isfinite(router.scores(TEST.vectors)).all()


@pytest.mark.parametrize("make", [*LEARNED, *REFERENCES])
def test_what_does_not_fit_is_refused_by_name(make: Make) -> None:
    router = make()
    with pytest.raises(StudyError, match="call `fit` first"):
        router.scores(LEARN.vectors)
    with pytest.raises(StudyError, match=r"\(299, 64\).*300 questions"):
        router.fit(LEARN.vectors[1:], LEARN.table)
    with pytest.raises(StudyError, match="7 users for 300"):
        router.fit(LEARN.vectors, LEARN.table, users=["a"] * 7)
    spoilt = LEARN.vectors.copy()
    spoilt[17, 3] = np.nan
    with pytest.raises(StudyError, match="vector 17, of 'world 5, question 17'"):
        router.fit(spoilt, LEARN.table)


@pytest.mark.parametrize(
    "make",
    [
        lambda: KNN(0),
        lambda: LogisticRouter(0.0),
        lambda: MFRouter(penalty=0.0),
        lambda: RouterDC(steps=0),
        lambda: GraphRouter(visible=1.0),
        lambda: GMTRouter(hidden=30),
    ],
)
def test_a_setting_out_of_range_is_refused(make: Make) -> None:
    with pytest.raises(StudyError):
        make()


@needs_torch
def test_users_with_a_taste_are_known_by_their_history_and_strangers_are_nobody() -> None:
    learn, test = invented(users=12, seed=2)
    assert learn.users is not None and test.users is not None
    blind, hot, graph = LogisticRouter(), LogisticRouter(with_users=True), GMTRouter(epochs=100)
    for one in (blind, hot, graph):
        one.fit(learn.vectors, learn.table, users=learn.users)
    found = {one.name: value(one, test.vectors, test.table, test.users) for one in (blind, hot, graph)}
    assert min(found["logistic + user"], found["gmt"]) > found["logistic"] + 0.04
    for one in (hot, graph):
        stranger, nobody = (one.scores(test.vectors[:5], users) for users in (["who?"] * 5, None))
        np.testing.assert_array_equal(stranger, nobody)


@needs_torch
def test_training_leaves_torch_as_it_was() -> None:
    import torch

    torch.manual_seed(4)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    GraphRouter(epochs=1).fit(LEARN.vectors, LEARN.table)
    assert torch.equal(torch.random.get_rng_state(), before) and torch.get_num_threads() == threads


@pytest.mark.parametrize("make", [GraphRouter, GMTRouter])
def test_without_torch_the_remedy_is_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(StudyError, match=r"trained with torch.*iemas\[baselines\]"):
        make().fit(LEARN.vectors, LEARN.table)


@pytest.mark.slow
def test_torch_is_imported_by_those_alone_who_are_trained_with_it() -> None:
    told = """
import sys
from experiments.routers.learned import contrastive, embedding, graph, users
from experiments.studies.routing import comparison, study
from experiments.studies.routing.invented import invented
learn, test = invented(40, 10)
for name in set(comparison.LEARNED) - comparison.WITH_TORCH:
    router = comparison.LEARNED[name]()
    router.fit(learn.vectors, learn.table)
    router.scores(test.vectors)
study.choose([], comparison.LEARNED)
assert not {"torch", "sklearn", "tokenizers"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_smoothing_averages_over_the_most_alike() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    scores = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(smoothed(vectors, scores, 2)[0], [0.5, 0.0])
    np.testing.assert_allclose(smoothed(vectors, scores, 1), scores)
    np.testing.assert_allclose(smoothed(vectors, scores, 9), np.tile(scores.mean(axis=0), (3, 1)))


@pytest.mark.slow
def test_what_only_ranks_is_calibrated_on_questions_it_has_not_seen() -> None:
    router = Calibrated(MFRouter())
    router.fit(LEARN.vectors, LEARN.table)
    scores = router.scores(TEST.vectors)
    assert router.foretells and router.name == "mf" and router.models == LEARN.table.models
    assert scores.min() > 0 and scores.max() < 1
    assert np.abs(scores.mean(axis=0) - TEST.table.scores.mean(axis=0)).max() < 0.15
    # Better than the mean of each model as a forecast, by squared error.
    flat = ((TEST.table.scores - LEARN.table.scores.mean(axis=0)) ** 2).mean()
    assert ((TEST.table.scores - scores) ** 2).mean() < 0.8 * flat
    rows = np.random.default_rng(2).permutation(300)
    again = Calibrated(MFRouter())
    again.fit(LEARN.vectors[rows], LEARN.table.rows(rows))
    np.testing.assert_allclose(again.scores(TEST.vectors), scores, atol=1e-6)
    with pytest.raises(StudyError, match="one question"):
        again.fit(LEARN.vectors[:1], LEARN.table.rows(np.arange(1)))


def test_all_answers_wrong_is_no_crash() -> None:
    table = replace(LEARN.table, scores=np.zeros_like(LEARN.table.scores))
    for make in TORCHLESS:
        router = make()
        router.fit(LEARN.vectors, table)
        assert np.isfinite(router.scores(TEST.vectors)).all()
