"""Dialogues and questions as traffic: turns wait for answers, conversations for their moment."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from experiments.answers import AnswerTable
from experiments.data import Corpus, load, locate
from experiments.data.chats import Schedule
from experiments.errors import StudyError
from experiments.worlds.fleets import FLEET
from experiments.worlds.traffic.agents import drawn_right
from experiments.worlds.traffic.answers import TableAnswers
from experiments.worlds.traffic.dialogues import DialogueTraffic, dialogue_traffic, question_traffic
from mechanisms import Preferences
from runtime import Declined, Request
from runtime.engines.simulated.virtual_time import run

Asked = list[tuple[float, str]]


def draw(rng: np.random.Generator) -> Preferences:
    return Preferences(float(rng.uniform(1, 100)), 1.0)


def corpus(dialogues: int = 3, turns: int = 2) -> Corpus:
    return load(locate("shipped")).shortened(turns).first(dialogues)


def talks(starts: Sequence[float], seed: int = 0, think_s: float = 5.0, bidders: int = 2) -> DialogueTraffic:
    return dialogue_traffic(
        [corpus(len(starts))],
        Schedule(tuple(starts), think_s),
        bidders=bidders,
        preferences=draw,
        max_tokens=8,
        seed=seed,
    )


def asked(traffic: DialogueTraffic, takes_s: float, declines: Sequence[str] = ()) -> Asked:
    """What was asked when, of an engine that takes so long."""
    found: Asked = []
    engine = traffic.engine(FLEET[0])

    async def ask(request: Request, reported: Preferences) -> object:
        found.append((round(asyncio.get_running_loop().time(), 6), request.id))
        await asyncio.sleep(takes_s)
        if request.id in declines:
            return Declined.__new__(Declined)
        done = await engine.generate(request)
        return type("Answered", (), {"completion": done})()

    async def hold() -> None:
        await engine.start()
        await traffic.hold(ask)  # type: ignore[arg-type]
        await engine.stop()

    run(hold(), virtual=True)
    return found


def test_a_turn_waits_for_the_answer_before_and_its_reader() -> None:
    traffic = talks([0.0], think_s=5.0)
    [name] = traffic.names
    (first, _), (second, after) = asked(traffic, takes_s=10.0)
    assert first == 0.0 and after == f"{name}/1" and 15.0 < second < 20.0


def test_a_closed_loop_begins_at_once_and_an_open_one_at_its_moments() -> None:
    closed, open_ = talks([0.0, 0.0, 0.0]), talks([0.5, 2.5, 4.0])
    begun = [(at, name) for at, name in asked(closed, 1.0) if name.endswith("/0")]
    # Those that begin at one moment ask in their order.
    assert begun == [(0.0, f"{name}/0") for name in closed.names]
    begun = [(at, name) for at, name in asked(open_, 100.0) if name.endswith("/0")]
    assert begun == [(at, f"{name}/0") for at, name in zip([0.5, 2.5, 4.0], open_.names, strict=True)]


def test_conversations_begin_in_the_order_of_their_moments_whatever_that_of_names() -> None:
    traffic = talks([4.0, 0.5, 0.5])
    begun = [name for _, name in asked(traffic, 0.1) if name.endswith("/0")]
    assert begun == [f"{traffic.names[k]}/0" for k in (1, 2, 0)]


def test_a_declined_turn_ends_its_conversation() -> None:
    traffic = talks([0.0, 0.0])
    one, other = traffic.names
    names = [name for _, name in asked(traffic, 0.1, declines=[f"{one}/0"])]
    assert sorted(names) == sorted([f"{one}/0", f"{other}/0", f"{other}/1"])


def test_the_same_seed_draws_the_same_and_another_something_else() -> None:
    same, again, other = (talks([0.0] * 6, seed=seed) for seed in (1, 1, 2))
    assert same.names == again.names != other.names and same.types == again.types != other.types
    assert [same.bidder(name) for name in same.names] == ["bidder-0", "bidder-1"] * 3


def table(outputs: bool = True) -> AnswerTable:
    scores = np.array([[0.0, 1.0], [0.25, 0.5], [1.0, 0.0]])
    lengths = np.array([[3, 4], [5, 6], [7, 1]]) if outputs else None
    return AnswerTable("three.json", ("p?", "q?", "r?"), ("small-a", "large"), scores, outputs=lengths)


def test_answers_of_a_table_are_right_by_its_scores_and_as_long_as_there() -> None:
    answers = TableAnswers(table(), {"x": 0, "y": 1, "z": 2}, seed=4)
    small = FLEET[0]
    assert [answers.quality(small, name) for name in "xyz"] == [0.0, 0.25, 1.0]
    assert [answers.reply(small, name).split()[0] for name in "xz"] == ["wrong", "right"]
    # The verdict and filler: with the engine's end mark, as many tokens as the table has.
    assert [len(answers.reply(small, name).split()) + 1 for name in "xyz"] == [3, 5, 7]
    assert answers.grade("x", answers.reply(small, "x")) == 0.0 and answers.grade("z", answers.reply(small, "z")) == 1.0
    assert answers.measured == "scores of three.json"
    assert TableAnswers(table(outputs=False), {"x": 0}, 0, output=9).reply(small, "x").count("word") == 7


def test_answers_are_drawn_once_for_a_model_and_a_request() -> None:
    rows = {f"r{k}": 1 for k in range(2000)}
    answers = TableAnswers(table(), rows, seed=4)
    twin = replace(FLEET[1], model="small-a")
    one = [answers.reply(FLEET[0], name) for name in rows]
    assert one == [answers.reply(FLEET[0], name) for name in rows] == [answers.reply(twin, name) for name in rows]
    right = sum(reply.startswith("right") for reply in one)
    assert right == sum(drawn_right(0.25, "small-a", 4, name) for name in rows)
    # 2,000 draws of a quarter: five standard deviations are 97.
    assert abs(right - 500) < 97
    other = TableAnswers(table(), rows, seed=5)
    assert one != [other.reply(FLEET[0], name) for name in rows]


def test_a_model_that_the_table_lacks_is_named_with_those_that_it_has() -> None:
    answers = TableAnswers(table(), {"x": 0}, 0)
    with pytest.raises(
        StudyError, match=r"three\.json has no scores of 'large-a'; its models are: small-a, large; give"
    ):
        answers.quality(FLEET[2], "x")


def test_questions_are_asked_once_as_long_as_they_last() -> None:
    starts = [0.1 * k for k in range(7)]
    one, two = (
        question_traffic(table(), starts, bidders=3, preferences=draw, max_tokens=8, seed=seed) for seed in (0, 1)
    )
    texts = [talk.dialogue.turns[0].question for talk in one.conversations]
    assert [sorted(texts[k : k + 3]) for k in (0, 3)] == [["p?", "q?", "r?"]] * 2 and len(texts) == 7
    assert texts != [talk.dialogue.turns[0].question for talk in two.conversations]
    assert one.title == "7 questions of three.json" and one.turns == 7
    for talk in one.conversations:
        row = table().questions.index(talk.dialogue.turns[0].question)
        assert one.quality(FLEET[0], f"{talk.name}/0") == table().scores[row, 0]


def test_a_turn_that_nobody_answered_is_named() -> None:
    missing = AnswerTable("t.json", ("p",), ("small-a",), np.array([[1.0]]), ids=("elsewhere/0",))
    with pytest.raises(
        StudyError, match=r"t\.json has no answers to turn '.*/0'; record them with `iemas record answers`"
    ):
        dialogue_traffic(
            [corpus(1)], Schedule((0.0,), 0.0), bidders=1, preferences=draw, max_tokens=8, seed=0, table=missing
        )
