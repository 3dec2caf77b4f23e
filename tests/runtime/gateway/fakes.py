"""A backend that does as told, and clients of a gateway over it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

import httpx

from runtime.gateway.app import Gateway
from runtime.gateway.fleet.config import Fleet
from runtime.gateway.requests.backend import Asked
from tests.runtime.gateway.fleets import fleet

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


async def for_ever() -> None:
    await asyncio.Event().wait()
