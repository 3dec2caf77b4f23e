"""Both quality models in a fleet where two agents run one model."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from mechanisms import Preferences
from prediction import TokenPrices
from runtime import EngineInfo
from runtime.policies.policy import Agent
from runtime.policies.skill import PerQuestionSkill, PooledSkill, QualityModel, question
from tests.runtime.policies.test_paper import offer

Make = Callable[[Sequence[Agent]], QualityModel]
MAKES: list[Make] = [PooledSkill, PerQuestionSkill]


def agents() -> list[Agent]:
    made = []
    for name, model, price in (("a", "small", 1.0), ("b", "large", 2.0), ("c", "large", 2.0)):
        info = EngineInfo(model, 4, 1000, 1000, 4, "t", simulated=True)
        made.append(Agent(name, info, TokenPrices(price, price / 10, price), 4))
    return made


@pytest.mark.parametrize("make", MAKES)
def test_a_dearer_model_is_taken_to_be_better_until_nobody_can_tell(make: Make) -> None:
    skill = make(agents())
    made = offer("r", "who?", agents=3)
    small, large, other = skill.predict([made])[0]
    assert small < 0.5 < large == other
    for _ in range(400):
        skill.learn(made, 0, None)
    assert np.ptp(skill.predict([made])) < 0.01


@pytest.mark.parametrize("make", MAKES)
def test_agents_of_one_model_learn_together(make: Make) -> None:
    skill = make(agents())
    made = offer("r", "who?", agents=3)
    before = skill.predict([made])[0]
    for _ in range(20):
        skill.learn(made, 1, True)
    after = skill.predict([made])[0]
    assert after[1] == after[2] > before[2] + 0.2
    assert skill.doubt()[1] == skill.doubt()[2] < skill.doubt()[0]


@pytest.mark.parametrize("make", MAKES)
def test_no_report_and_no_name_is_read(make: Make) -> None:
    one, other = make(agents()), make(agents())
    for k in range(40):
        honest = offer(f"r{k}", f"who was number {k}?", agents=3, preferences=Preferences(50.0, 1.0))
        claims = replace(honest, preferences=Preferences(1.0, 9.0))
        claims = replace(claims, request=replace(claims.request, id="x", bidder="y", dialogue="z", turn=99))
        assert (one.predict([honest]) == other.predict([claims])).all()
        one.learn(honest, k % 3, k % 2 == 0)
        other.learn(claims, k % 3, k % 2 == 0)


def test_before_anything_is_learnt_both_say_the_same() -> None:
    made = [offer("r", "who?", agents=3), offer("s", "12 * 7?", agents=3)]
    pooled, each = PooledSkill(agents()), PerQuestionSkill(agents())
    assert each.predict(made) == pytest.approx(pooled.predict(made))
    assert each.doubt() == pytest.approx(pooled.doubt())


def test_the_question_is_what_the_user_said_last() -> None:
    assert question(offer("r", "who?", "Ada.", "and when?")) == "and when?"
    assert question(offer("r")) == ""


def test_no_offers_are_no_rows() -> None:
    assert PerQuestionSkill(agents()).predict([]).shape == (0, 3)
