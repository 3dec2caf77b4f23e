"""Answers that go well: the client's bytes go in and the engine's come out, untouched."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime import Answer, Engine, EngineError, Message, Request, RequestError, Unreachable, Usage, View, collect
from runtime.engines.openai.answer import Limits
from runtime.engines.openai.connection import Connection
from runtime.engines.openai.engine import OpenAIEngine
from tests.runtime.engines.openai.scripted import (
    DONE,
    EVENTS,
    USAGE,
    WHOLE,
    Scripted,
    Step,
    call,
    chunked,
    response,
    said,
    scripted,
)

GOOD: list[Step] = [EVENTS + chunked(*WHOLE), "next"]
BODY = b'{"id":"x","big":123456789012345678901234567890,"price":1.10,"choices":[{"index":0,"message":{"role":"assistant","content":"one two"},"finish_reason":"stop"}],"usage":{"prompt_tokens":4,"completion_tokens":2}}'  # fmt: skip # noqa: E501


def with_server(
    story: Callable[[Connection, Scripted], Awaitable[Any]], *scripts: list[Step], limits: Limits | None = None
) -> Any:
    async def main() -> Any:
        async with scripted(*scripts) as server:
            connection = Connection(server.url, "secret", limits)
            try:
                return await story(connection, server)
            finally:
                await connection.close()
                assert connection.in_flight == 0

    return asyncio.run(main())


async def events_of(answer: Answer) -> list[bytes]:
    async with aclosing(answer):
        return [event async for event in answer]


def test_events_come_out_as_they_were_and_are_counted_on_the_way() -> None:
    odd = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"logprobs":1.10}],"n":123456789012345678901234567890,"who":[{"knows": 1e400}]}\r\n\r\n'  # fmt: skip # noqa: E501
    sent = [b": ping\n\n", odd, *WHOLE]

    async def story(connection: Connection, server: Scripted) -> None:
        answer = await connection.open(call())
        assert isinstance(answer, Answer)
        assert (answer.status, answer.headers["content-type"][:17]) == (200, "text/event-stream")
        assert (answer.usage, answer.first_token_s, answer.finished) == (None, None, False)
        seen, usages = [], []
        async for event in answer:
            seen.append(event)
            usages.append(answer.usage)
        assert seen == sent
        running = [None] + [Usage(0, None, k, reported=False) for k in (1, 2, 3)]
        assert usages == [*running, *[Usage(4, None, 2, reported=True)] * 2]
        assert answer.finished
        assert answer.first_token_s is not None and answer.latency_s is not None
        assert 0 < answer.first_token_s <= answer.latency_s

    with_server(story, [EVENTS + chunked(*sent), "next"])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 300), max_size=8), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_however_the_network_cuts_them(places: list[int], line: bytes) -> None:
    sent = [event.replace(b"\n", line) for event in WHOLE]
    stream = b"".join(sent)
    marks = [0, *sorted(place % len(stream) for place in places), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(marks) if a < b]

    async def story(connection: Connection, server: Scripted) -> None:
        seen = await events_of(await connection.open(call()))
        assert b"".join(seen) == stream[: len(b"".join(seen))] and len(seen) == len(sent)

    with_server(story, [EVENTS, *[step for piece in pieces for step in (chunked(piece, end=False), 0.0)], chunked()])


def test_the_body_is_sent_as_it_is_and_the_clients_key_is_not() -> None:
    body = b'{ "model":"m", "stream": true,"price":1.10, "big":123456789012345678901234567890, "messages":[] }'
    headers = {b"X-Request-ID": b"7", b"Authorization": b"Bearer client", b"Cookie": b"a=b", b"Host": b"evil"}

    async def story(connection: Connection, server: Scripted) -> None:
        await events_of(await connection.open(replace(call(), body=body, headers=headers)))
        assert server.bodies == [body]
        head = server.heads[0].lower()
        assert b"x-request-id: 7" in head and b"bearer secret" in head and b"accept-encoding: identity" in head
        assert b"client" not in head and b"cookie" not in head and b"evil" not in head
        assert head.startswith(b"post /v1/chat/completions http/1.1\r\n")

    with_server(story, GOOD)


def test_a_header_that_would_be_two_is_refused() -> None:
    async def story(connection: Connection, server: Scripted) -> None:
        with pytest.raises(RequestError, match="header"):
            await connection.open(replace(call(), headers={b"x": b"1\r\ny: 2"}))
        assert not server.heads

    with_server(story, GOOD)


def test_one_body_comes_out_as_it_was() -> None:
    async def story(connection: Connection, server: Scripted) -> None:
        answer = await connection.open(call(stream=False))
        assert await events_of(answer) == [BODY]
        assert answer.finished and answer.usage == Usage(4, None, 2, reported=True)
        assert await events_of(answer) == []

    with_server(story, [response(200, BODY)])


def test_a_connection_that_was_read_to_its_end_is_used_again_and_keeps_no_cookies() -> None:
    cookie = EVENTS.replace(b"OK\r\n", b"OK\r\nSet-Cookie: who=alice\r\n")

    async def story(connection: Connection, server: Scripted) -> None:
        for _ in range(3):
            await events_of(await connection.open(call()))
        assert server.connections == 1
        assert not any(b"alice" in head for head in server.heads)

    with_server(story, [cookie + chunked(*WHOLE), "next"])


def test_collect_is_a_completion() -> None:
    async def story(connection: Connection, server: Scripted) -> None:
        told: list[int] = []
        done = await collect(await connection.open(call()), lambda: told.append(1))
        assert (done.text, done.prompt_tokens, done.cached_tokens, done.output_tokens) == ("one two", 4, 0, 2)
        assert (done.finish_reason, told) == ("stop", [1])
        whole = await collect(await connection.open(call(stream=False)))
        assert (whole.text, whole.output_tokens) == ("one two", 2)

    with_server(story, GOOD, [response(200, BODY)])


def test_all_choices_are_waited_for() -> None:
    sent = [said("a", "stop", 0), said("b", None, 1), said("", "length", 1), USAGE, DONE]

    async def story(connection: Connection, server: Scripted) -> None:
        answer = await connection.open(call(n=2))
        assert len(await events_of(answer)) == 5 and answer.finished

    with_server(story, [EVENTS + chunked(*sent), "next"])


def test_what_follows_the_mark_of_the_end_is_not_forwarded() -> None:
    async def story(connection: Connection, server: Scripted) -> None:
        answer = await connection.open(call())
        assert (await events_of(answer))[-1] == DONE and answer.finished

    with_server(story, [EVENTS + chunked(*WHOLE, said("more"), b"garb")])


def test_events_may_come_without_their_type_and_without_the_last_empty_line() -> None:
    untyped = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

    async def story(connection: Connection, server: Scripted) -> None:
        assert (await events_of(await connection.open(call())))[-1] == b"data: [DONE]\n\n"

    with_server(story, [untyped + b"".join(WHOLE)[:-2]])


MODELS = response(200, b'{"data":[{"id":"base","max_model_len":512},{"id":"lora","parent":"base"}]}')


def with_engine(what: Callable[[OpenAIEngine], Awaitable[Any]], *scripts: list[Step], **options: Any) -> Any:
    async def main() -> Any:
        async with scripted(*scripts) as server:
            engine = OpenAIEngine("a", server.url, **options)
            try:
                return await what(engine)
            finally:
                await engine.stop()
                assert engine.in_flight == 0

    return asyncio.run(main())


HELLO = Request("r1", "alice", (Message("user", "hello"),), max_tokens=3)


def test_an_engine_at_any_such_server() -> None:
    async def what(engine: OpenAIEngine) -> None:
        assert isinstance(engine, Engine)
        info = await engine.start()
        assert (info.model, info.max_model_len, info.slots, info.simulated) == ("lora", 512, 3, False)
        assert await engine.start() is info
        assert (await engine.generate(HELLO)).text == "one two"
        assert len(await events_of(await engine.open(call()))) == 4
        assert await engine.tokenize(HELLO.messages)
        with pytest.raises(EngineError, match="no way"):
            await engine.reset_cache()

    with_engine(what, [MODELS, "next"], GOOD, model="lora", slots=3)


def test_one_that_lists_no_models_is_believed_to_serve_the_one_that_was_named() -> None:
    missing: list[Step] = [response(404, b'{"detail":"Not Found"}')]
    info = with_engine(lambda engine: engine.start(), missing, model="m", context=99)
    assert (info.model, info.max_model_len) == ("m", 99)
    with pytest.raises(EngineError, match="name the one"):
        with_engine(lambda engine: engine.start(), missing)
    with pytest.raises(EngineError, match=r"'huge'.*base, lora"):
        with_engine(lambda engine: engine.start(), [MODELS], model="huge")
    for page in (b"[]", b'{"data":[]}', b'{"data":3}', b"<html>"):
        with pytest.raises(EngineError):
            with_engine(lambda engine: engine.start(), [response(200, page)])


def test_before_start_it_says_so() -> None:
    with pytest.raises(Unreachable, match="not running"):
        asyncio.run(OpenAIEngine("a", "http://127.0.0.1:1").open(call()))
    with pytest.raises(EngineError, match="is no address"):
        OpenAIEngine("a", "127.0.0.1:1")
    with pytest.raises(EngineError, match="API key"):
        OpenAIEngine("a", "http://127.0.0.1:1", "schlüssel")


def test_a_view_is_of_what_clients_send() -> None:
    asked = {
        "model": "m", "stream": True, "n": 3, "max_tokens": 9, "max_completion_tokens": 5, "cache_salt": "s",
        "tools": [{}], "stream_options": {"include_usage": True}, "return_token_ids": True,
        "messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}, {"text": "b"}]},
            {"role": "assistant", "content": None, "tool_calls": []}, {"role": "tool", "content": "7"}, {"role": 5},
        ],
    }  # fmt: skip
    view = View.read(json.dumps(asked).encode())
    roles = ["system", "user", "assistant", "user", "user"]
    assert [message.role for message in view.messages] == roles
    assert view.text == "be brief\nab\n\n7\n"
    assert (view.n, view.max_tokens, view.salt, view.has_tools) == (3, 5, "s", True)
    assert view.stream and view.include_usage and view.token_ids
    assert View.read(b'{"stream": null, "n": null, "max_tokens": null}') == View()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"5", b'"\xff"', b"[" * 100_000, b'{"n": 0}', b'{"n": 1.5}', b'{"n": true}', b'{"n": 129}',
        b'{"max_tokens": 0}', b'{"max_tokens": "9"}', b'{"max_tokens": 99999999999}', b'{"stream": 1}', b'{"model": 5}',
        b'{"messages": 5}', b'{"messages": [5]}', b'{"stream_options": []}', b'{"cache_salt": 1}',
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_looked_at_is_the_clients_fault(body: bytes) -> None:
    with pytest.raises(RequestError):
        View.read(body)
