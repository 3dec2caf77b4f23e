"""Who plays in a study: by name, as told, or as an object of yours, and what each has learnt."""

from pathlib import Path

import numpy as np
import pytest

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.plain.spread import RoundRobin
from experiments.studies.study import Dialogues, Questions, Study
from experiments.studies.study.cells.policies import Entrant
from experiments.worlds.presets import find_preset
from mechanisms import Preferences
from tests.experiments.studies.study.few import FEW, TABLE, Mine, figures


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("psychic", "no policy 'psychic'; there are: iemas, "),
        ("iemass", "no policy 'iemass'; did you mean iemas\\? There are: iemas, "),
        ("nowhere_at_all:Policy", r"run where nowhere_at_all\.py lies"),
        ("knn", "'knn' learns from a table of scores, and shipped, 2/s, .* keeps none; use Questions"),
        ("iemas+psychic", "no predictor 'psychic'; there are: by-question, knn"),
        (object(), "is no policy"),
        (lambda: object(), "is no policy .*: it has no attach, ready, decide, notice"),
    ],
)
def test_who_cannot_play_is_found_out_before_anything_is_played(policy: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=said):
        Study(FEW, ["random", policy], despite_audit=True).run(workers=0, kept=tmp_path / "folder" / "runs.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_learned_routers_say_what_they_lack() -> None:
    with pytest.raises(StudyError, match=r"'knn@hashed' learns .* keeps none; give `train` rows"):
        Study(Questions(TABLE, train=0, count=2), ["knn@hashed"]).run(workers=0)


@pytest.mark.slow
def test_learned_routers_learn_from_what_is_kept_out_and_route_by_it() -> None:
    load = Questions(TABLE, train=6, count=6, rate=5.0)
    result = Study(load, ["knn@hashed", "iemas+knn@hashed", "random"], seeds=1).run(workers=0)
    assert result.mean("knn@hashed", "quality") == 1.0 > result.mean("random", "quality")
    [run] = result.of_policy("knn@hashed")
    assert run.score.shares == (0.0, 1.0) and result.described["quality"].startswith("scores of ten.json")


def test_entrants_are_called_by_name_class_or_as_told() -> None:
    class Titled(RoundRobin):
        @property
        def name(self) -> str:  # type: ignore[override]
            return "its own"

        @name.setter
        def name(self, value: str) -> None: ...

    class Fixed(RoundRobin):
        name = property(lambda self: "fixed")  # type: ignore[assignment]

        def __init__(self) -> None: ...

    def builder() -> RoundRobin:
        return RoundRobin()

    given = [
        "iemas+by-question",
        Mine,
        Mine(3),
        builder,
        ("other", Mine),
        {"name": "half", "policy": "iemas+knn"},
        Fixed,
    ]
    made = Study(FEW, given[:2] + given[3:]).entrants
    assert [one.name for one in made] == ["iemas+by-question", "mine", "builder", "other", "half", "Fixed"]
    assert (made[0].policy, made[0].predictor) == ("iemas", "by-question")
    assert (made[4].policy, made[4].predictor) == ("iemas", "knn")
    assert Study(FEW, [Entrant("x", "random")]).entrants[0].policy == "random"
    # A name that cannot be set is no reason not to play, and tables go by the entrant's.
    result = Study(Dialogues("shipped", dialogues=1, turns=1), [("a", Fixed()), ("b", Titled)], seeds=1).run(workers=0)
    assert result.policies == ("a", "b")


def test_a_policy_of_yours_is_new_for_every_run() -> None:
    class Learner(Mine):
        def decide(self, offers, fleet):  # type: ignore[no-untyped-def]
            self.decided += 1
            assert self.decided < 99
            return super().decide(offers, fleet)

    mine, shared = Learner(90), Learner(90)
    result = Study(FEW, [("mine", mine), ("shared", lambda: shared), ("plain", "round-robin")], seeds=3).run(workers=0)
    assert mine.decided == shared.decided == 90
    runs = [[one[3:] for one in figures(result) if one[1] == name] for name in ("mine", "shared", "plain")]  # type: ignore[index]
    assert runs[0] == runs[1] == runs[2]


def test_an_oracle_is_told_each_answer() -> None:
    scores = np.tile([[0.0, 1.0], [1.0, 0.0]], (5, 1))
    table = AnswerTable("ten.json", tuple(f"q{k}" for k in range(10)), ("a-8b", "b-8b"), scores)
    rich = Study(
        Questions(table, train=0, count=10, rate=1.0),
        ["oracle", "random"],
        seeds=1,
        bidders=lambda rng: Preferences(1000.0, 0.001),
    ).run(workers=0)
    assert rich.mean("oracle", "quality") == 1.0 > rich.mean("random", "quality")
    [run] = rich.of_policy("oracle")
    assert run.score.shares == (0.5, 0.5)
    # Whatever others are told to foretell with.
    made = Study(Questions(table, train=0, count=10), ["oracle"], predictor="by-question")
    assert (
        made.entrants[0].make(made.cells[0], 0, made.cells[0].workload.draw(find_preset("differing"), 0)).name
        == "oracle"
    )
