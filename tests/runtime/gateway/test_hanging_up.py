"""Clients who hang up, wait for too long or are too many: what is withdrawn, broken off and left over."""

import asyncio

import pytest

from runtime.gateway.app import Gateway
from tests.runtime.gateway.fakes import (
    ASK,
    EVENTS,
    Client,
    Fake,
    Scripted,
    ask,
    error,
    for_ever,
    limited,
)
from tests.runtime.gateway.fleets import fleet


def test_a_client_who_hangs_up_withdraws_the_request() -> None:
    async def before() -> None:
        backend = Fake(for_ever)
        app = Gateway(fleet(), backend)
        client = Client()
        call = client.call(app)
        while not backend.asked:
            await asyncio.sleep(0)
        client.hang_up()
        await asyncio.wait_for(call, 5)
        assert (backend.withdrawn, client.sent, app.inside.requests) == (1, [], 0)

    async def meanwhile() -> None:
        backend = Fake(Scripted(EVENTS[0], for_ever))
        app = Gateway(fleet(), backend)
        client = Client(ASK | {"stream": True})
        call = client.call(app)
        while len(client.sent) < 2:
            await client.got.wait()
            client.got.clear()
        client.hang_up()
        await asyncio.wait_for(call, 5)
        assert (backend.answer.closed, app.inside.requests) == (1, 0)
        assert [message["type"] for message in client.sent] == ["http.response.start", "http.response.body"]

    async def in_the_body() -> None:
        backend = Fake()
        client = Client(more_body=True)
        client.hang_up()
        await asyncio.wait_for(client.call(Gateway(fleet(), backend)), 5)
        assert not backend.asked and client.sent[0]["status"] == 400

    for story in (before, meanwhile, in_the_body):
        asyncio.run(story())


def test_whenever_clients_hang_up_nothing_is_left_over() -> None:
    """Two hundred requests, each hung up on after another number of turns of the loop, or served to the end."""

    async def turns(number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)

    async def story() -> None:
        given: list[Scripted] = []

        async def answer() -> Scripted:
            await turns(3)
            given.append(Scripted(EVENTS[0], lambda: turns(3), EVENTS[0], lambda: turns(3), EVENTS[2]))
            return given[-1]

        backend = Fake(answer)
        app = Gateway(fleet(), backend)
        clients = [Client(ASK | {"stream": True}) for _ in range(200)]

        async def one(client: Client, patience: int) -> None:
            call = client.call(app)
            await turns(patience)
            client.hang_up()
            await asyncio.wait_for(call, 30)

        await asyncio.gather(*(one(client, i % 40) for i, client in enumerate(clients)))
        assert app.inside.requests == 0
        assert [answered.closed for answered in given] == [1] * len(given)
        assert len(given) + backend.withdrawn == len(backend.asked)
        whole = [client for client in clients if client.sent and "more_body" not in client.sent[-1]]
        assert 0 < len(whole) < 200 and all(client.sent[-2]["body"] == EVENTS[2] for client in whole)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(story())


def test_an_event_is_sent_on_before_the_next_is_there() -> None:
    async def story() -> None:
        go = asyncio.Event()
        client = Client(ASK | {"stream": True})
        call = client.call(Gateway(fleet(), Fake(Scripted(EVENTS[0], go.wait, EVENTS[2]))))
        while len(client.sent) < 2:
            await client.got.wait()
            client.got.clear()
        assert client.sent[1]["body"] == EVENTS[0]
        go.set()
        await asyncio.wait_for(call, 5)
        assert [message.get("body") for message in client.sent[1:]] == [EVENTS[0], EVENTS[2], b""]

    asyncio.run(story())


def test_time_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.gateway.app._READING_S", 0.01)
    backend = Fake(for_ever)
    assert error(ask(Gateway(limited(request_s=0.01, first_byte_s=0.01), backend))) == (504, "deadline_passed", "false")
    assert backend.withdrawn == 1
    late = Fake(Scripted(EVENTS[0], for_ever))
    response = ask(Gateway(limited(request_s=0.05, first_byte_s=0.01), late), ASK | {"stream": True})
    assert b"deadline_passed" in response.content and late.answer.closed == 1

    async def slow_body() -> None:
        client = Client(more_body=True)
        await asyncio.wait_for(client.call(Gateway(limited(body_s=0.01), Fake())), 5)
        assert client.sent[0]["status"] == 408

    asyncio.run(slow_body())


def test_more_than_the_limit_inside_is_429() -> None:
    async def story(app: Gateway, backend: Fake, most: int) -> None:
        clients = [Client() for _ in range(most)]
        calls = [client.call(app) for client in clients]
        while len(backend.asked) < most:
            await asyncio.sleep(0)
        last = Client()
        await asyncio.wait_for(last.call(app), 5)
        headers = dict(last.sent[0]["headers"])
        assert b"3 requests of all clients are inside" in last.sent[1]["body"]
        assert last.sent[0]["status"] == 429 and headers[b"x-should-retry"] == b"true" and b"retry-after-ms" in headers
        for client in clients:
            client.hang_up()
        await asyncio.gather(*calls)
        assert app.inside.requests == 0

    backend = Fake(for_ever)
    asyncio.run(story(Gateway(limited(requests=3, requests_per_key=1), backend), backend, 3))


def test_a_key_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A", "B"):
        monkeypatch.setenv(name, f"sk-{name}")
    keys = [{"name": name, "key": {"env": name}} for name in ("A", "B")]
    backend = Fake()
    app = Gateway(fleet(keys=keys, limits={"requests_per_key": 1}), backend)
    for _ in range(3):
        assert ask(app, headers={"authorization": "Bearer sk-A"}).status_code == 200, "who left is counted no more"

    async def story() -> None:
        backend.answer = for_ever
        first, second, other = Client(key="sk-A"), Client(key="sk-A"), Client(key="sk-B")
        calls = [first.call(app)]
        while len(backend.asked) < 4:
            await asyncio.sleep(0)
        await asyncio.wait_for(second.call(app), 5)
        assert second.sent[0]["status"] == 429
        assert b"1 requests of this key are inside" in second.sent[1]["body"]
        assert b"[limits] requests_per_key" in second.sent[1]["body"]
        calls.append(other.call(app))
        while len(backend.asked) < 5:
            await asyncio.sleep(0)
        for client in (first, other):
            client.hang_up()
        await asyncio.gather(*calls)

    asyncio.run(story())
