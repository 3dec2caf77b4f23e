"""The application in process: what is asked of a backend, and what a client sees of its answers."""

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from runtime import EngineBusyError, EngineError
from runtime.errors import ServingError
from runtime.gateway.app import Gateway, tells_usage
from runtime.gateway.problems import bid_too_low, broken_off
from tests.runtime.gateway.fakes import (
    ASK,
    CHAT,
    EVENTS,
    WHOLE,
    Fake,
    Scripted,
    ask,
    error,
    limited,
    visit,
)
from tests.runtime.gateway.fleets import BIG, SMALL, fleet


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
