"""The comparison: better is only who is so beyond doubt, and every figure is of questions not learnt from."""

import numpy as np
import pytest

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.learned.nearest import KNN
from experiments.routers.learned.references import BestSingle
from experiments.routers.learned.router import Floats, Users, Vectors
from experiments.studies.routing import study
from experiments.studies.routing.comparison import LEARNED, PERSONAL, Asked, compare, paired, resplit
from experiments.studies.routing.invented import invented
from experiments.studies.routing.study import Hashed, choose, on_table


class Shameless(BestSingle):
    """Remembers the questions that it learns from, to tell whether it is tested on one."""

    seen: frozenset[bytes] = frozenset()

    def fit(self, vectors: Vectors, table: AnswerTable, *, users: Users = None, seed: int = 0) -> None:
        super().fit(vectors, table, users=users, seed=seed)
        self.seen = frozenset(vector.tobytes() for vector in vectors)

    def scores(self, vectors: Vectors, users: Users = None) -> Floats:
        assert not self.seen & {vector.tobytes() for vector in vectors}
        return super().scores(vectors, users)


def test_rows_say_what_each_picked_and_stars_are_earned() -> None:
    cases = [invented(seed=seed) for seed in range(2)]
    told: list[tuple[str, int, int]] = []
    rows = {
        row.router: row
        for row in compare(
            cases, {"knn": KNN, "same": Shameless}, lambda name, done, total: told.append((name, done, total))
        )
    }
    assert list(rows) == ["random", "best-single", "oracle", "knn", "same"]
    assert rows["oracle"].picks == 1 and rows["oracle"].value == pytest.approx(
        np.mean([test.table.oracle for _, test in cases])
    )
    assert rows["knn"].better and rows["knn"].low < rows["knn"].gain < rows["knn"].high
    assert rows["knn"].gain == pytest.approx(rows["knn"].value - rows["best-single"].value)
    assert (rows["same"].gain, rows["same"].low, rows["same"].high, rows["same"].better) == (0, 0, 0, False)
    assert rows["random"].high < 0 and not rows["random"].better
    assert rows["knn"].error is not None and 0 < rows["knn"].error < 0.1
    assert [done for _, done, _ in told] == list(range(11)) and {total for *_, total in told} == {10}
    assert compare(cases[:1], {})[0].error is None


def test_a_question_in_several_tests_is_drawn_with_all_it_gained() -> None:
    gains = np.random.default_rng(0).normal(0.1, 1.0, size=400)
    names = [f"q{k}" for k in range(400)]
    once = paired([gains], [names])
    # Tested four times over, the same questions say no more.
    assert paired([gains] * 4, [names] * 4) == pytest.approx(once)
    others = paired([gains] * 4, [[f"{name}/{k}" for name in names] for k in range(4)])
    assert others[2] - others[1] < 0.6 * (once[2] - once[1])
    assert once[0] == pytest.approx(gains.mean())
    assert once[2] - once[1] == pytest.approx(2 * 1.96 * gains.std() / 20, rel=0.1)


def test_splits_have_no_question_in_common_and_differ() -> None:
    learn, _ = invented(50, 1)
    cases = resplit(learn, 30, 20, 3)
    for one, test in cases:
        assert not set(one.table.questions) & set(test.table.questions)
        assert len(one.vectors) == 30 and len(test.vectors) == 20
    assert len({case[0].table.questions for case in cases}) == 3
    with pytest.raises(StudyError, match="has 50 questions; no 3 splits into 30 to learn from and 21"):
        resplit(learn, 30, 21, 3)
    with pytest.raises(StudyError, match="no case"):
        compare([], {})


def test_scores_that_do_not_fit_are_refused_by_name() -> None:
    class Short(BestSingle):
        def scores(self, vectors: Vectors, users: Users = None) -> Floats:
            return super().scores(vectors, users)[:, 1:]

    with pytest.raises(StudyError, match=r"short scores \(20, 3\), expected finite ones of \(20, 4\)"):
        compare([invented(50, 20)], {"short": Short})


def test_users_are_handed_to_those_who_know_users() -> None:
    cases = [invented(users=10, seed=3)]
    personal = {name: make for name, make in PERSONAL.items() if name != "gmt"}
    rows = {row.router: row for row in compare(cases, personal)}
    assert rows["logistic + user"].value > rows["logistic"].value + 0.05


def test_routers_are_found_by_name_and_torch_is_missed_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory
) -> None:
    with pytest.raises(StudyError, match=r"no router 'psychic'; there are: knn, logistic, mf, router-dc, graph, .*gmt"):
        choose(["psychic"], LEARNED)
    monkeypatch.setattr(study.importlib.util, "find_spec", lambda name: None)
    chosen, left_out = choose([], LEARNED)
    assert list(chosen) == ["knn", "logistic", "mf", "router-dc"]
    assert left_out == ("graph is trained with torch: pip install 'iemas[baselines]'",)
    assert choose(["gmt", "oracle"], LEARNED) == ({}, ())


def test_a_table_is_embedded_and_compared(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IEMAS_CACHE", str(tmp_path))
    topics = np.arange(120) % 2
    questions = tuple((f"add {k} and {k + 1}", f"a poem on the sea, verse {k}")[k % 2] for k in range(120))
    table = AnswerTable("own", questions, ("sums", "verse"), np.eye(2)[topics])
    found = on_table(table, Hashed(), training=80, test=40, fits=2, routers=["knn", "logistic"])
    assert found.about == "own: 80 to learn from, 40 to test on, 2 fits"
    rows = {row.router: row for row in found.rows}
    assert rows["logistic"].value == rows["oracle"].value == 1.0 and rows["logistic"].better
    with pytest.raises(StudyError, match="no 1 splits into 100"):
        on_table(table, Hashed(), training=100, test=40, fits=1)


def test_an_invented_world_is_its_seed() -> None:
    one, again, other = invented(seed=1), invented(seed=1), invented(seed=2)
    np.testing.assert_array_equal(one[0].vectors, again[0].vectors)
    assert not set(one[1].table.questions) & set(other[1].table.questions)
    assert set(np.unique(one[0].table.scores)) == {0.0, 1.0} and len(np.unique(one[1].table.scores)) > 10
    assert one[0].users is None and len(set(invented(users=5)[0].users or ())) == 5
    rows = one[0].rows(np.array([3, 1]))
    assert isinstance(rows, Asked) and rows.table.questions == ("world 1, question 3", "world 1, question 1")
    with pytest.raises(StudyError, match="no world of 0 models"):
        invented(models=0)
