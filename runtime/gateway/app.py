"""The gateway as an ASGI application: bytes in, a `Backend` asked, bytes out, and nothing of a framework between.

    POST /v1/chat/completions, /v1/completions, /v1/embeddings
    GET  /v1/models, /v1/models/NAME, /iemas/v1/defaults, /iemas/v1/receipts/ID, /openapi.json, /health, /ready
    and what an operator is shown (`admin`), in an application of its own

Nothing is sent before the first bytes of an answer are there, so what breaks before them has a status of its own; after
them it is an event of the stream in OpenAI's schema. A client who hangs up withdraws the request.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote

from runtime.accounts.names import PREFIX
from runtime.gateway.door.clients import Client, Keyring, Metering
from runtime.gateway.door.door import LOCAL, SERVED, Door, Headers, Inside, given_key
from runtime.gateway.fleet.config import Fleet, Limits
from runtime.gateway.fleet.reload import Changes, changes
from runtime.gateway.openapi.clients import OPENAPI, clients_document
from runtime.gateway.operators.admin import LISTENER, Admin, check_local
from runtime.gateway.problems import (
    Problem,
    Response,
    no_room,
    passed_on,
    problem_of,
    too_large,
    unknown_path,
    wrong_method,
)
from runtime.gateway.requests.backend import Answer, Asked, Backend
from runtime.gateway.serving.passing import tells_usage

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_OPEN = ("/health", "/ready")
RECEIPTS = "/iemas/v1/receipts/"

#: Seconds for a client to read what has come when its time is over.
_READING_S = 5.0
#: What an engine refuses to us, not to the client.
_OPERATORS = frozenset((401, 403, 407))

_log = logging.getLogger(__name__)


class Gateway:
    """The application over one fleet.

    Args:
        fleet: names, keys, limits, preferences.
        backend: serves what is admitted.
        admin: shows an operator how it goes, on paths of its own.
        keyring: keys beside the fleet's, to be run by whoever runs this.

    Raises:
        ServingError: a client's key is not where the file says.
    """

    def __init__(
        self, fleet: Fleet, backend: Backend, admin: Admin | None = None, keyring: Keyring | None = None
    ) -> None:
        self.fleet = fleet
        self.inside = Inside()
        self._backend, self._admin, self._keyring = backend, admin, keyring
        self._metering = Metering(time.monotonic)
        self._door = Door.of(fleet)
        self._draining = False

    def adopt(self, fleet: Fleet) -> Changes:
        """Take over another fleet if all of it may change live, else nothing of it; says what differs.

        Raises:
            ServingError: a client's key is not where the file says; the old fleet stays.
        """
        difference, door = changes(self.fleet, fleet), Door.of(fleet)
        if not difference.restart:
            self.fleet, self._door = fleet, door
        return difference

    @property
    def names(self) -> list[str]:
        """Every name that a request may ask for."""
        return list(self._door.models.agents)

    async def tend(self) -> None:
        """What goes on beside requests, until cancelled: the books' keys are followed."""
        if self._keyring is not None:
            await self._keyring.run()

    def drain(self) -> None:
        """Take no more requests; those inside go on."""
        self._draining = True
        if self._admin is not None:
            self._admin.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = _Began(send)
        try:
            await self._route(scope, receive, began)
        except Exception as error:
            problem = problem_of(error)
            if problem.status == 500:
                _log.exception("%s %s failed", scope["method"], scope["path"])
            await began.tell(problem)

    async def _route(self, scope: Scope, receive: Receive, began: "_Began") -> None:
        path, method = scope["path"], scope["method"]
        headers = [(name.decode("latin-1").lower(), text.decode("latin-1")) for name, text in scope["headers"]]
        door = self._door
        _check_headers(scope, door.limits)
        if not door.keys and self._keyring is None and path not in _OPEN:
            # Else any page in a browser could come in under a name of its own.
            check_local(scope, self.fleet.server.host)
        if path in _OPEN:
            _check_method(method, "GET", "HEAD")
            ready = path == "/health" or (self._backend.ready() and not self._draining)
            body = json.dumps({"status": "ok" if ready else "not ready"}).encode()
            await began.whole(_json(body, 200 if ready else 503))
        elif path in SERVED:
            _check_method(method, "POST")
            key = await self._key(door, headers)
            if self._draining:
                raise no_room("the gateway is being stopped; ask another, or again in a moment")
            with self.inside.enter(key, door.limits):
                self._metering.request(key)
                raw = await _body(headers, receive, door.limits)
                # While the body came, another file may have been taken over, and a key with it.
                key = await self._key(self._door, headers)
                door = self._door
                asked = door.admit(path, headers, raw, key)
                began.id = asked.id
                use = self._metering.tokens(key, _most_tokens(asked, raw))
                try:
                    await self._until_gone(asked, door.limits, receive, began)
                finally:
                    if use is not None:
                        use.correct(_tokens(self._backend.receipt(asked.id, asked.bidder)))
        elif path == "/v1/models" or path.startswith("/v1/models/"):
            _check_method(method, "GET", "HEAD")
            await self._key(door, headers)
            name = unquote(path.removeprefix("/v1/models").removeprefix("/"))
            await began.whole(_json(door.models.card(name) if name else door.models.listing()))
        elif path.startswith(RECEIPTS):
            _check_method(method, "GET", "HEAD")
            key = await self._key(door, headers)
            name = unquote(path.removeprefix(RECEIPTS))
            bidder = LOCAL if key is None else key.bidder
            told = self._backend.receipt(name, bidder)
            if told is None:
                raise Problem(404, f"no request {name[:80]!r} of yours is remembered", "receipt_not_found")
            proof = await self._backend.proof(name, bidder)
            if proof is not None:
                told = {**told, "proof": proof}
            await began.whole(_json(json.dumps(told).encode()))
        elif path == "/iemas/v1/defaults":
            _check_method(method, "GET", "HEAD")
            await self._key(door, headers)
            await began.whole(_json(door.published()))
        elif path == OPENAPI:
            _check_method(method, "GET", "HEAD")
            await self._key(door, headers)
            await began.whole(_json(self._described(door)))
        elif self._admin is not None and path in self._admin.paths:
            _check_method(method, "GET", "HEAD")
            key = None if path in self._admin.open else await self._key(door, headers)
            if key is not None:
                scope[LISTENER] = key.bidder
            await self._admin(scope, receive, began.handed_over())
        else:
            raise unknown_path(path[:200])

    async def _key(self, door: Door, headers: Headers) -> Client | None:
        """Whose request it is; one of the books that was made just now is looked up."""
        if self._keyring is None:
            return door.key(headers)
        try:
            return door.key(headers, self._keyring.keys)
        except Problem:
            if not given_key(headers).startswith(PREFIX):
                raise
            await self._keyring.refresh()
            return door.key(headers, self._keyring.keys)

    def _described(self, door: Door) -> bytes:
        """The body of GET /openapi.json."""
        keyed = bool(door.keys) or self._keyring is not None
        shown, free = ((), ()) if self._admin is None else (self._admin.paths, self._admin.open)
        return json.dumps(clients_document(door, keyed=keyed, shown=shown, free=free)).encode()

    async def _until_gone(self, asked: Asked, limits: Limits, receive: Receive, began: "_Began") -> None:
        """Serve a request for as long as its client listens."""
        task = asyncio.current_task()
        assert task is not None
        watch = asyncio.ensure_future(_hung_up(receive))
        watch.add_done_callback(lambda watch: None if watch.cancelled() else task.cancel())
        try:
            await self._serve(asked, limits, began)
        except asyncio.CancelledError:
            # Of whoever hung up nobody is told.
            if not watch.done() or watch.cancelled() or task.uncancel():
                raise
        finally:
            watch.cancel()

    async def _serve(self, asked: Asked, limits: Limits, began: "_Began") -> None:
        # An engine is given up before: whoever is cut off here does not read.
        async with asyncio.timeout(limits.request_s + _READING_S):
            answer = await self._backend.submit(asked)
            try:
                if answer.status < 400 and asked.body.stream:
                    await _stream(asked, answer, began)
                else:
                    body = b"".join([piece async for piece in answer])
                    await began.whole(_answered(answer, body))
            finally:
                await answer.aclose()


class _Began:
    """An answer on its way: whether anything of it was sent, and what may still be."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._streams = False
        self._ended = False
        self.id: str | None = None

    async def whole(self, response: Response) -> None:
        """Status, headers and body at once."""
        self._ended = True
        await self._start(response.status, response.headers)
        await self._send({"type": "http.response.body", "body": response.body})

    async def event(self, event: bytes, headers: Mapping[str, str]) -> None:
        """An event of a stream; the first brings the headers."""
        if not self._streams:
            self._streams = True
            own = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store"} | dict(headers)
            await self._start(
                200, tuple((name.encode("latin-1"), text.encode("latin-1")) for name, text in own.items())
            )
        await self._send({"type": "http.response.body", "body": event, "more_body": True})

    async def end(self) -> None:
        """No more events."""
        self._ended = True
        await self._send({"type": "http.response.body", "body": b""})

    def handed_over(self) -> Send:
        """Somebody else answers, and nobody here does."""
        self._ended = True
        return self._send

    async def tell(self, problem: Problem) -> None:
        """What went wrong, as an answer of its own or the stream's last event."""
        if self._ended:
            return
        if self._streams:
            await self.event(problem.event(), {})
            await self.end()
        else:
            await self.whole(problem.response())

    async def _start(self, status: int, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        if self.id is not None:
            headers = (
                *((name, text) for name, text in headers if name != b"x-request-id"),
                (b"x-request-id", self.id.encode()),
            )
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def _stream(asked: Asked, answer: Answer, began: _Began) -> None:
    shown = _shown_headers(answer.headers)
    sent = False
    async for event in answer:
        if not (asked.body.hides_usage and tells_usage(event)):
            sent = True
            await began.event(event, shown)
    if not sent:
        raise Problem(502, "the engine ended its stream before it began", "engine_failed", "server_error")
    await began.end()


async def _body(headers: Headers, receive: Receive, limits: Limits) -> bytes:
    """The whole body, within the operator's bytes and seconds."""
    kinds = [text.partition(";")[0].strip().lower() for name, text in headers if name == "content-type"]
    if kinds != ["application/json"]:
        # Else any page in a browser could send requests to a gateway on its own machine.
        raise Problem(415, "send the body as JSON, with `content-type: application/json`", "unsupported_media_type")
    if any(name == "content-encoding" and text.lower() != "identity" for name, text in headers):
        raise Problem(415, "send the body uncompressed", "unsupported_encoding")
    length = next((text for name, text in headers if name == "content-length"), "")
    if length.isdecimal() and int(length[:20]) > limits.body_bytes:
        raise too_large(limits.body_bytes)
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_s):
            async for piece in _pieces(receive):
                size += len(piece)
                if size > limits.body_bytes:
                    raise too_large(limits.body_bytes)
                pieces.append(piece)
    except TimeoutError:
        message = f"the body did not come within {limits.body_s:g} s"
        raise Problem(408, message, "body_too_slow", headers={"connection": "close"}) from None
    return b"".join(pieces)


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "the client hung up before the body's end", "incomplete_body")
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _most_tokens(asked: Asked, raw: bytes) -> int:
    """What a request may come to at most, if a token has four bytes."""
    return len(raw) // 4 + 1 + (asked.max_tokens or 0) * asked.body.generated * asked.body.prompts


def _tokens(receipt: Mapping[str, object] | None) -> int:
    """What it came to; nothing, if it was not served."""
    told = (receipt or {}).get("tokens")
    return int(told["prompt"]) + int(told["output"]) if isinstance(told, dict) else 0


def _check_headers(scope: Scope, limits: Limits) -> None:
    size = sum(len(name) + len(text) + 4 for name, text in scope["headers"]) + len(scope.get("raw_path") or b"")
    if size > limits.header_bytes:
        message = f"the headers have more than {limits.header_bytes} bytes, the most that is taken here"
        raise Problem(431, message, "headers_too_large")


def _check_method(method: str, *known: str) -> None:
    if method not in known:
        raise wrong_method(method, ", ".join(known))


def _answered(answer: Answer, body: bytes) -> Response:
    if answer.status in _OPERATORS or answer.status >= 500:
        # Our key for the engine, not the client's: they can do nothing about it.
        raise Problem(
            502, f"the engine answered {answer.status}; the operator's log has it", "engine_failed", "server_error"
        )
    if answer.status >= 400:
        return passed_on(answer.status, answer.headers, body)
    headers = {"content-type": "application/json"} | _shown_headers(answer.headers)
    headers["content-length"] = str(len(body))
    encoded = tuple((name.encode("latin-1"), text.encode("latin-1")) for name, text in headers.items())
    return Response(answer.status, encoded, body)


def _shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What of an answer's headers a client sees: its kind, and what the auction says."""
    lower = {name.lower(): text for name, text in headers.items()}
    return {name: text for name, text in lower.items() if name == "content-type" or name.startswith("x-iemas-")}


def _json(body: bytes, status: int = 200) -> Response:
    headers = ((b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()))
    return Response(status, headers, body)
