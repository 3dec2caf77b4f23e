"""HTTP/1.1 as it goes over a socket: no library between what is sent and what is judged, and little CPU time."""

import asyncio
import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
JSON = ("content-type", "application/json")


@dataclass(slots=True)
class Reply:
    """What came back, and how it ended."""

    status: int = 0
    head: bytes = b""
    raw: bytes = b""
    complete: bool = False
    first_s: float = 0.0
    total_s: float = 0.0
    error: str | None = None

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names in lower case, in order."""
        pairs = [line.partition(b":") for line in self.head.split(b"\r\n")[1:] if line]
        return [(name.decode("latin-1").lower(), text.strip().decode("latin-1")) for name, _, text in pairs]

    def header(self, name: str) -> str:
        """The first header of this name, or nothing."""
        return next((text for key, text in self.headers if key == name), "")

    @property
    def body(self) -> bytes:
        """Without the marks of chunks; what there is of it, if the rest never came."""
        if "chunked" not in self.header("transfer-encoding"):
            return self.raw
        found = dechunk(self.raw)
        return found[0] if found else _chunks_so_far(self.raw)

    def json(self) -> Any:
        """The body as JSON; raises ValueError."""
        return json.loads(self.body)

    @property
    def data(self) -> list[bytes]:
        """The data of each event that has any, in whole events."""
        events = self.body.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]
        lines = [[line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")] for event in events]
        return [b"\n".join(some) for some in lines if some]

    @property
    def done(self) -> bool:
        """Whether the stream told its end, and HTTP did as well."""
        return self.complete and self.data[-1:] == [b"[DONE]"]

    @property
    def text(self) -> str:
        """What was said, of choice 0."""
        if self.data:
            told = [json.loads(data) for data in self.data if data != b"[DONE]"]
            choices = [choice for event in told for choice in event.get("choices") or () if choice["index"] == 0]
            return "".join((c.get("delta") or {}).get("content") or c.get("text") or "" for c in choices)
        choice = self.json()["choices"][0]
        return str(choice["message"]["content"] if "message" in choice else choice["text"])

    @property
    def told_error(self) -> bool:
        """Whether an event of the stream is an error in OpenAI's schema."""
        return any(openai_error(data) for data in self.data)


def openai_error(body: bytes) -> dict[str, Any] | None:
    """The error that a body tells in OpenAI's schema, if it does."""
    try:
        told = json.loads(body)
    except ValueError:
        return None
    error = told.get("error") if isinstance(told, dict) else None
    fine = isinstance(error, dict) and isinstance(error.get("message"), str) and isinstance(error.get("type"), str)
    return error if fine else None


def dechunk(raw: bytes) -> tuple[bytes, bytes] | None:
    """The body and what follows it; None if it is not whole yet."""
    pieces: list[bytes] = []
    at = 0
    while True:
        end = raw.find(b"\r\n", at)
        if end < 0:
            return None
        size = int(raw[at:end].partition(b";")[0], 16)
        if size == 0:
            last = raw.find(b"\r\n\r\n", end)
            return None if last < 0 else (b"".join(pieces), raw[last + 4 :])
        if len(raw) < end + 2 + size + 2:
            return None
        pieces.append(raw[end + 2 : end + 2 + size])
        at = end + 2 + size + 2


def _chunks_so_far(raw: bytes) -> bytes:
    pieces, at = [], 0
    while (end := raw.find(b"\r\n", at)) >= 0:
        try:
            size = int(raw[at:end].partition(b";")[0], 16)
        except ValueError:
            break
        pieces.append(raw[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return b"".join(pieces)


class Connection(asyncio.Protocol):
    """One connection; requests one after another."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[Reply] | None = None
        self._reply = Reply()
        self._buffer = bytearray()
        self._length: int | None = None
        self._chunked = False
        self._bodiless = False
        self._began = 0.0
        self.open = False
        self.reusable = True
        self.started = asyncio.Event()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.open = cast(asyncio.Transport, transport), True
        sock: socket.socket = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        until_closed = bool(self._reply.head) and self._length is None and not self._chunked
        self._end(complete=until_closed and error is None, error=repr(error) if error else "closed")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._reply.head and not self._take_head():
            return
        if not self._reply.first_s and (self._buffer or self._bodiless):
            self._reply.first_s = self._loop.time() - self._began
            self.started.set()
        if self._length is not None:
            if len(self._buffer) >= self._length:
                self._end(complete=True)
        elif self._chunked and (self._buffer.endswith(b"\r\n0\r\n\r\n") or self._buffer == b"0\r\n\r\n"):
            self._end(complete=True)

    def _take_head(self) -> bool:
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[: end + 4])
            del self._buffer[: end + 4]
            status = int(head[9:12])
            if status < 200:
                continue
            self._reply.status, self._reply.head = status, head
            lower = head.lower()
            at = lower.find(b"\r\ncontent-length:")
            self._length = int(lower[at + 17 : lower.index(b"\r\n", at + 2)]) if at >= 0 else None
            self._chunked = b"\r\ntransfer-encoding: chunked" in lower
            self.reusable = b"\r\nconnection: close" not in lower
            if self._bodiless or status in (204, 304):
                self._length = 0
            return True
        return False

    def _end(self, complete: bool, error: str | None = None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        reply = self._reply
        length = len(self._buffer) if self._length is None or not complete else self._length
        reply.raw, reply.complete, reply.error = bytes(self._buffer[:length]), complete, None if complete else error
        del self._buffer[:length]
        reply.total_s = self._loop.time() - self._began
        waiter.set_result(reply)

    def send(self, raw: bytes) -> asyncio.Future[Reply]:
        """Send a request as bytes; its reply, whenever it is there."""
        assert self._waiter is None
        self._waiter = self._loop.create_future()
        self._reply, self._length, self._chunked = Reply(), None, False
        self._bodiless = raw.startswith(b"HEAD ")
        self._began = self._loop.time()
        self.started.clear()
        self.transport.write(raw)
        if self._buffer:
            self._loop.call_soon(self.data_received, b"")
        return self._waiter

    async def ask(self, raw: bytes, deadline: float = 30.0) -> Reply:
        """Send a request, wait for its reply; what there is of it, if it takes too long."""
        waiter = self.send(raw)
        try:
            return await asyncio.wait_for(asyncio.shield(waiter), deadline)
        except TimeoutError:
            self._end(complete=False, error="too late")
            self.close()
            return await waiter

    def close(self) -> None:
        """Hang up."""
        if self.open:
            self.open = False
            self.transport.abort()


async def connect(base: str) -> Connection:
    """A new connection."""
    place = urlsplit(base)
    assert place.hostname and place.port
    _, made = await asyncio.get_running_loop().create_connection(Connection, place.hostname, place.port)
    return made


def request(
    method: str, path: str, body: bytes | Mapping[str, Any] = b"", headers: Iterable[tuple[str, str]] = ()
) -> bytes:
    """A request as bytes, with the body's length."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    own = [("host", "127.0.0.1"), *headers]
    if method == "POST":
        own += [JSON] if not any(name.lower() == "content-type" for name, _ in own) else []
        own.append(("content-length", str(len(raw))))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in own)]
    return "\r\n".join([*lines, "", ""]).encode() + raw


async def ask(
    base: str,
    body: bytes | Mapping[str, Any] = b"",
    path: str = CHAT,
    method: str = "POST",
    headers: Iterable[tuple[str, str]] = (),
    deadline: float = 30.0,
) -> Reply:
    """One request on a connection of its own; a connection that fails is a reply that says so."""
    try:
        connection = await connect(base)
    except OSError as error:
        return Reply(error=repr(error))
    try:
        return await connection.ask(request(method, path, body, headers), deadline)
    finally:
        connection.close()
