"""A simulated engine answers calls as vLLM's server does, token by token on the loop's clock."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import (
    Answer,
    Broken,
    Call,
    EngineError,
    Message,
    Refused,
    Request,
    SimulatedEngine,
    Unreachable,
    View,
    collect,
    running,
)
from runtime.engines.call import chat_call
from runtime.engines.simulated.tokens import encode
from runtime.engines.simulated.virtual_time import run
from runtime.engines.sse import event_data
from tests.runtime.fleet import engine, request

ASKED = request("r", "what is the time of the last ferry")


def call(stream: bool = True, **fields: Any) -> Call:
    asked = {"model": "m", "messages": [{"role": "user", "content": "what is it"}], "stream": stream, **fields}
    body = json.dumps(asked).encode()
    return Call("r", body, View.read(body), "alice")


def with_engine(story: Callable[[SimulatedEngine], Awaitable[Any]], **shape: Any) -> Any:
    async def main() -> Any:
        one = engine(**shape)
        async with running([one]):
            free = one._cache.free
            found = await story(one)
            assert (one.in_flight, one._cache.free) == (0, free)
            return found

    return run(main(), virtual=True)


WORDS = st.lists(st.sampled_from(["ferry", "quay", "7", "naïve", "東京", "\u2028", "\n", " "]), max_size=12).map(
    "".join
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS, st.integers(1, 20), st.floats(0, 0.2)), min_size=1, max_size=6))
def test_what_is_collected_is_what_generate_measures(rows: list[tuple[str, str, int, float]]) -> None:
    asked = [
        Request(f"r{k}", "alice", (Message("user", f"{k % 2}{q}"),), most) for k, (q, _, most, _) in enumerate(rows)
    ]
    replies = {one.id: reply for one, (_, reply, _, _) in zip(asked, rows, strict=True)}

    async def all_of(serve: Callable[[SimulatedEngine, Request], Awaitable[Any]]) -> list[Any]:
        one = engine(reply=lambda request: replies[request.id], block_size=2, max_num_seqs=2)

        async def at(k: int) -> Any:
            await asyncio.sleep(rows[k][3])
            told: list[float] = []
            return await serve(one, asked[k]), told

        async with running([one]):
            return await asyncio.gather(*map(at, range(len(rows))))

    async def streamed(one: SimulatedEngine, wanted: Request) -> Any:
        return await collect(await one.open(chat_call(wanted, "m", token_ids=True)))

    assert run(all_of(streamed), virtual=True) == run(all_of(lambda one, wanted: one.generate(wanted)), virtual=True)


def test_every_token_comes_at_its_moment() -> None:
    async def story(one: SimulatedEngine) -> list[tuple[str, float]]:
        answer = await one.open(call(stream_options={"include_usage": True}))
        assert isinstance(answer, Answer)
        seen = []
        async for event in answer:
            data = event_data(event)
            assert data is not None
            seen.append((data.decode(), asyncio.get_running_loop().time()))
        assert answer.finished and answer.usage is not None and answer.usage.reported
        assert answer.first_token_s == pytest.approx(seen[0][1])
        assert answer.latency_s == pytest.approx(seen[-1][1])
        return seen

    seen = with_engine(story, reply=lambda request: "one two")
    assert seen[-1][0] == "[DONE]"
    chunks = [json.loads(data) for data, _ in seen[:-1]]
    texts = [choice["delta"]["content"] for chunk in chunks for choice in chunk["choices"]]
    assert texts == ["", "one", " two", ""]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None, None, None, "stop"]
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 3
    # The role comes with the first token, the counts and the mark of the end with the last.
    assert len({at for _, at in seen}) == 3


def test_counts_are_sent_to_who_asks_and_known_in_any_case() -> None:
    async def story(one: SimulatedEngine) -> None:
        answer = await one.open(call())
        events = [event async for event in answer]
        assert not any(b"usage" in event for event in events)
        assert answer.usage is not None and (answer.usage.output, answer.usage.reported) == (3, True)

    with_engine(story)


def test_one_body_comes_at_the_end() -> None:
    async def story(one: SimulatedEngine) -> None:
        answer = await one.open(call(stream=False, return_token_ids=True))
        now = asyncio.get_running_loop().time()
        (body,) = [event async for event in answer]
        assert (answer.finished, answer.latency_s) == (True, now)
        assert json.loads(body)["choices"][0]["message"]["content"] == "yes indeed"
        done = await collect(await one.open(call(stream=False, return_token_ids=True)))
        assert (done.text, done.output_tokens, done.finish_reason) == ("yes indeed", 3, "stop")
        assert done.token_ids == (await one.generate(Request("r", "", call().view.messages))).token_ids

    with_engine(story)


def test_choices_are_sequences_that_share_their_prompt() -> None:
    async def story(one: SimulatedEngine) -> None:
        answer = await one.open(call(n=3, stream_options={"include_usage": True}))
        ends = [event for event in [event async for event in answer] if b'"stop"' in event]
        assert len(ends) == 3 and answer.finished
        assert answer.usage is not None and answer.usage.output == 9
        alone = await one.open(call(stream=False, n=1))
        async with aclosing(alone):
            assert alone.usage is not None and alone.usage.prompt == answer.usage.prompt

    with_engine(story)


def test_caches_of_another_salt_are_not_seen() -> None:
    async def story(one: SimulatedEngine) -> list[int]:
        salts = ["", "a", "a", "", "b"]
        return [(await collect(await one.open(call(stream=False, cache_salt=salt)))).cached_tokens for salt in salts]

    assert with_engine(story, block_size=2) == [0, 0, 4, 4, 0]


def test_without_a_limit_the_answer_is_as_long_as_fits() -> None:
    async def story(one: SimulatedEngine) -> int:
        return (await collect(await one.open(call(stream=False)))).output_tokens

    assert with_engine(story, reply=lambda request: "a " * 99, max_model_len=32) == 32 - 6


def test_what_cannot_be_served_is_refused_in_the_servers_words() -> None:
    async def story(one: SimulatedEngine) -> None:
        for asked in (call(messages=[{"role": "user", "content": "word " * 40}]), call(messages=[])):
            with pytest.raises(Refused) as caught:
                await one.open(asked)
            assert (caught.value.status, json.loads(caught.value.body)["error"]["code"]) == (400, 400)

    with_engine(story, max_model_len=16)
    with pytest.raises(Unreachable):
        run(engine().open(call()), virtual=True)


@pytest.mark.parametrize("events", [0, 1, 2, 3])
@pytest.mark.parametrize("choices", [1, 3])
def test_closing_frees_the_place_once(events: int, choices: int) -> None:
    async def story(one: SimulatedEngine) -> None:
        free = one._cache.free
        neighbour = asyncio.create_task(one.generate(replace(ASKED, id="other")))
        answer = await one.open(call(n=choices))
        stream = aiter(answer)
        for _ in range(events):
            await anext(stream)
        assert one.in_flight == 1 + choices
        await answer.aclose()
        assert one.in_flight == 1
        await answer.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert not answer.finished
        await neighbour
        assert one._cache.free == free

    with_engine(story)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("after_s", [0.0, 0.005, 0.02, 0.03])
def test_cancelling_who_waits_frees_the_place_at_once(stream: bool, after_s: float) -> None:
    async def story(one: SimulatedEngine) -> None:
        async def listen() -> None:
            async for _ in await one.open(call(stream)):
                pass

        task = asyncio.create_task(listen())
        await asyncio.sleep(after_s)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert one.in_flight == 0

    with_engine(story)


def test_closing_under_who_iterates_ends_it() -> None:
    async def story(one: SimulatedEngine) -> None:
        answer = await one.open(call())

        async def listen() -> list[bytes]:
            return [event async for event in answer]

        task = asyncio.create_task(listen())
        await asyncio.sleep(0.001)
        await answer.aclose()
        assert await task == [] and not answer.finished

    with_engine(story)


def test_a_deadline_ends_it() -> None:
    async def story(one: SimulatedEngine) -> None:
        with pytest.raises(EngineError, match="in time"):
            await one.open(call(stream=False), 0.02)
        assert one.in_flight == 0
        answer = await one.open(call(max_tokens=500), asyncio.get_running_loop().time() + 0.2)
        seen = 0
        with pytest.raises(Broken, match="in time"):
            async for _ in answer:
                seen += 1
        assert seen > 3 and one.in_flight == 0
        assert [event async for event in await one.open(call(), inf)]

    with_engine(story, reply=lambda request: "word " * 400)


def test_stopping_breaks_what_is_under_way() -> None:
    async def main() -> None:
        one = engine(reply=lambda request: "word " * 400)
        await one.start()
        answer = await one.open(call(max_tokens=500))
        stream = aiter(answer)
        await anext(stream)
        whole = asyncio.create_task(one.open(call(stream=False)))
        await asyncio.sleep(0.05)
        arriving = asyncio.create_task(one.open(call()))
        late = asyncio.create_task(one.generate(ASKED))
        await asyncio.sleep(0)
        await one.stop()
        with pytest.raises(Broken, match="stopped"):
            while True:
                await anext(stream)
        for task in (whole, arriving, late):
            with pytest.raises(Unreachable):
                await task
        assert one.in_flight == 0

    run(main(), virtual=True)


def completion(stream: bool = True, **fields: Any) -> Call:
    body = json.dumps({"model": "m", "stream": stream, **fields}).encode()
    return Call("r", body, View.read(body), "alice", "/v1/completions")


PROMPTS: list[tuple[Any, int]] = [
    ("what is it", 1),
    (["what is it"], 1),
    (["what is it", "and why"], 2),
    ([5, 6, 7], 1),
    ([[5, 6, 7], [8, 9], [10]], 3),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("prompt", "count"), PROMPTS)
def test_a_completion_is_one_and_has_a_choice_for_every_prompt(prompt: Any, count: int, stream: bool) -> None:
    async def story(one: SimulatedEngine) -> None:
        asked = completion(stream, prompt=prompt, n=2, max_tokens=8, stream_options={"include_usage": True})
        answer = await one.open(asked)
        events = [event async for event in answer]
        chunks = [json.loads(event.removeprefix(b"data: ")) for event in events if b"[DONE]" not in event]
        texts = [""] * 2 * count
        for chunk in chunks:
            assert chunk["object"] == "text_completion" and chunk["id"] == "cmpl-r"
            for choice in chunk["choices"]:
                assert "message" not in choice and "delta" not in choice
                texts[choice["index"]] += choice["text"]
        assert texts == ["yes indeed"] * 2 * count and answer.finished
        tokens = sum(len(part) for part in one_each(prompt))
        assert chunks[-1]["usage"]["prompt_tokens"] == tokens
        assert chunks[-1]["usage"]["completion_tokens"] == 3 * 2 * count

    with_engine(story)


def one_each(prompt: Any) -> list[tuple[int, ...]]:
    """The tokens of each prompt, no template around them."""
    if isinstance(prompt, str):
        return [encode(prompt)]
    if isinstance(prompt[0], int):
        return [tuple(prompt)]
    return [one for each in prompt for one in one_each(each)]


@pytest.mark.parametrize("prompt", ["", [], [""], [[]], [True], [-1], [1.5], {}, [["a"]], [1, "a"]])
def test_prompts_that_are_none_are_refused(prompt: Any) -> None:
    async def story(one: SimulatedEngine) -> None:
        body = json.dumps({"model": "m", "prompt": prompt}).encode()
        with pytest.raises(Refused):
            await one.open(Call("r", body, View("m"), "alice", "/v1/completions"))

    with_engine(story)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("chats", [True, False])
@pytest.mark.parametrize(
    ("stop", "most", "text", "tokens", "end"),
    [
        ("three", 9, "one two ", 3, "stop"),
        (["four", " two"], 9, "one", 2, "stop"),
        ("one", 9, "", 1, "stop"),
        ("wo th", 9, "one t", 3, "stop"),
        ("three", 2, "one two", 2, "length"),
        ("five", 9, "one two three", 4, "stop"),
        (None, 3, "one two three", 3, "length"),
        ([], 9, "one two three", 4, "stop"),
    ],
)
def test_an_answer_ends_before_the_first_of_its_stops(
    stop: Any, most: int, text: str, tokens: int, end: str, chats: bool, stream: bool
) -> None:
    async def story(one: SimulatedEngine) -> None:
        asked = (call if chats else completion)(
            stream, stop=stop, max_tokens=most, **({} if chats else {"prompt": "x"})
        )
        answer = await one.open(asked)
        done = await collect(answer)
        assert (done.text, done.output_tokens, done.finish_reason) == (text, tokens, end)
        assert answer.end == end  # type: ignore[attr-defined]

    with_engine(story, reply=lambda request: "one two three")


@pytest.mark.parametrize("stop", ["", [""], [1], {}, 5])
def test_stops_that_are_none_are_refused(stop: Any) -> None:
    async def story(one: SimulatedEngine) -> None:
        body = json.dumps({"model": "m", "prompt": "x", "stop": stop}).encode()
        with pytest.raises(Refused, match="stop"):
            await one.open(Call("r", body, View("m"), "alice", "/v1/completions"))

    with_engine(story)
