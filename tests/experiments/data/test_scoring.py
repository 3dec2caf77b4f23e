"""The measures of answers: laws for all texts, and the cases that their authors settled."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.data import scoring
from experiments.data.scoring import answer_quality, exact_match, is_correct, normalise, token_f1

WORDS = st.lists(st.sampled_from(["the", "a", "Bo", "bo!", "cat", "the.cat", "", "1,000"]), max_size=8).map(" ".join)
# A named alphabet: Unicode's oddest casing, marks and spaces, without building the table of all characters.
TEXTS = st.text("abehtnABN .,!'-0\t\n\u00a0\u0130\u03a3\u0310\u00e9", max_size=40) | WORDS


@given(TEXTS)
def test_normalising_twice_is_normalising_once(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(TEXTS, TEXTS)
def test_f1_is_symmetric_and_bounded(one: str, other: str) -> None:
    assert token_f1(one, other) == token_f1(other, one)
    assert 0.0 <= token_f1(one, other) <= 1.0


@given(TEXTS, TEXTS)
def test_an_exact_match_has_f1_one(one: str, other: str) -> None:
    if exact_match(one, other):
        assert token_f1(one, other) == 1.0
    assert exact_match(one, one)


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=4), TEXTS)
def test_one_more_gold_answer_never_lowers_the_quality(text: str, answers: list[str], more: str) -> None:
    before, after = answer_quality(text, answers), answer_quality(text, [*answers, more])
    assert before is not None and after is not None
    assert before <= after


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("The Green Kiosk!", "green kiosk", 1.0),
        ("kiosk", "green kiosk", 2 / 3),
        ("kiosk kiosk", "green kiosk", 0.5),
        ("1,840 crowns", "1840 crowns", 1.0),
        ("", "green", 0.0),
        ("the", "a", 1.0),
        ("theatre", "atre", 0.0),
    ],
)
def test_f1_of_settled_cases(text: str, answer: str, expected: float) -> None:
    assert token_f1(text, answer) == pytest.approx(expected)


def test_without_gold_nothing_is_claimed() -> None:
    assert answer_quality("anything", ()) is None
    assert is_correct(None) is None


def test_the_threshold_counts_as_correct() -> None:
    assert is_correct(0.3)
    assert not is_correct(0.29)
    assert is_correct(0.5, threshold=0.5)


def test_the_examples_in_the_docstrings() -> None:
    assert doctest.testmod(scoring).failed == 0
