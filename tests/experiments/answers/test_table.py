"""Tables of measured scores: what they hold, what they refuse, how they are cut."""

import numpy as np
import pytest

from experiments.answers import AnswerTable
from experiments.errors import DatasetError


def _table(**changed: object) -> AnswerTable:
    given: dict[str, object] = {
        "title": "six.json",
        "questions": tuple(f"q{k}" for k in range(6)),
        "models": ("a", "b"),
        "scores": np.arange(12).reshape(6, 2) / 12,
        "prices": [[1.0, 2.0], [3.0, 4.0]],
        "outputs": np.arange(12).reshape(6, 2),
        "topics": tuple("xyxyxy"),
    }
    return AnswerTable(**{**given, **changed})  # type: ignore[arg-type]


def test_the_best_model_and_the_oracle_are_what_the_scores_say() -> None:
    table = _table(scores=[[1, 0], [0, 1], [0, 1], [0, 1], [0, 0], [0, 0]])
    assert table.best_single == 1
    assert table.oracle == 4 / 6


def test_a_split_shares_no_question_and_keeps_rows_together() -> None:
    table = _table()
    one, other = table.split(4, 2, seed=3)
    assert sorted(one.questions + other.questions) == sorted(table.questions)
    for part in (one, other):
        for k, question in enumerate(part.questions):
            at = table.questions.index(question)
            assert part.scores[k].tolist() == table.scores[at].tolist()
            assert part.outputs is not None and table.outputs is not None
            assert part.outputs[k].tolist() == table.outputs[at].tolist()
            assert part.topics[k] == table.topics[at]
    assert table.split(4, 2, seed=3)[0].questions == one.questions
    assert table.split(4, 2, seed=4)[0].questions != one.questions


def test_some_models_keep_their_own_columns() -> None:
    table = _table()
    turned = table.only(("b", "a"))
    assert turned.scores.tolist() == table.scores[:, ::-1].tolist()
    assert turned.prices is not None and turned.prices.tolist() == [[3.0, 4.0], [1.0, 2.0]]
    with pytest.raises(DatasetError, match="no model 'c'"):
        table.only(("c",))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"questions": ()}, "0 questions"),
        ({"models": ("a", "a")}, "twice"),
        ({"scores": np.zeros((5, 2))}, r"scores are \(5, 2\)"),
        ({"scores": np.full((6, 2), 1.5)}, "row 0"),
        ({"scores": np.full((6, 2), np.nan)}, "row 0"),
        ({"prices": [[1.0, -2.0], [3.0, 4.0]]}, "prices of row 0"),
        ({"topics": ("x",)}, "1 topics"),
    ],
)
def test_what_is_no_table_is_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        _table(**changed)


def test_a_split_that_asks_for_more_than_there_is_is_refused() -> None:
    with pytest.raises(DatasetError, match="no split into 5 and 2"):
        _table().split(5, 2)
