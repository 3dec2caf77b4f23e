"""A warm-up teaches all who forecast the same, from dialogues that the contest does not hold."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.data import Dialogue, Turn
from experiments.errors import StudyError
from experiments.routers.catalogue import INFORMED
from experiments.routers.informed import Informed
from experiments.studies.arena import contest as contests
from experiments.studies.arena.contest import World, contest
from experiments.studies.arena.rivals import everybody
from experiments.studies.arena.warm_up import lessons, taught
from experiments.worlds.fleets import FLEET
from experiments.worlds.traffic.agents import drawn_right
from runtime import Agent, Auction, EngineInfo
from runtime.policies.skill import PerQuestionSkill, PooledSkill

DIALOGUES = [
    Dialogue(f"d{k}", "A quay.", (Turn("When?", ("at two",)), Turn("Where?", ("there",))), "test") for k in range(100)
]
AGENTS = [Agent(one.name, EngineInfo(one.calibration, 32, 364, 4096, 8, "words", True), one.prices, 8) for one in FLEET]


def test_every_agent_answers_every_turn_once_as_often_right_as_it_is_skilled() -> None:
    taken = lessons(DIALOGUES, FLEET, 5)
    assert len({lesson.offer.request.id for lesson in taken}) == len(taken) == 200
    right = np.array([lesson.right for lesson in taken]).mean(axis=0)
    assert right == pytest.approx([one.skill for one in FLEET], abs=0.1)
    assert [one.right for one in lessons(DIALOGUES, FLEET, 5)] == [one.right for one in taken]
    assert [one.right for one in lessons(DIALOGUES, FLEET, 6)] != [one.right for one in taken]
    assert taken[1].right[2] == drawn_right(FLEET[2].skill, FLEET[2].name, 5, "warm-up/d0/1")
    # The recorded dialogue goes on as it was recorded.
    assert [message.content for message in taken[1].offer.request.messages][1:] == ["When?", "at two", "Where?"]


@pytest.mark.parametrize("model", [PooledSkill, PerQuestionSkill])
def test_who_was_taught_knows_who_answers_right(model: type[PooledSkill | PerQuestionSkill]) -> None:
    taken = lessons(DIALOGUES, FLEET, 5)
    before, after = taught([], model)(AGENTS), taught(taken, model)(AGENTS)
    offers = [taken[0].offer]
    skills = np.array([one.skill for one in FLEET])
    assert np.abs(after.predict(offers)[0] - skills).max() < 0.08 < np.abs(before.predict(offers)[0] - skills).max()
    assert (after.doubt() < before.doubt()).all()


def test_all_who_forecast_are_taught_and_nobody_else() -> None:
    taken = lessons(DIALOGUES, FLEET, 5)
    warm, cold = everybody(FLEET, taken), everybody(FLEET)
    for name in ("iemas", *INFORMED, "iemas, no price prior", "iemas without any"):
        chances = []
        for known in (warm, cold):
            policy = known[name](0)
            assert isinstance(policy, Auction | Informed)
            policy.attach(AGENTS)
            chances.append(policy.forecaster.quality.predict([taken[0].offer])[0])
        assert chances[0] == pytest.approx([one.skill for one in FLEET], abs=0.08), name
        assert not np.allclose(chances[0], chances[1], atol=0.03), name
    assert warm.keys() == cold.keys()


def talks(folder: Path, name: str, *, answered: bool = True, count: int = 5) -> str:
    path = folder / name
    turns = [{"question": "When?", "answers": ["at two"]}] if answered else [{"role": "user", "content": "When?"}]
    made = {
        "format": "iemas-dialogues/1",
        "documents": {"quay": {"title": "Quay", "text": ["The ferry leaves at two."]}},
        "dialogues": [{"id": f"q{k}", "document": "quay", "turns": turns} for k in range(count)],
    }
    chats = [{"id": f"q{k}", "messages": turns} for k in range(count)]
    path.write_text(json.dumps(made if answered else chats))
    return str(path)


def test_what_warms_up_is_not_played(tmp_path: Path) -> None:
    name = talks(tmp_path, "talks.json")
    for dialogues, played in ((2, ["q0", "q1"]), (20, ["q0", "q1", "q2"])):
        cell = World((name,), 1.0, dialogues=dialogues, warm_up=2).cell()
        assert [one.id for one in cell.corpora[0].dialogues] == played
        assert [one.id for one in cell.warm_up] == ["q3", "q4"]
    assert len(World((name,), 1.0).cell().corpora[0].dialogues) == 5 and World((name,), 1.0).cell().warm_up == ()


def test_a_warm_up_that_cannot_be_is_said_before_anything_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contests, "_played", lambda *_: pytest.fail("played"))
    for name, count, said in (
        (talks(tmp_path, "few.json"), 5, "has 5 dialogues; a warm-up of 5 leaves none to play"),
        (talks(tmp_path, "chats.json", answered=False), 1, "nobody can grade dialogue 'q4'"),
    ):
        with pytest.raises(StudyError, match=said):
            contest([World((name,), 1.0, warm_up=count)], [0], ["random"])


def test_worlds_with_a_warm_up_are_called_so() -> None:
    assert World(("shipped",), 1.0, warm_up=3).name == "shipped, 1/s, differing, 3 to warm up"
