"""The application behind a real server and real sockets: what ASGI promises, and what clients do to it."""

import asyncio
import json
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import uvicorn

from runtime.gateway.app import Gateway
from runtime.gateway.door.connections import TimedProtocol
from tests.runtime.gateway.fakes import ASK, CHAT, EVENTS, WHOLE, Fake, Scripted, for_ever
from tests.runtime.gateway.fleets import fleet


def serve(backend: Fake, story: Callable[[str, Gateway], Coroutine[Any, Any, None]], **limits: Any) -> None:
    """Tell a story to a server that runs."""

    async def main() -> None:
        app = Gateway(fleet(limits=limits), backend)
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            config = uvicorn.Config(app, http=TimedProtocol, log_level="critical", timeout_graceful_shutdown=5)
            server = uvicorn.Server(config)
            running = asyncio.ensure_future(server.serve(sockets=[listening]))
            while not server.started:
                await asyncio.sleep(0.01)
            try:
                await asyncio.wait_for(story(f"http://127.0.0.1:{listening.getsockname()[1]}", app), 20)
            finally:
                server.should_exit = True
                await running

    asyncio.run(main())


def test_whole_answers_and_streams() -> None:
    backend = Fake()

    async def story(url: str, app: Gateway) -> None:
        async with httpx.AsyncClient(base_url=url) as client:
            whole = await client.post(CHAT, json=ASK)
            assert (whole.status_code, whole.content) == (200, WHOLE)
            backend.answer = Scripted(*EVENTS)
            stream = await client.post(CHAT, json=ASK | {"stream": True})
            assert stream.content == EVENTS[0] + EVENTS[2] and stream.headers["x-request-id"].startswith("req-")
            assert (await client.get("/v1/models/auto")).json()["id"] == "auto"
            head = await client.head("/v1/models")
            assert (head.status_code, head.content) == (200, b"")
            large = await client.post(CHAT, content=b" " * 300_000, headers={"content-type": "application/json"})
            assert (large.status_code, large.json()["error"]["code"]) == (413, "body_too_large")

    serve(backend, story, body_bytes=1000)


def test_http_1_0_gets_no_chunks_and_the_end_of_the_connection() -> None:
    backend = Fake()

    async def asked(url: str, body: dict[str, Any]) -> tuple[bytes, bytes]:
        reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
        sent = json.dumps(body).encode()
        head = f"POST {CHAT} HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        writer.write(head.encode() + b"content-length: %d\r\n\r\n" % len(sent) + sent)
        head_sent, _, answer = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return head_sent.lower(), answer

    async def story(url: str, app: Gateway) -> None:
        head, answer = await asked(url, ASK)
        assert answer == WHOLE and b"content-length: %d" % len(WHOLE) in head
        backend.answer = Scripted(*EVENTS)
        head, answer = await asked(url, ASK | {"stream": True})
        assert answer == EVENTS[0] + EVENTS[2]
        assert b" 200 " in head and b"transfer-encoding" not in head and b"connection: close" in head

    serve(backend, story)


def test_a_dropped_connection_withdraws_the_request() -> None:
    for answer, sent in ((for_ever, b""), (Scripted(EVENTS[0], for_ever), EVENTS[0])):
        backend = Fake(answer)

        async def story(url: str, app: Gateway, backend: Fake = backend, sent: bytes = sent) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            body = json.dumps(ASK | {"stream": True}).encode()
            head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            head += f"content-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            while not backend.asked:
                await asyncio.sleep(0.01)
            assert app.inside.requests == 1
            if sent:
                await reader.readuntil(sent.strip())
            writer.close()
            while app.inside.requests:
                await asyncio.sleep(0.01)
            if sent:
                assert backend.answer.closed == 1
            else:
                assert backend.withdrawn == 1

        serve(backend, story)


def test_a_broken_stream_ends_in_order() -> None:
    """The error is an event and the body ends as it should: a client sees the error, not a broken connection."""

    async def story(url: str, app: Gateway) -> None:
        async with httpx.AsyncClient(base_url=url) as client:
            stream = await client.post(CHAT, json=ASK | {"stream": True})
        assert json.loads(stream.content.split(b"\n\n")[1].removeprefix(b"data: "))["error"]["code"] == "internal_error"

    serve(Fake(Scripted(EVENTS[0], KeyError("secret"))), story)
