"""The floor: ASGI in, aiohttp out, engines by turns, and nothing else that a gateway is for.

python -m tests.benchmarks.gateway.forwarder --port 8200 http://127.0.0.1:9001 http://127.0.0.1:9002
"""

import argparse
import itertools
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import uvicorn

_OWN = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"authorization", b"expect"))
_SHOWN = frozenset((b"content-type", b"content-length", b"retry-after", b"content-encoding"))

Message = MutableMapping[str, Any]


class Forwarder:
    """An ASGI application."""

    def __init__(self, urls: list[str]) -> None:
        self._turns = itertools.cycle(urls)
        self._session: aiohttp.ClientSession | None = None

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
            self._session = aiohttp.ClientSession(
                connector=connector, auto_decompress=False, timeout=aiohttp.ClientTimeout(sock_read=60)
            )
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = [(name.decode(), text.decode("latin-1")) for name, text in scope["headers"] if name not in _OWN]
        url = next(self._turns) + scope["path"]
        async with self._session.request(
            scope["method"], url, data=body or None, headers=headers, allow_redirects=False
        ) as answer:
            shown = [(name.lower(), text) for name, text in answer.raw_headers if name.lower() in _SHOWN]
            await send({"type": "http.response.start", "status": answer.status, "headers": shown})
            async for piece in answer.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("urls", nargs="+")
    asked = parser.parse_args()
    uvicorn.run(
        Forwarder(asked.urls), host="127.0.0.1", port=asked.port, lifespan="off", access_log=False, log_level="critical"
    )


if __name__ == "__main__":
    main()
