"""An engine that answers with the bytes that it was told to, whatever they are; else as it ought to."""

import asyncio
import json
import re
import threading
from collections.abc import Sequence
from typing import Any, Self

_CASE = re.compile(rb"@case=([0-9]+)@")
_MODELS = json.dumps({"object": "list", "data": [{"id": "odd", "object": "model"}]}).encode()


def chunk(text: str | None = None, end: str | None = None, **more: Any) -> bytes:
    """An event of a stream."""
    choices = [] if text is None and end is None else [{"index": 0, "delta": {"content": text}, "finish_reason": end}]
    return b"data: " + json.dumps({"choices": choices, **more}).encode() + b"\n\n"


def whole(text: str, **usage: Any) -> bytes:
    """A body."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()


def sound(text: str, stream: bool) -> list[bytes]:
    """An answer as it ought to be, of three tokens to five."""
    if not stream:
        return [whole(text, prompt_tokens=5, completion_tokens=3)]
    usage = {"prompt_tokens": 5, "completion_tokens": 3}
    return [chunk(text), chunk("", "stop"), chunk(usage=usage), b"data: [DONE]\n\n"]


class OddEngine:
    """A server on a thread of its own; `cases` are the pieces to answer with, by the number in `@case=N@`."""

    def __init__(self) -> None:
        self.cases: dict[int, Sequence[bytes]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        start = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self._server = start.result(10)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        async def stop() -> None:
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: *([0-9]+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1])) if length else b""
        if not head.startswith(b"POST"):
            page = _MODELS if b"/models" in head.partition(b"\r\n")[0] else b"{}"
            told = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(page)
            writer.write(told + page)
            return True
        stream = bool(re.search(rb'"stream": *true', body))
        case = _CASE.search(body)
        pieces = sound("as it ought to be", stream) if case is None else self.cases[int(case[1])]
        kind = b"text/event-stream" if stream else b"application/json"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\nconnection: close\r\n\r\n" % kind)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            # So that pieces come as they are, where the network lets them.
            await asyncio.sleep(0)
        return False
