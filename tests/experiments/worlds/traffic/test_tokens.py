"""A trace as traffic: moments, bidders, beginnings in common, and prompts that are forgotten."""

import asyncio

import numpy as np
import pytest

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.traces import RequestTrace
from experiments.worlds.rooflines import model_agent
from experiments.worlds.traffic.tokens import TokenTraffic
from experiments.worlds.traffic.traffic import conversation_of
from mechanisms import Preferences
from runtime import Completion, Declined, Message, Request, running
from runtime.engines.call import chat_call, collect
from runtime.engines.simulated.virtual_time import run

AGENT = model_agent("model-8b", name="a")


def draw(rng: np.random.Generator) -> Preferences:
    return Preferences(float(rng.uniform(1, 100)), 1.0)


def trace(**changed: object) -> RequestTrace:
    given: dict[str, object] = {
        "title": "four.csv",
        "at_s": [2.0, 3.0, 3.0, 6.0],
        "prompt_tokens": [20, 25, 10, 30],
        "output_tokens": [1, 2, 0, 4],
        "blocks": tuple(np.array(ids) for ids in ([0, 1], [0, 2, 3], [0], [0, 2, 4])),
        "block": 10,
        "conversation": ("a", "b", "", "b"),
    }
    return RequestTrace(**{**given, **changed})  # type: ignore[arg-type]


def load(seed: int = 0, given: RequestTrace | None = None, **options: object) -> TokenTraffic:
    return TokenTraffic(given or trace(), preferences=draw, seed=seed, **{"bidders": 5, **options})  # type: ignore[arg-type]


def held(traffic: TokenTraffic, takes_s: float = 0.0) -> list[tuple[float, str, str, int]]:
    """When what was asked by whom, in virtual time, of somebody who takes so long."""
    asked: list[tuple[float, str, str, int]] = []

    async def ask(request: Request, reported: Preferences) -> Declined:
        loop = asyncio.get_running_loop()
        asked.append((loop.time(), request.id, request.bidder, request.max_tokens))
        await asyncio.sleep(takes_s)
        return None  # type: ignore[return-value]

    run(traffic.hold(ask), virtual=True)
    return asked


def tokens(traffic: TokenTraffic) -> dict[str, tuple[int, ...]]:
    """Every request's prompt, as an engine is told."""
    found: dict[str, tuple[int, ...]] = {}
    engine = traffic.engine(AGENT)

    async def ask(request: Request, reported: Preferences) -> Declined:
        found[request.id] = await engine.tokenize((Message("user", request.id),))
        return None  # type: ignore[return-value]

    run(traffic.hold(ask), virtual=True)
    return found


def test_requests_come_at_their_moments_whatever_became_of_those_before() -> None:
    asked = held(load(), takes_s=100.0)
    assert [(at, name) for at, name, *_ in asked] == [(0.0, "a/0"), (1.0, "b/0"), (1.0, "0000002/0"), (4.0, "b/1")]
    # An answer of no token is one of one: engines make no fewer.
    assert [most for *_, most in asked] == [1, 2, 1, 4]


def test_the_same_seed_deals_the_same_bidders_and_another_others() -> None:
    many = trace(
        at_s=np.arange(60.0),
        prompt_tokens=[5] * 60,
        output_tokens=[1] * 60,
        blocks=None,
        block=0,
        conversation=None,
    )
    one, two, other = (load(seed, many) for seed in (3, 3, 4))
    owners = [[each.bidder(name) for name in each.names] for each in (one, two, other)]
    assert owners[0] == owners[1] != owners[2]
    assert one.types == two.types != other.types
    assert set(owners[0]) == {f"bidder-{k}" for k in range(5)} == set(one.types)


def test_prompts_share_exactly_the_blocks_that_the_trace_shares() -> None:
    found = tokens(load())
    prompts = [found[name] for name in ("a/0", "b/0", "0000002/0", "b/1")]
    assert [len(one) for one in prompts] == [20, 25, 10, 30]

    def common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
        return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))

    # Block 0 is in all; b's second prompt goes on with block 2, and then with a block of its own.
    assert [common(prompts[0], prompts[k]) for k in (1, 2, 3)] == [10, 10, 10]
    assert common(prompts[1], prompts[3]) == 20
    # And nothing else by chance: no token of one block is one of another.
    assert len(set(prompts[0]) & set(prompts[3])) == 10
    # Without blocks nothing is shared.
    apart = tokens(load(given=trace(blocks=None, block=0)))
    assert all(common(apart["b/0"], apart[name]) == 0 for name in ("a/0", "b/1"))


def test_prompts_are_forgotten_after_use() -> None:
    many = trace(
        at_s=np.arange(1000) / 10,
        prompt_tokens=[20] * 1000,
        output_tokens=[1] * 1000,
        blocks=None,
        block=0,
        conversation=None,
    )
    traffic = load(given=many)
    engine, most = traffic.engine(AGENT), 0

    async def ask(request: Request, reported: Preferences) -> Declined:
        nonlocal most
        await engine.tokenize((Message("user", request.id),))
        await asyncio.sleep(0.95)
        most = max(most, len(traffic._prompts), len(traffic._prompts._built))
        return None  # type: ignore[return-value]

    run(traffic.hold(ask), virtual=True)
    assert most <= 11 and len(traffic._prompts) == len(traffic._prompts._built) == 0


def test_a_prompt_is_the_same_when_it_was_put_away_and_is_built_again() -> None:
    traffic = load()
    traffic._prompts.at("a/0", 0)
    first = traffic._prompts["a/0"]
    traffic._prompts._built.clear()
    assert traffic._prompts["a/0"] == first and traffic._prompts["a/0"] is not first


def test_bidders_worth_and_delay_are_the_traces_where_it_states_them() -> None:
    stated = trace(bidder=("x", "y", "z", "y"), worth=[7.0, 8.0, 9.0, 8.0], delay_cost=[0.1, 0.2, 0.3, 0.2])
    traffic = load(given=stated)
    assert traffic.types == {"x": Preferences(7.0, 0.1), "y": Preferences(8.0, 0.2), "z": Preferences(9.0, 0.3)}
    assert [traffic.bidder(name) for name in traffic.names] == ["x", "y", "z"]
    # What it does not state is drawn, one type a bidder.
    half = load(given=trace(bidder=("x", "y", "z", "y"), worth=[7.0, 8.0, 9.0, 8.0]))
    assert [half.types[name].worth for name in "xyz"] == [7.0, 8.0, 9.0] and half.types["x"].delay_cost == 1.0
    # Dealt bidders may state worth too, if each states one.
    alone = load(given=trace(worth=[5.0] * 4), bidders=1)
    assert alone.types == {"bidder-0": Preferences(5.0, 1.0)}


def test_two_types_for_one_bidder_and_two_bidders_for_one_conversation_are_refused() -> None:
    with pytest.raises(StudyError, match=r"request 3 of four\.csv: bidder 'y' states worth 9 .* and stated 8"):
        load(given=trace(bidder=("x", "y", "z", "y"), worth=[7.0, 8.0, 9.0, 9.0]))
    with pytest.raises(StudyError, match=r"request 3 of four\.csv: conversation 'b' is of bidder 'x', and was of 'y'"):
        load(given=trace(bidder=("x", "y", "z", "x")))
    with pytest.raises(StudyError, match="0 bidders"):
        load(bidders=0)


def test_a_request_without_a_conversation_is_no_part_of_one_that_is_called_like_it() -> None:
    traffic = load(given=trace(conversation=("0000002", "b", "", "b")))
    assert len(set(traffic.names)) == 3
    assert [name for _, name, *_ in held(traffic)] == ["0000002/0", "b/0", "_0000002/0", "b/1"]


def test_a_prompt_that_no_engine_takes_is_refused_by_name() -> None:
    with pytest.raises(
        StudyError, match=r"request 3 of four\.csv has 34 tokens with its answer, and agent 'a' takes 32"
    ):
        load().engine(model_agent("model-8b", name="a", most=32))


def test_with_a_table_a_conversation_is_a_question_of_it() -> None:
    table = AnswerTable("t.json", ("p", "q"), ("model-8b",), np.array([[0.25], [0.75]]))
    traffic = load(given=trace(), answers=table)
    chances = {name: traffic.quality(AGENT, f"{name}/0") for name in traffic.names}
    assert set(chances.values()) <= {0.25, 0.75} and traffic.quality(AGENT, "b/1") == chances["b"]
    assert traffic.measured == "scores of t.json; every answer taken to be 64 tokens long"
    assert load().quality(AGENT, "a/0") == 1.0 and load().measured == "every answer counts as right"


def test_whose_a_conversation_is_takes_no_search() -> None:
    """Scores ask for every conversation: a list that is searched each time takes minutes for a real trace."""
    count = 100_000
    many = trace(
        at_s=np.zeros(count), prompt_tokens=np.ones(count), output_tokens=np.ones(count), blocks=None, block=0,
        conversation=None,
    )  # fmt: skip
    traffic = load(given=many)
    traffic._names = []  # type: ignore[assignment]
    assert traffic.bidder(f"{count - 1:07d}").startswith("bidder-")
    assert conversation_of(f"{count - 1:07d}/0") == f"{count - 1:07d}"


def test_what_is_known_by_its_tokens_alone_is_refused_over_http_and_texts_are_served() -> None:
    traffic = load()
    engine = traffic.engine(AGENT)

    async def asked(text: str) -> Completion:
        request = Request("x/0", "bidder-0", (Message("user", text),), 4, "x", 0)
        async with running([engine]):
            return await collect(await engine.open(chat_call(request, "a")))

    async def first() -> None:
        traffic._prompts.at("a/0", 0)
        with pytest.raises(StudyError, match=r"request a/0 is known by its tokens alone.*serve texts with a Simul"):
            await asked("a/0")
        assert (await asked("What is there?")).text == "right"

    run(first(), virtual=True)
