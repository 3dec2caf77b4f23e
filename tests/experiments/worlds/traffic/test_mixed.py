"""Several kinds of traffic before one fleet: one engine and one cache, and each part's own answers and grades."""

import asyncio
from collections.abc import Mapping

import numpy as np
import pytest

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.worlds.fleets import FLEET
from experiments.worlds.rooflines import model_agent
from experiments.worlds.traffic.ceiling import hit_ceiling
from experiments.worlds.traffic.mixed import MixedTraffic
from experiments.worlds.traffic.traffic import Traffic
from experiments.worlds.workloads.mix import Mix
from experiments.worlds.workloads.workload import Dialogues, Questions, Trace
from mechanisms import Preferences
from runtime import Completion, EngineShape, Request
from runtime.engines.simulated.virtual_time import run
from tests.experiments.worlds.mixes import ASK, BIDDERS, CODE, TABLE, TALK, trace

SMALL = model_agent("a-8b")


def served(traffic: Traffic, agent: object = SMALL) -> Mapping[str, Completion]:
    """What one engine makes of all traffic."""
    engine, found = traffic.engine(agent), dict[str, Completion]()  # type: ignore[arg-type]

    async def ask(request: Request, reported: Preferences) -> object:
        # As the router does, which asks for the tokens first.
        tokens = await engine.tokenize(request.messages)
        done = found[request.id] = await engine.generate(request)
        assert done.token_ids[: len(tokens)] == tokens and done.prompt_tokens == len(tokens)
        return type("Answered", (), {"completion": done})()

    async def hold() -> None:
        await engine.start()
        await traffic.hold(ask)  # type: ignore[arg-type]
        await engine.stop()

    run(hold(), virtual=True)
    return found


def cached(done: Mapping[str, Completion], part: str) -> int:
    return sum(one.cached_tokens for name, one in done.items() if name.startswith(f"{part}/"))


def test_each_request_is_answered_and_graded_as_its_part_has_it() -> None:
    scores = AnswerTable("half.json", tuple("abcd"), ("a-8b",), np.array([[0.0], [1.0], [0.0], [1.0]]))
    mix = Mix({"talk": TALK, "ask": Questions(scores, rate=9.0, count=8, train=0), "code": CODE}).draw(BIDDERS, 3)
    done = served(mix)
    assert len(done) == mix.turns == 4 + 8 + 4
    for name, one in done.items():
        part, request = mix.part_of(name), Request(name, "", ())
        load = mix.parts[part]
        assert mix.quality(SMALL, name) == load.quality(SMALL, name)
        assert mix.grade(request, one.text) == load.grade(request, one.text)
        if part == "ask":
            assert one.text.split()[0] == ("right" if load.quality(SMALL, name) == 1.0 else "wrong")
            assert mix.grade(request, one.text) == load.quality(SMALL, name)
        elif part == "code":
            assert one.text == "right" and mix.grade(request, one.text) is None
            row = list(load.starts_s).index({"a/0": 0.0, "b/1": 3.0}.get(name.removeprefix("code/"), 1.0))
            assert one.prompt_tokens in (CODE.trace.prompt_tokens[row], 10)  # type: ignore[union-attr]
        else:
            assert one.text == load.answers.reply(SMALL, name)  # type: ignore[union-attr]
    assert mix.measured.startswith(
        "talk: answers are right as often as an assumed skill has it; ask: scores of half.json;"
    )
    assert mix.measured.endswith("; code: every answer counts as right")


def test_one_cache_serves_all_parts_and_only_what_is_alike_is_shared() -> None:
    agent = model_agent("a-8b", name="fine")
    fine = type(agent)(agent.name, agent.calibration, EngineShape(5, 4000), agent.prices, timing=agent.timing)

    def slow(title: str = "t.csv", **changed: object) -> Trace:
        """Requests that wait for no other."""
        return Trace(trace(title, at_s=[0.0, 10.0, 20.0, 30.0], **changed))

    # Two parts of one file begin with the same blocks; two files that number theirs alike do not.
    same = served(Mix({"one": slow(), "two": slow()}).draw(BIDDERS, 0), fine)
    other = served(Mix({"one": slow(), "two": slow("other.csv")}).draw(BIDDERS, 0), fine)
    assert cached(other, "one") == cached(other, "two") == 35
    # All of the prompt that came before it, but for the last block, of which a token is computed in any case.
    assert cached(same, "one") == 35 and cached(same, "two") == 15 + 20 + 5 + 25
    unnamed = slow("", sha256="")
    apart = served(Mix({"one": unnamed, "two": unnamed}).draw(BIDDERS, 0), fine)
    assert cached(apart, "one") == cached(apart, "two") == 35
    # What nobody knows to be alike is not: neither rests of prompts, nor answers.
    bare = slow("bare.csv", blocks=None, block=0)
    assert cached(served(Mix({"one": bare, "two": bare}).draw(BIDDERS, 0), fine), "two") == 0


def test_a_part_waits_for_what_another_keeps_busy() -> None:
    alone = served(TALK.draw(BIDDERS, 0))
    heavy = trace(prompt_tokens=[30_000] * 4, blocks=None, block=0, at_s=[0.0] * 4)
    mixed = served(Mix({"talk": TALK, "load": Trace(heavy)}).draw(BIDDERS, 0))
    waits = [max(one.first_token_s for one in done.values()) for done in (alone, mixed)]
    assert waits[1] > 2 * waits[0]


def test_who_cannot_serve_a_part_is_refused_with_its_name() -> None:
    mix = Mix({"talk": TALK, "code": CODE, "ask": ASK}).draw(BIDDERS, 0)
    with pytest.raises(
        StudyError, match=r"code: request 3 of t\.csv has 34 tokens with its answer, and agent 'a-8b' takes"
    ):
        mix.engine(model_agent("a-8b", most=32))
    with pytest.raises(StudyError, match=r"ask: ten\.json has no scores of 'small-a'; its models are: a-8b, b-70b"):
        mix.engine(FLEET[0])


def test_a_mix_without_a_trace_is_served_as_text() -> None:
    mix = Mix([TALK, ASK]).draw(BIDDERS, 0)
    assert type(mix.engine(SMALL)) is type(TALK.draw(BIDDERS, 0).engine(SMALL))
    assert len(served(mix)) == mix.turns


# What one engine of one request at a time, with blocks of one token and no end of them, finds in its cache.
BOUNDLESS = type(SMALL)(
    "boundless", SMALL.calibration, EngineShape(1, 300_000, 1, 8192, 131_072), SMALL.prices, 1.0, timing=SMALL.timing
)

FILES = {
    "talk": Dialogues("shipped", rate=0.01, dialogues=3, turns=3, max_tokens=400),
    "again": Dialogues("shipped", rate=0.01, dialogues=2, turns=3, max_tokens=3, repeat=2),
    "code": CODE,
    "part": Trace(trace(at_s=[900.0, 901.0, 902.0, 903.0]), count=2),
    "other": Trace(trace("other.csv")),
}


@pytest.mark.parametrize(
    "names", [("talk",), ("again",), ("code",), ("talk", "code"), ("talk", "again"), ("code", "part"), tuple(FILES)]
)
def test_a_boundless_cache_finds_what_the_ceiling_of_the_union_says(names: tuple[str, ...]) -> None:
    load = Mix({name: FILES[name] for name in names}).draw(BIDDERS, 1)
    ceiling = hit_ceiling(load)
    done = served(load, BOUNDLESS)
    prompt, hits = (sum(getattr(one, f"{of}_tokens") for one in done.values()) for of in ("prompt", "cached"))
    # The last token of a prompt is always computed, and the last of an answer is in no cache.
    assert ceiling is not None and hits <= ceiling * prompt <= hits + 2 * len(done)


def test_the_ceiling_of_a_union_is_no_mean_of_its_parts() -> None:
    once, twice = (hit_ceiling(Mix(parts).draw(BIDDERS, 0)) for parts in ({"a": CODE}, {"a": CODE, "b": CODE}))
    assert once == CODE.trace.hit_ceiling() == 40 / 85  # type: ignore[union-attr]
    assert twice == (40 + 85) / 170
    assert hit_ceiling(Mix({"a": CODE, "b": Trace(trace("other.csv"))}).draw(BIDDERS, 0)) == once
    assert hit_ceiling(CODE.draw(BIDDERS, 0)) == once
    bare = Trace(trace(blocks=None, block=0))
    assert hit_ceiling(Mix([TALK, bare]).draw(BIDDERS, 0)) is None


def test_a_text_that_is_called_like_no_request_is_text() -> None:
    mix = Mix([TALK, CODE]).draw(BIDDERS, 0)
    assert isinstance(mix, MixedTraffic)
    engine = mix.engine(SMALL)
    name = mix.names[0]
    first = mix.parts["dialogues"].conversations[0].dialogue  # type: ignore[union-attr]

    async def tokens() -> tuple[int, ...]:
        from experiments.data import conversation

        return await engine.tokenize(conversation(first, 0, ()))

    assert name.startswith("dialogues/") and len(asyncio.run(tokens())) > 50


def test_questions_of_a_table_and_a_trace_by_it_have_answers_of_their_own() -> None:
    mix = Mix({"ask": ASK, "code": Trace(trace(), answers=TABLE, train=4)}).draw(BIDDERS, 2)
    assert {mix.quality(SMALL, f"{name}/0") for name in mix.names} == {0.5}
    texts = {name: mix.reply(SMALL, f"{name}/0").split()[0] for name in mix.names}
    # Drawn by the request's name: parts neither agree nor differ by rule.
    assert set(texts.values()) == {"right", "wrong"}
