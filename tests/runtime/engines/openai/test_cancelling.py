"""Whoever stops listening stops the work: the server sees it within 100 ms, and the place is free once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from runtime import Answer, Broken, EngineError
from runtime.engines.openai.connection import Connection
from runtime.engines.vllm.engine import VllmEngine
from tests.runtime.engines.openai.scripted import (
    EVENTS,
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
from tests.runtime.engines.openai.test_answers import HELLO, with_server
from tests.runtime.engines.vllm.doubles import METRICS

SOON_S = 0.1
ENDLESS: list[Step] = [EVENTS + chunked(said("one"), end=False), "wait"]
DRIPS: list[Step] = [chunked(said("x"), end=False), 0.01] * 10_000
BUSY_STREAM: list[Step] = [EVENTS, *DRIPS]


async def left_soon(server: Scripted, since: float) -> None:
    async with asyncio.timeout(2.0):
        await server.left.wait()
    assert server.gone[-1] - since < SOON_S


async def by_aclose(connection: Connection, answer: Answer) -> None:
    await answer.aclose()
    assert connection.in_flight == 0
    await answer.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(aiter(answer))


async def by_cancelling_who_iterates(connection: Connection, answer: Answer) -> None:
    async def iterate() -> None:
        async for _ in answer:
            pass

    task = asyncio.create_task(iterate())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_aclose_under_who_iterates(connection: Connection, answer: Answer) -> None:
    async def iterate() -> None:
        async for _ in answer:
            pass

    task = asyncio.create_task(iterate())
    await asyncio.sleep(0.05)
    await answer.aclose()
    await task
    assert not answer.finished


WAYS: list[Callable[[Connection, Answer], Awaitable[None]]] = [
    by_aclose,
    by_cancelling_who_iterates,
    by_aclose_under_who_iterates,
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("script", [[EVENTS, "wait"], ENDLESS, BUSY_STREAM], ids=["silent", "idle", "busy"])
def test_the_server_sees_it_at_once(way: Callable[[Connection, Answer], Awaitable[None]], script: list[Step]) -> None:
    async def story(connection: Connection, server: Scripted) -> None:
        answer = await connection.open(call())
        assert connection.in_flight == 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        await way(connection, answer)
        assert connection.in_flight == 0
        await left_soon(server, max(began, loop.time() - 0.01))
        # Again, in all ways, frees nothing more.
        await answer.aclose()
        assert connection.in_flight == 0

    at_best(lambda: with_server(story, script))


@pytest.mark.parametrize("stream", [True, False])
def test_cancelled_before_the_headers(stream: bool) -> None:
    async def story(connection: Connection, server: Scripted) -> None:
        task = asyncio.create_task(connection.open(call(stream)))
        await asyncio.sleep(0.05)
        assert connection.in_flight == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert connection.in_flight == 0
        await left_soon(server, asyncio.get_running_loop().time())

    at_best(lambda: with_server(story, ["wait"]))


def test_a_body_under_way_is_given_up_too() -> None:
    async def story(connection: Connection, server: Scripted) -> None:
        answer = await connection.open(call(stream=False))
        await by_cancelling_who_iterates(connection, answer)
        await left_soon(server, asyncio.get_running_loop().time())

    at_best(lambda: with_server(story, [b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{", "wait"]))


def test_an_answer_of_another_type_is_hung_up_on() -> None:
    async def story(connection: Connection, server: Scripted) -> None:
        with pytest.raises(EngineError, match="text/html"):
            await connection.open(call())
        assert connection.in_flight == 0
        await left_soon(server, asyncio.get_running_loop().time())

    at_best(lambda: with_server(story, [EVENTS.replace(b"text/event-stream", b"text/html"), "wait"]))


def test_an_answer_that_was_read_is_no_loss_when_it_is_closed() -> None:
    async def story(connection: Connection, server: Scripted) -> None:
        for _ in range(3):
            answer = await connection.open(call())
            async for _event in answer:
                pass
            await answer.aclose()
            assert connection.in_flight == 0
        assert server.connections == 1 and not server.gone

    with_server(story, [EVENTS + chunked(*WHOLE), "next"])
    # The end of the body may come after the mark of the answer's end.
    with_server(story, [EVENTS + chunked(*WHOLE, end=False), 0.05, chunked(), "next"])


def test_many_are_stopped_and_none_is_counted_twice() -> None:
    async def story(connection: Connection, server: Scripted) -> None:
        answers = [await connection.open(call()) for _ in range(20)]
        assert connection.in_flight == 20
        for k, answer in enumerate(answers, start=1):
            await answer.aclose()
            await answer.aclose()
            assert connection.in_flight == 20 - k
        async with asyncio.timeout(2.0):
            while len(server.gone) < 20:
                await asyncio.sleep(0.01)

    with_server(story, ENDLESS)


def test_closing_all_connections_breaks_what_is_under_way() -> None:
    async def story(connection: Connection, server: Scripted) -> None:
        answer = await connection.open(call())
        assert await anext(aiter(answer)) == said("one")
        await connection.close()
        with pytest.raises(Broken):
            await anext(aiter(answer))
        assert connection.in_flight == 0

    with_server(story, ENDLESS)


PAGES: list[list[Step]] = [
    [response(200, b'{"data":[{"id":"tiny","max_model_len":2048}]}'), "next"],
    [response(200, METRICS.encode(), kind="text/plain"), "next"],
    [response(200, b'{"tokens":[5,6,7,8]}'), "next"],
]


def test_a_vllm_engine_is_hung_up_on_as_well() -> None:
    async def main() -> None:
        async with scripted(*PAGES, ENDLESS) as server, VllmEngine.connect("a", server.url) as engine:
            answer = await engine.open(call())
            assert (engine.in_flight, await anext(aiter(answer))) == (1, said("one"))
            began = asyncio.get_running_loop().time()
            await answer.aclose()
            assert engine.in_flight == 0
            await left_soon(server, began)

    at_best(lambda: asyncio.run(main()))


def test_a_cancelled_generate_hangs_up() -> None:
    async def main() -> None:
        async with scripted(*PAGES, ENDLESS) as server, VllmEngine.connect("a", server.url) as engine:
            first = asyncio.Event()
            task = asyncio.create_task(engine.generate(HELLO, first.set))
            await first.wait()
            assert engine.in_flight == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert engine.in_flight == 0
            await left_soon(server, asyncio.get_running_loop().time())

    at_best(lambda: asyncio.run(main()))
