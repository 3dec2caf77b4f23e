"""Answers that go wrong: each is a typed error that says whose fault it is, and the engine's place is free again."""

import asyncio
import json
import socket
from collections.abc import Sequence
from contextlib import aclosing
from math import inf
from typing import Any

import pytest

from runtime import Answer, Broken, Busy, EngineError, Refused, RequestError, Unreachable
from runtime.engines.openai.answer import Limits
from runtime.engines.openai.connection import Connection
from runtime.engines.openai.engine import OpenAIEngine
from runtime.engines.openai.refusals import retry_after_s
from tests.runtime.engines.openai.scripted import (
    DONE,
    EVENTS,
    USAGE,
    WHOLE,
    Scripted,
    Step,
    at_best,
    call,
    chunked,
    response,
    said,
    scripted,
)
from tests.runtime.engines.openai.test_answers import HELLO, MODELS, with_engine, with_server

SMALL = Limits(event_bytes=2000, body_bytes=5000)
SHORT = Limits(connect_s=0.1, first_token_s=0.5, idle_s=0.4)
WORDS = b'{"error": {"message": "too long", "n": 1.10}}'


def opened(*script: Step, stream: bool = True, limits: Limits = SMALL, deadline_s: float = inf) -> BaseException:
    """What `open` raises."""

    async def story(connection: Connection, server: Scripted) -> BaseException:
        until = asyncio.get_running_loop().time() + deadline_s
        with pytest.raises(Exception) as caught:
            await connection.open(call(stream), until)
        return caught.value

    error: BaseException = with_server(story, list(script), limits=limits)
    return error


def broken(*script: Step, stream: bool = True, limits: Limits = SMALL, deadline_s: float = inf) -> tuple[Any, Broken]:
    """The events that came before the answer broke, and how it broke."""

    async def story(connection: Connection, server: Scripted) -> tuple[list[bytes], Broken]:
        answer = await connection.open(call(stream), asyncio.get_running_loop().time() + deadline_s)
        assert connection.in_flight == 1
        seen: list[bytes] = []
        with pytest.raises(Broken) as caught:
            async for event in answer:
                seen += [event]
        # Without a word of ours it has hung up and freed its place.
        assert connection.in_flight == 0 and not answer.finished
        await answer.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(aiter(answer))
        return seen, caught.value

    found: tuple[list[bytes], Broken] = with_server(story, list(script), limits=limits)
    return found


@pytest.mark.parametrize("status", [400, 402, 404, 405, 409, 413, 422, 499])
def test_a_refusal_is_passed_on_to_the_byte(status: int) -> None:
    error = opened(response(status, WORDS))
    assert isinstance(error, Refused) and isinstance(error, RequestError)
    assert (error.status, error.body) == (status, WORDS)


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 407, 408, 425, 500, 501, 502, 504, 599])
def test_what_is_the_engines_or_its_operators_fault_is_not(status: int) -> None:
    error = opened(response(status, WORDS, "Location: http://127.0.0.1:1/"))
    assert type(error) is EngineError
    assert str(status) in str(error)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("said_", "seconds"),
    [("Retry-After: 7", 7.0), ("Retry-After-Ms: 250", 0.25), ("X: y", 1.0), ("Retry-After: nan", 1)],
)
def test_busy_says_until_when(status: int, said_: str, seconds: float) -> None:
    error = opened(response(status, WORDS, said_))
    assert isinstance(error, Busy) and error.retry_after_s == seconds


def test_the_finer_of_two_hints_counts() -> None:
    assert retry_after_s({"retry-after": "2", "retry-after-ms": "1500"}) == 1.5
    assert retry_after_s({"retry-after": "2", "retry-after-ms": "soon"}) == 2.0


def test_nobody_listens() -> None:
    async def main() -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        connection = Connection(f"http://127.0.0.1:{port}")
        with pytest.raises(Unreachable):
            await connection.open(call())
        assert connection.in_flight == 0
        await connection.close()

    asyncio.run(main())


def test_nobody_takes_the_connection() -> None:
    async def main() -> None:
        # A full queue of connections that nobody takes: further ones get no answer at all.
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            held = [socket.socket() for _ in range(4)]
            for one in held:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            connection = Connection(f"http://127.0.0.1:{full.getsockname()[1]}", limits=SHORT)
            with pytest.raises(Unreachable):
                await connection.open(call())
            await connection.close()
            for one in held:
                one.close()

    asyncio.run(main())


BEFORE: dict[str, Sequence[Step]] = {
    "reset before headers": ["reset"],
    "hung up before headers": [],
    "half a header": [b"HTTP/1.1 200 O"],
    "no HTTP": [b"SSH-2.0-OpenSSH\r\n\r\n"],
    "a huge header": [b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000],
    "silence": ["wait"],
    "one byte and silence": [b"H", "wait"],
    "events for a body": [EVENTS + chunked(*WHOLE)],
}


@pytest.mark.parametrize("kind", BEFORE)
def test_what_fails_before_the_answer_begins_may_go_elsewhere(kind: str) -> None:
    limits = SHORT if "silence" in kind else SMALL
    error = opened(*BEFORE[kind], stream=kind != "events for a body", limits=limits)
    assert type(error) is EngineError


@pytest.mark.parametrize("kind", ["text/html", "application/json", "text/plain; charset=utf-8"])
def test_a_stream_of_another_type_is_nonsense(kind: str) -> None:
    error = opened(response(200, b"<html>", kind=kind))
    assert type(error) is EngineError and kind.partition(";")[0] in str(error)


def test_a_redirect_is_not_followed() -> None:
    async def main() -> None:
        async with (
            scripted([response(200, b"{}")]) as other,
            scripted([response(307, b"", f"Location: {other.url}")]) as one,
        ):
            connection = Connection(one.url)
            with pytest.raises(EngineError, match="redirects"):
                await connection.open(call())
            await connection.close()
            assert not other.heads

    asyncio.run(main())


ONE = said("one ")
MIDWAY: dict[str, tuple[Sequence[Step], str]] = {
    "reset": ([EVENTS + chunked(ONE, end=False), 0.05, "reset"], "broke its answer off"),
    "hung up in chunks": ([EVENTS + chunked(ONE, end=False)], "broke its answer off"),
    "hung up between chunks": ([EVENTS + chunked(ONE, end=False) + b"50\r\ndata"], "broke its answer off"),
    "no chunk": ([EVENTS + chunked(ONE, end=False), 0.05, b"zz\r\n"], "broke its answer off"),
    "ended before its end": ([EVENTS + chunked(ONE)], "ended before the answer did"),
    "half an event": ([EVENTS + chunked(ONE, b'data: {"choices"')], "middle of an event of 16 bytes"),
    "idle": ([EVENTS + chunked(ONE, end=False), "wait"], "fell silent"),
    "garbage": ([EVENTS + chunked(ONE, b"data: garbage\n\n")], "nonsense"),
    "binary": ([EVENTS + chunked(ONE, b"data: \xff\x00\n\n")], "nonsense"),
    "a list": ([EVENTS + chunked(ONE, b"data: []\n\n")], "nonsense"),
    "a huge line": ([EVENTS + chunked(ONE, *[b"x" * 300] * 20)], "more than 2000 bytes"),
    "an endless line": (
        [EVENTS, chunked(ONE, end=False), *[chunked(b"x" * 999, end=False)] * 999],
        "more than 2000 bytes",
    ),
    "marked as ended before it was": ([EVENTS + chunked(ONE, USAGE, DONE)], "ended before the answer did"),
    "gave up": ([EVENTS + chunked(ONE, said("", "abort"), DONE)], "gave up"),
}


@pytest.mark.parametrize("kind", MIDWAY)
def test_what_fails_midway_is_broken(kind: str) -> None:
    script, expected = MIDWAY[kind]
    seen, error = at_best(lambda: broken(*script, limits=SHORT if kind == "idle" else SMALL))
    assert expected in str(error)
    assert seen == ([ONE, USAGE] if "marked" in kind else [ONE])


def test_an_error_inside_the_stream_is_broken_and_kept_for_the_client() -> None:
    event = b'data: {"error": {"message": "EngineCore died", "code": 500}}\n\n'
    seen, error = broken(EVENTS + chunked(ONE, event))
    assert seen == [ONE]
    assert (error.status, json.loads(error.body)["error"]["message"]) == (500, "EngineCore died")


def test_silence_after_the_headers_ends_at_the_limit_of_the_first_token() -> None:
    seen, error = at_best(lambda: broken(EVENTS, "wait", limits=SHORT))
    assert seen == [] and "fell silent" in str(error)
    ping = chunked(b": ping\n\n", end=False)
    seen, error = at_best(lambda: broken(EVENTS + ping, 0.2, ping, "wait", limits=SHORT))
    assert seen == [b": ping\n\n"] * 2


def test_a_slow_answer_is_no_silent_one() -> None:
    async def story(connection: Connection, server: Scripted) -> None:
        async with aclosing(await connection.open(call())) as answer:
            assert len([event async for event in answer]) == 4

    slow = [step for event in WHOLE for step in (chunked(event, end=False), 0.15)]
    at_best(lambda: with_server(story, [EVENTS, *slow, chunked()], limits=SHORT))


def test_a_deadline_ends_an_answer_however_busily_it_streams() -> None:
    drops = [step for _ in range(100) for step in (chunked(ONE, end=False), 0.02)]
    seen, error = at_best(lambda: broken(EVENTS, *drops, deadline_s=0.3))
    assert "not done in time" in str(error) and 0 < len(seen) < 100
    seen, error = at_best(lambda: broken(EVENTS, *drops, limits=Limits(total_s=0.3)))
    assert "not done in time" in str(error) and 0 < len(seen) < 100


def test_a_deadline_ends_an_answer_however_slowly_it_is_read() -> None:
    async def story(connection: Connection, server: Scripted) -> None:
        answer = await connection.open(call(), asyncio.get_running_loop().time() + 0.3)
        with pytest.raises(Broken, match="not done in time"):
            async for _ in answer:
                # Whenever more is read, more is there.
                await asyncio.sleep(0.05)

    drops = [step for _ in range(80) for step in (chunked(ONE, end=False), 0.01)]
    at_best(lambda: with_server(story, [EVENTS, *drops, chunked(*WHOLE), "next"]))


def test_a_deadline_that_has_passed_sends_nothing_that_lasts() -> None:
    assert type(opened("wait", deadline_s=-1.0)) is EngineError


DRIPS: list[Step] = [b"x", 0.02] * 80
BODIES: dict[str, Sequence[Step]] = {
    "garbage": [response(200, b"<html>")],
    "cut off": [response(200, b'{"choices": []}')[:-4]],
    "reset": [b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{", 0.05, "reset"],
    "huge": [response(200, b" " * 6000)],
    "no choice": [response(200, b'{"choices": []}')],
    "unended": [response(200, b'{"choices": [{"index": 0, "message": {"content": "x"}}]}')],
    "an error": [response(200, b'{"error": {"message": "m"}}')],
    "dripping": [b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n", *DRIPS],
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_is_none_is_broken(kind: str) -> None:
    deadline_s = 0.5 if kind == "dripping" else inf
    seen, _ = at_best(lambda: broken(*BODIES[kind], stream=False, deadline_s=deadline_s))
    assert seen == []


def test_a_refusal_that_never_ends_is_cut() -> None:
    error = opened(b"HTTP/1.1 400 Bad\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 2_000_000, limits=Limits())
    assert isinstance(error, Refused) and error.body == b""


def test_an_engine_adds_its_name_and_loses_nothing() -> None:
    async def story(engine: OpenAIEngine) -> None:
        await engine.start()
        with pytest.raises(Refused, match="'a'") as refused:
            await engine.open(call())
        assert (refused.value.status, refused.value.body) == (400, WORDS)
        with pytest.raises(Busy, match="'a'") as busy:
            await engine.open(call())
        assert busy.value.retry_after_s == 7.0
        with pytest.raises(RequestError, match="'r1'"):
            await engine.generate(HELLO)

    refusal: list[Step] = [response(400, WORDS), "next"]
    with_engine(story, [MODELS, "next"], refusal, [response(429, WORDS, "Retry-After: 7"), "next"], refusal)


@pytest.mark.parametrize(
    ("status", "well"),
    [(200, True), (204, True), (302, True), (307, True), (401, True), (403, True), (404, True), (429, True),
     (500, False), (502, False), (503, False)],
)  # fmt: skip
def test_a_server_is_well_that_answers_anything_but_a_failure_of_its_own(status: int, well: bool) -> None:
    """Behind a proxy, `/health` may lead elsewhere, want a key of its own, or be asked too often."""

    async def story(engine: OpenAIEngine) -> None:
        await engine.start()
        assert await engine.healthy() == well

    with_engine(story, [MODELS, "next"], [response(status, b"", "Location: http://elsewhere.invalid/"), "next"])


def test_a_server_that_is_gone_or_silent_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.engines.openai.engine._HEALTHY_S", 0.05)

    async def story(engine: OpenAIEngine) -> None:
        await engine.start()
        assert not await engine.healthy() and not await engine.healthy()

    with_engine(story, [MODELS, "next"], ["reset"], ["wait"])


def test_generate_sees_nothing_of_a_broken_answer_and_says_that_it_may_go_elsewhere() -> None:
    async def story(engine: OpenAIEngine) -> None:
        await engine.start()
        for kind in (EngineError, Busy, RequestError):
            with pytest.raises(kind) as caught:
                await engine.generate(HELLO)
            assert not isinstance(caught.value, Broken)

    def failing(code: int) -> list[Step]:
        event = json.dumps({"error": {"message": "m", "code": code}}).encode()
        return [EVENTS + chunked(ONE, b"data: " + event + b"\n\n"), "next"]

    with_engine(story, [MODELS, "next"], [EVENTS + chunked(ONE), "next"], failing(503), failing(400))


def test_an_answer_is_one() -> None:
    async def story(connection: Connection, server: Scripted) -> None:
        answer = await connection.open(call())
        assert isinstance(answer, Answer)
        await answer.aclose()

    with_server(story, [EVENTS, "wait"])
