import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prediction import PerQuestion, PredictionError
from prediction.quality.experts import Counts
from prediction.quality.gate import believable

QUESTIONS = ["who wrote hamlet?", "who wrote macbeth?", "12 * 7 = ?", "13 * 8 = ?", "", "café " * 400]
answers = st.lists(
    st.tuples(st.sampled_from(QUESTIONS), st.integers(0, 2), st.sampled_from([True, False, None])), max_size=60
)
Answers = list[tuple[str, int, bool | None]]


def taught(history: Answers, **sizes: int) -> PerQuestion:
    skill = PerQuestion(np.array([-0.1, 0.0, 0.1]), **sizes)
    for question, model, right in history:
        skill.learn(question, model, right)
    return skill


@given(answers)
@settings(deadline=None)
def test_chances_are_chances(history: Answers) -> None:
    skill = taught(history)
    chances = skill.predict(QUESTIONS)
    assert chances.shape == (6, 3)
    assert (chances > 0).all() and (chances < 1).all()
    assert (skill.doubt() > 0).all() and (skill.doubt() <= 0.5).all()


@given(answers, st.permutations(range(len(QUESTIONS))), st.integers(1, 3))
@settings(deadline=None)
def test_what_is_predicted_of_a_question_depends_on_no_other_asked_with_it(
    history: Answers, order: list[int], memo: int
) -> None:
    # A short memory for questions makes others push this one out.
    skill = taught(history, memo=memo)
    together = skill.predict([QUESTIONS[k] for k in order])
    alone = np.concatenate([skill.predict([QUESTIONS[k]]) for k in order])
    assert (together == alone).all()


@given(answers)
@settings(deadline=None)
def test_predicting_changes_nothing(history: Answers) -> None:
    quiet, asked = taught(history), PerQuestion(np.array([-0.1, 0.0, 0.1]))
    for question, model, right in history:
        asked.predict(QUESTIONS)
        asked.learn(question, model, right)
    assert (quiet.predict(QUESTIONS) == asked.predict(QUESTIONS)).all()


@given(st.lists(st.tuples(st.integers(0, 2), st.none()), max_size=60))
@settings(deadline=None)
def test_answers_that_nobody_can_grade_fade_the_prior_and_teach_nothing_else(history: list[tuple[int, None]]) -> None:
    skill = taught([("who wrote hamlet?", model, right) for model, right in history])
    faded = 0.1 * 4 / (4 + len(history))
    assert skill.predict(["who wrote hamlet?"]) == pytest.approx(np.array([[0.5 - faded, 0.5, 0.5 + faded]]))


def test_memory_is_bounded() -> None:
    skill = PerQuestion(np.zeros(2), memory=8, memo=16)
    for k in range(200):
        skill.predict([f"question {k}", f"another {k}"])
        skill.learn(f"question {k}", k % 2, k % 3 == 0)
    assert len(skill._known) == 16
    assert skill._neighbours._questions.shape[:2] == (2, 8)


def test_the_oldest_answers_are_forgotten() -> None:
    one, other = PerQuestion(np.zeros(1), memory=4), PerQuestion(np.zeros(1), memory=4)
    for k in range(4):
        one.learn(f"{k} apples", 0, True)
        other.learn(f"{k} apples", 0, False)
    for skill in (one, other):
        for k in range(4):
            skill.learn(f"{k} pears", 0, k % 2 == 0)
    vector = one._know("2 pears").vector[None]
    assert one._neighbours.find(vector, 0)[0] == other._neighbours.find(vector, 0)[0] == 2


def test_a_model_good_at_one_topic_is_found_out() -> None:
    rng = np.random.default_rng(0)
    skill = PerQuestion(np.zeros(2))
    topics = ("the poem of the sailor {} and the sea", "compute {} times seven minus two")
    for k in range(600):
        topic, model = int(rng.integers(2)), int(rng.integers(2))
        skill.learn(topics[topic].format(k), model, bool(rng.random() < (0.9 if topic == model else 0.2)))
    chances = skill.predict([topic.format("9999") for topic in topics])
    assert chances == pytest.approx(np.array([[0.9, 0.2], [0.2, 0.9]]), abs=0.15)
    assert skill.weights["counts"] < 0.05


def test_where_questions_tell_nothing_counts_are_believed() -> None:
    rng = np.random.default_rng(1)
    skill, counts = PerQuestion(np.zeros(2)), Counts(np.zeros(2), 4.0)
    brier = log_loss = 0.0
    for _ in range(2000):
        model, question = int(rng.integers(2)), " ".join(rng.choice(["who", "what", "sea", "seven", "poem"], 4))
        right = bool(rng.random() < (0.4, 0.7)[model])
        ours, theirs = float(skill.predict([question])[0, model]), float(believable(counts.means())[model])
        brier += ((ours - right) ** 2 - (theirs - right) ** 2) / 2000
        log_loss += math.log((theirs if right else 1 - theirs) / (ours if right else 1 - ours))
        skill.learn(question, model, right)
        counts.learn(model, right)
    assert skill.weights["counts"] > 0.8
    assert brier <= 0.005
    assert log_loss <= math.log(2) + math.log(2001) / 2


def test_somebody_elses_embedder_is_used() -> None:
    class Lengths:
        size = 2

        def embed(self, text: str) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
            return np.array([len(text) > 10, len(text) <= 10], np.float32)

    skill = PerQuestion(np.zeros(1), embedder=Lengths())
    for _ in range(50):
        skill.learn("short", 0, True)
        skill.learn("a long question", 0, False)
    assert skill.predict(["brief"])[0, 0] > 0.8 > 0.2 > skill.predict(["something very long"])[0, 0]


@pytest.mark.parametrize("wrong", [{"memory": 0}, {"memo": 0}])
def test_sizes_are_positive(wrong: dict[str, int]) -> None:
    with pytest.raises(PredictionError, match="at least 1"):
        PerQuestion(np.zeros(1), **wrong)
