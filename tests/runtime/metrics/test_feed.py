"""What a live view is told, and that nobody who is slow delays anybody."""

import asyncio
import json
import time
from typing import Any

import pytest

from runtime.gateway.app import Gateway
from runtime.gateway.operators.watching import Watching
from runtime.metrics.feed import MOST_LISTENERS, MOST_OF_ONE, Feed
from runtime.metrics.tally import Tally
from tests.runtime.gateway.fleets import fleet
from tests.runtime.gateway.simulated import CHAT, Asked, ask, chat, told


def events(answer: Asked) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for event in answer.body.decode().split("\n\n")[:-1]:
        kind, data = event.split("\n")
        found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_listener_is_told_every_second_what_happened() -> None:
    async def story(app: Gateway, watching: Watching) -> list[tuple[str, dict[str, Any]]]:
        leave, seen = asyncio.Event(), Asked()
        await ask(app, CHAT, chat("the sea " * 30, iemas={"worth": 5000}))
        await asyncio.sleep(2)
        listening = asyncio.ensure_future(ask(app, "/iemas/v1/events", seen=seen, hang_up=leave))
        await asyncio.sleep(0.2)
        await ask(app, CHAT, chat("the sea " * 30, iemas={"worth": 5000}, stream=True))
        await ask(app, CHAT, chat("the sea", iemas={"worth": 0.0}))
        await asyncio.sleep(3)
        assert watching.admin.feed.listeners == 1
        leave.set()
        await listening
        assert watching.admin.feed.listeners == 0
        assert seen.headers["content-type"].startswith("text/event-stream")
        return events(seen)

    (first, hello), *ticks = told(fleet(), story)
    assert first == "hello" and len(hello["history"]) == 2 and hello["totals"]["served"] == 1
    assert 2 <= len(ticks) <= 4 and {kind for kind, _ in ticks} == {"tick"}
    points = [said["point"] for _, said in ticks]
    assert sum(one["arrived"] for one in points) == pytest.approx(2, rel=0.01)
    assert sum(one["declined"] for one in points) == pytest.approx(1, rel=0.01)
    [busy] = [one for one in points if one["wait_p50"] is not None]
    assert busy["hit"] > 0.5 and busy["price"] >= 0 and busy["wait_p50"] == busy["wait_p95"] > 0
    last = ticks[-1][1]
    assert last["totals"]["declined"] == {"too_low": 1, "late": 0, "no_room": 0}
    assert sum(one["served"] for one in last["agents"]) == 2 and all(one["up"] for one in last["agents"])
    assert last["totals"]["stated"]["body"] == 3
    assert "the sea" not in json.dumps([hello, *ticks]) and "local" not in json.dumps([hello, *ticks])


def test_whoever_does_not_listen_is_let_go_and_nobody_waits_for_them() -> None:
    async def story() -> None:
        feed = Feed(Tally([("a", "m")]))
        slow, quick = feed.join(), feed.join()
        assert slow is not None and quick is not None
        assert (await anext(quick)).startswith(b"event: hello")
        for _ in range(40):
            feed.tick()
            assert (await anext(quick)).startswith(b"event: tick")
        assert slow.closed.is_set() and not quick.closed.is_set() and feed.listeners == 1
        feed.stop()
        assert quick.closed.is_set() and feed.join() is None

    asyncio.run(story())


def test_there_is_a_bound_on_listeners_and_each_leaves_a_place() -> None:
    async def story() -> None:
        feed = Feed(Tally([("a", "m")]))
        some = [feed.join(f"bidder {k // MOST_OF_ONE}") for k in range(MOST_LISTENERS)]
        assert None not in some and feed.join("another") is None
        assert some[0] is not None
        feed.leave(some[0])
        assert feed.join("another") is not None
        feed.stop()

    asyncio.run(story())


def test_nobody_takes_the_places_of_all() -> None:
    async def story() -> None:
        feed = Feed(Tally([("a", "m")]))
        mine = [feed.join("mallory") for _ in range(MOST_LISTENERS)]
        listening = [one for one in mine if one is not None]
        assert len(listening) == MOST_OF_ONE < MOST_LISTENERS
        assert feed.join("alice") is not None and feed.join("mallory") is None
        feed.leave(listening[0])
        assert feed.join("mallory") is not None
        feed.stop()

    asyncio.run(story())


def test_a_client_that_does_not_read_does_not_hold_up_a_gateway_that_stops() -> None:
    async def story(app: Gateway, watching: Watching) -> float:
        never = asyncio.Event()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await never.wait()

        async def receive() -> Any:
            await never.wait()

        scope = {
            "type": "http", "method": "GET", "path": "/iemas/v1/events", "raw_path": b"/iemas/v1/events",
            "query_string": b"", "root_path": "", "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1),
            "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80), "asgi": {"version": "3.0"},
        }  # fmt: skip
        stuck = asyncio.ensure_future(app(scope, receive, send))
        await asyncio.sleep(1)
        assert watching.admin.feed.listeners == 1
        served = await ask(app, CHAT, chat("go on", iemas={"worth": 5000}))
        assert served.status == 200
        began = asyncio.get_running_loop().time()
        app.drain()
        await stuck
        assert (await ask(app, "/iemas/v1/events")).status == 503
        return asyncio.get_running_loop().time() - began

    began = time.monotonic()
    assert told(fleet(), story) <= 1.5
    assert time.monotonic() - began < 20
