"""A server that plays a script, byte for byte, and sees when its client hangs up."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import pytest

from runtime.engines.call import Call, View

#: Bytes are sent, numbers are seconds to wait; the last step may be to reset the connection, to wait until the client
#: hangs up, or to go on to the next request on the same connection. Else the server hangs up.
Step = bytes | float | Literal["reset", "wait", "next"]

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    """HTTP chunks, and by default the mark that no more follow."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if end else b"")


def response(status: int, body: bytes, *headers: str, kind: str = "application/json") -> bytes:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def said(text: str, end: str | None = None, index: int = 0) -> bytes:
    choice = {"index": index, "delta": {"content": text}, "finish_reason": end}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}\n\n'
DONE = b"data: [DONE]\n\n"
WHOLE = [said("one "), said("two", "stop"), USAGE, DONE]


@dataclass
class Scripted:
    """What was asked, and what became of the connections: a script for each request, the last for all further ones."""

    scripts: list[Sequence[Step]]
    url: str = ""
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    #: Moments at which clients were seen to hang up.
    gone: list[float] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self._left()
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
        self.heads.append(head)
        self.bodies.append(await reader.readexactly(length))
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        for step in script:
            if step == "next":
                return True
            if step == "reset":
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            elif step == "wait":
                assert not await reader.read()
                self._left()
            elif isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, float):
                await asyncio.sleep(step)
        return False

    def _left(self) -> None:
        self.gone.append(asyncio.get_running_loop().time())
        self.left.set()


@asynccontextmanager
async def scripted(*scripts: Sequence[Step]) -> AsyncIterator[Scripted]:
    made = Scripted(list(scripts))
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await made.serve(reader, writer)
        tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


T = TypeVar("T")


def at_best(tell: Callable[[], T]) -> T:
    """A machine that is busy otherwise may stand still for as long as a limit: one of three times is enough."""
    for _ in range(2):
        try:
            return tell()
        except (Exception, pytest.fail.Exception):
            continue
    return tell()


def call(stream: bool = True, **fields: Any) -> Call:
    asked = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": stream, **fields}
    body = json.dumps(asked).encode()
    return Call("r1", body, View.read(body), "alice")
