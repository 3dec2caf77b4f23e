"""Connections to this gateway, of clients and operators: whoever sends half of a request holds nothing for long."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

#: Seconds for a request's headers.
_HEADERS_S = 30.0


class TimedProtocol(HttpToolsProtocol):
    """A connection whose headers must come within seconds: else half of a request could hold it for ever."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client came."""
        super().connection_made(transport)
        self._late = self.loop.call_later(_HEADERS_S, transport.close)

    def on_message_begin(self) -> None:
        """Headers begin."""
        super().on_message_begin()
        self._in_time()
        self._late = self.loop.call_later(_HEADERS_S, self.transport.close)

    def on_headers_complete(self) -> None:
        """They are there."""
        self._in_time()
        super().on_headers_complete()
        if self.parser.get_http_version() == "1.0":
            self.cycle.send = partial(_unframed, self.cycle, self.cycle.send)  # type: ignore[method-assign]

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left."""
        self._in_time()
        super().connection_lost(exc)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


async def _unframed(
    cycle: RequestResponseCycle,
    send: Callable[[Any], Awaitable[None]],
    message: MutableMapping[str, Any],
) -> None:
    """Send to HTTP/1.0, which knows no chunks: an answer ends with its connection, which is closed then anyway."""
    cycle.chunked_encoding = False
    # What uvicorn compares with a length that was announced: none was that it would hold itself to.
    cycle.expected_content_length = len(message.get("body", b""))
    await send(message)
