"""The application in process: what is asked of a backend, and what a client sees of its answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

import httpx
import pytest

from runtime import EngineBusyError, EngineError
from runtime.errors import ServingError
from runtime.gateway.app import Gateway, tells_usage
from runtime.gateway.fleet.config import Fleet
from runtime.gateway.problems import bid_too_low, broken_off
from runtime.gateway.requests.backend import Asked
from tests.runtime.gateway.fleets import BIG, SMALL, fleet

CHAT = "/v1/chat/completions"
ASK = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
EVENTS = [
    b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":3}}\n\n',
    b"data: [DONE]\n\n",
]
WHOLE = b'{"id": "x", "big": 123456789012345678901234567890}'


class Scripted:
    """Answers with pieces; what is an exception is raised, what is callable is awaited."""

    def __init__(self, *pieces: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.pieces, self.status = pieces, status
        self.headers = {"x-iemas-agent": "small", "server": "uvicorn"} | (headers or {})
        self.closed = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                raise piece
            if callable(piece):
                await piece()
            else:
                yield piece

    async def aclose(self) -> None:
        self.closed += 1


class Fake:
    """A backend that gives one answer, raises, or waits."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = Scripted(WHOLE) if answer is None else answer
        self.asked: list[Asked] = []
        self.is_ready = True
        self.withdrawn = 0

    def ready(self) -> bool:
        return self.is_ready

    async def submit(self, asked: Asked) -> Any:
        self.asked.append(asked)
        if isinstance(self.answer, BaseException):
            raise self.answer
        if callable(self.answer):
            try:
                return await self.answer()
            except asyncio.CancelledError:
                self.withdrawn += 1
                raise
        return self.answer


def visit(app: Gateway, story: Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await story(client)

    return asyncio.run(main())


def ask(app: Gateway, body: Any = None, path: str = CHAT, **options: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body or ASK).encode()
    headers = httpx.Headers({"content-type": "application/json"})
    headers.update(httpx.Headers(options.pop("headers", {})))
    response: httpx.Response = visit(app, lambda client: client.post(path, content=content, headers=headers, **options))
    assert app.inside.requests == 0, "a request that is over is inside no more"
    return response


def error(response: httpx.Response) -> tuple[int, str, str]:
    return response.status_code, response.json()["error"]["code"], response.headers["x-should-retry"]


def limited(**limits: Any) -> Fleet:
    return fleet(limits=limits)


def test_a_whole_answer_is_the_engines_bytes() -> None:
    backend = Fake()
    response = ask(Gateway(fleet(), backend), ASK | {"iemas": {"worth": 7}, "seed": 10**29})
    [asked] = backend.asked
    assert (response.status_code, response.content) == (200, WHOLE)
    assert response.headers["x-request-id"] == asked.id and response.headers["x-iemas-agent"] == "small"
    assert "server" not in response.headers
    assert (asked.agents, asked.bidder, asked.path) == ((0, 1), "local", CHAT)
    assert (asked.stated.preferences.worth, asked.stated.source) == (7.0, "body")
    sent = json.loads(asked.bytes_for("tiny"))
    assert sent == ASK | {"model": "tiny", "max_tokens": 1024, "seed": 10**29}
    assert backend.answer.closed == 1


def test_a_stream_is_the_engines_events() -> None:
    for options, shown in ((None, [EVENTS[0], EVENTS[2]]), ({"include_usage": True}, EVENTS)):
        backend = Fake(Scripted(*EVENTS))
        response = ask(Gateway(fleet(), backend), ASK | {"stream": True, "stream_options": options})
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.content == b"".join(shown), "usage is shown to those who asked for it"
        assert json.loads(backend.asked[0].bytes_for("t"))["stream_options"] == {"include_usage": True}
        assert backend.answer.closed == 1


@pytest.mark.parametrize(
    ("event", "hidden"),
    [
        (EVENTS[1], True),
        (b'data:{"choices": [],\ndata:"usage": {"a": 1}}\n\n', True),
        (EVENTS[0], False),
        (b'data: {"choices": [{"delta": {"content": "\\"usage\\""}}]}\n\n', False),
        (b'data: {"choices": [{"index": 0}], "usage": {"a": 1}}\n\n', False),
        (b'data: {"choices": [], "usage": null}\n\n', False),
        (b'data: "usage"\n\n', False),
        (b': a comment, "usage"\n\n', False),
    ],
)
def test_which_event_is_hidden(event: bytes, hidden: bool) -> None:
    assert tells_usage(event) == hidden


def test_what_breaks_before_the_first_byte_has_a_status() -> None:
    for answer, told in (
        (bid_too_low("too low"), (402, "bid_too_low", "false")),
        (EngineBusyError("busy", 0.5), (503, "no_capacity", "true")),
        (EngineError("every engine is down"), (503, "no_capacity", "true")),
        (KeyError("secret"), (500, "internal_error", "false")),
        (Scripted(broken_off()), (502, "engine_failed", "false")),
        (Scripted(), (502, "engine_failed", "false")),
    ):
        response = ask(Gateway(fleet(), Fake(answer)), ASK | {"stream": True})
        assert error(response) == told and "secret" not in response.text
        assert response.headers["x-request-id"].startswith("req-")
    assert error(ask(Gateway(fleet(), Fake(Scripted(b"{", broken_off()))))) == (502, "engine_failed", "false")


def test_what_breaks_in_a_stream_is_its_last_event() -> None:
    backend = Fake(Scripted(EVENTS[0], broken_off("gone")))
    response = ask(Gateway(fleet(), backend), ASK | {"stream": True})
    first, last = response.content.split(b"\n\n")[:2]
    assert response.status_code == 200 and first + b"\n\n" == EVENTS[0]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "engine_failed"
    assert b"[DONE]" not in response.content and backend.answer.closed == 1


def test_an_engines_refusal_goes_on_and_its_refusal_of_us_does_not() -> None:
    refusal = b'{"error": {"message": "context of 4096", "n": 1.10}}'
    response = ask(Gateway(fleet(), Fake(Scripted(refusal, status=400))), ASK | {"stream": True})
    assert (response.status_code, response.content, response.headers["x-should-retry"]) == (400, refusal, "false")
    for status in (401, 403, 500):
        assert error(ask(Gateway(fleet(), Fake(Scripted(b"our key", status=status)))))[0] == 502


@pytest.mark.parametrize(
    ("body", "headers", "told"),
    [
        (b"{", {}, (400, "invalid_json", "false")),
        (b'{"model":"none"}', {}, (404, "model_not_found", "false")),
        (b'{"model":"auto","n":9}', {}, (400, "invalid_value", "false")),
        (b'{"model":"auto","n":9}', {}, (400, "invalid_value", "false")),
        (b'{"model":"auto","max_tokens":65}', {}, (400, "invalid_value", "false")),
        (b'{"model":"auto","iemas":{"worht":1}}', {}, (400, "invalid_value", "false")),
        (b'{"model":"auto"}', {"x-iemas-worth": "nan"}, (400, "invalid_value", "false")),
        (b'{"model":"auto"}', {"content-type": "text/plain"}, (415, "unsupported_media_type", "false")),
        (b'{"model":"auto"}', {"content-encoding": "gzip"}, (415, "unsupported_encoding", "false")),
        (b'{"model":"auto"}' + b" " * 100, {}, (413, "body_too_large", "false")),
        (b'{"model":"auto"}', {"x-long": "x" * 2000}, (431, "headers_too_large", "false")),
    ],
)
def test_what_is_refused_reaches_no_backend(body: bytes, headers: dict[str, str], told: tuple[int, str, str]) -> None:
    backend = Fake()
    app = Gateway(limited(body_bytes=100, header_bytes=1000, default_max_tokens=64, max_tokens=64), backend)
    assert error(ask(app, body, headers=headers)) == told
    assert not backend.asked


def test_a_body_without_a_length_is_bounded_too() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 64

    backend = Fake()
    app = Gateway(limited(body_bytes=100), backend)
    headers = {"content-type": "application/json"}
    response = visit(app, lambda client: client.post(CHAT, content=endless(), headers=headers))
    assert error(response) == (413, "body_too_large", "false") and not backend.asked


def test_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A1", "sk-one")
    monkeypatch.setenv("A2", "sk-two")
    keys = [
        {"name": "laptop", "account": "alice", "key": {"env": "A1"}, "preferences": {"worth": 3}},
        {"name": "phone", "account": "alice", "key": {"env": "A2"}},
    ]
    backend = Fake()
    app = Gateway(fleet(keys=keys), backend)
    for given in ({}, {"authorization": "Bearer sk-on"}, {"authorization": "Basic sk-one"}, {"authorization": "sk-one"},
                  {"authorization": "Bearer "}, {b"authorization": "Bearer é".encode()}):  # fmt: skip
        response = ask(app, headers=given)
        assert error(response) == (401, "invalid_api_key", "false") and response.headers["www-authenticate"] == "Bearer"
        assert visit(app, lambda client: client.get("/v1/models")).status_code == 401
    for key in ("sk-one", "sk-two"):
        assert ask(app, ASK | {"user": "bob"}, headers={"authorization": f"bearer {key}"}).status_code == 200
    assert [asked.bidder for asked in backend.asked] == ["alice", "alice"], "all keys of one account are one bidder"
    assert [asked.stated.source for asked in backend.asked] == ["key", "operator"]
    assert all("authorization" not in asked.headers for asked in backend.asked)
    monkeypatch.setenv("A2", "sk-one")
    with pytest.raises(ServingError, match=r"keys\[1\].key: it is the key of laptop too"):
        Gateway(fleet(keys=keys), backend)


def test_other_paths() -> None:
    backend = Fake()
    app = Gateway(fleet(pools={"fast/one": ["small"]}), backend)
    assert visit(app, lambda client: client.get("/health")).json() == {"status": "ok"}
    assert visit(app, lambda client: client.get("/ready")).status_code == 200
    backend.is_ready = False
    assert visit(app, lambda client: client.get("/ready")).status_code == 503
    assert visit(app, lambda client: client.get("/health")).status_code == 200
    models = visit(app, lambda client: client.get("/v1/models")).json()
    assert [each["id"] for each in models["data"]] == ["tiny", "wide", "fast/one", "auto"]
    assert visit(app, lambda client: client.get("/v1/models/fast%2Fone")).json()["id"] == "fast/one"
    assert error(visit(app, lambda client: client.get("/v1/models/none"))) == (404, "model_not_found", "false")
    assert error(visit(app, lambda client: client.get("/v2"))) == (404, "unknown_url", "false")
    refused = visit(app, lambda client: client.get(CHAT))
    assert error(refused) == (405, "method_not_allowed", "false") and refused.headers["allow"] == "POST"


def test_the_default_bid_is_published() -> None:
    made = fleet(preferences={"worth": 2}, service_tiers={"flex": {"worth": 1}})
    app = Gateway(made, Fake())
    assert visit(app, lambda client: client.get("/iemas/v1/defaults")).json() == {
        "preferences": {"worth": 2.0, "delay_cost": 0.005},
        "service_tiers": {"flex": {"worth": 1.0}},
    }


def test_drained_it_takes_nothing_new() -> None:
    app = Gateway(fleet(), Fake())
    app.drain()
    assert error(ask(app)) == (503, "no_capacity", "true")
    assert visit(app, lambda client: client.get("/ready")).status_code == 503


def test_a_fleet_is_taken_over_whole_or_not() -> None:
    app = Gateway(fleet(), Fake())
    both = fleet(SMALL | {"serves": ["mini"]}, BIG, rounds={"max_batch": 2})
    assert app.adopt(both).restart == ("rounds.max_batch",)
    assert ask(app, ASK | {"model": "tiny"}).status_code == 200
    assert app.adopt(fleet(SMALL | {"serves": ["mini"]}, BIG)).restart == ()
    assert ask(app, ASK | {"model": "tiny"}).status_code == 404 and ask(app, ASK | {"model": "mini"}).status_code == 200


class Client:
    """Speaks ASGI itself: hangs up when told, or sends a body slowly."""

    def __init__(self, body: Any = None, *, more_body: bool = False, key: str = "") -> None:
        self.headers = [(b"content-type", b"application/json"), (b"authorization", f"Bearer {key}".encode())]
        self.headers.append((b"host", b"localhost"))
        self.sent: list[MutableMapping[str, Any]] = []
        self.inbox: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        content = json.dumps(body or ASK).encode()
        self.inbox.put_nowait({"type": "http.request", "body": content, "more_body": more_body})
        self.got = asyncio.Event()

    def hang_up(self) -> None:
        self.inbox.put_nowait({"type": "http.disconnect"})

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)
        self.got.set()

    def call(self, app: Gateway) -> Awaitable[None]:
        scope = {"type": "http", "method": "POST", "path": CHAT, "headers": self.headers, "client": ("127.0.0.1", 9)}
        return asyncio.ensure_future(app(scope, self.inbox.get, self.send))


async def _for_ever() -> None:
    await asyncio.Event().wait()


def test_a_client_who_hangs_up_withdraws_the_request() -> None:
    async def before() -> None:
        backend = Fake(_for_ever)
        app = Gateway(fleet(), backend)
        client = Client()
        call = client.call(app)
        while not backend.asked:
            await asyncio.sleep(0)
        client.hang_up()
        await asyncio.wait_for(call, 5)
        assert (backend.withdrawn, client.sent, app.inside.requests) == (1, [], 0)

    async def meanwhile() -> None:
        backend = Fake(Scripted(EVENTS[0], _for_ever))
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
    backend = Fake(_for_ever)
    assert error(ask(Gateway(limited(request_s=0.01, first_byte_s=0.01), backend))) == (504, "deadline_passed", "false")
    assert backend.withdrawn == 1
    late = Fake(Scripted(EVENTS[0], _for_ever))
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

    backend = Fake(_for_ever)
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
        backend.answer = _for_ever
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


def test_lifespan() -> None:
    async def story() -> list[str]:
        inbox = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        told: list[str] = []

        async def receive() -> Any:
            return next(inbox)

        async def send(message: MutableMapping[str, Any]) -> None:
            told.append(message["type"])

        await Gateway(fleet(), Fake())({"type": "lifespan"}, receive, send)
        return told

    assert asyncio.run(story()) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
