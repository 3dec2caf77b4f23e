"""An answer as it comes from a server: events or a body, timed, counted, and hung up on when nobody reads on."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from math import inf

import aiohttp

from runtime.engines.call import Call, Usage
from runtime.engines.chunks import Tally
from runtime.engines.sse import EventFramer, EventTooLongError, event_data
from runtime.errors import Broken

#: Headers that are of one connection (RFC 9110, section 7.6.1), of how bytes were packed there, or of one visitor.
_OF_THE_CONNECTION = frozenset(
    {"connection", "content-encoding", "content-length", "keep-alive", "set-cookie", "trailer", "transfer-encoding"}
)
#: Seconds for the end of a connection after the mark of the answer's end; a connection that has it is used again.
_PARTING_S = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """For how long a server may be silent, in seconds, and how much it may say at once, in bytes.

    A long prompt behind others takes minutes on a CPU before its first token: `first_token_s` counts from dispatch and
    covers headers too; `idle_s` is between tokens, `total_s` for the whole answer.
    """

    connect_s: float = 5.0
    first_token_s: float = 600.0
    idle_s: float = 120.0
    total_s: float = 1800.0
    event_bytes: int = 4 << 20
    body_bytes: int = 64 << 20


class OpenAIAnswer:
    """An `Answer` on an open connection. `free` is called once, when the server is done with it or was hung up on."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        call: Call,
        where: str,
        limits: Limits,
        began_s: float,
        until_s: float,
        free: Callable[[], None],
    ) -> None:
        self.status = response.status
        headers = ((name.lower(), value) for name, value in response.headers.items())
        self.headers: Mapping[str, str] = {name: value for name, value in headers if name not in _OF_THE_CONNECTION}
        self._response, self._streamed = response, call.view.stream
        self._where, self._limits = where, limits
        self._began_s, self._until_s = began_s, until_s
        self._free: Callable[[], None] | None = free
        self._framer = EventFramer(limits.event_bytes)
        self._tally = Tally(where, call.view.n)
        self._events: deque[bytes] = deque()
        self._came_s = began_s
        #: Since when its reader waits for more; inf while it does not.
        self._asked_s = inf
        self._late: str | None = None
        self._ended = False
        #: What is raised once the events before it are given out.
        self._failure: Broken | None = None
        self._first_token_s: float | None = None
        self._latency_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._look()
        protocol = None if response.connection is None else response.connection.protocol
        self._connection_lost: asyncio.Future[None] | None = getattr(protocol, "closed", None)
        if self._connection_lost is not None:
            self._connection_lost.add_done_callback(self._lost)
            # Once for each connection, however many answers it brings: an error that nobody looks at is logged.
            self._connection_lost.remove_done_callback(_look_at)
            self._connection_lost.add_done_callback(_look_at)

    @property
    def usage(self) -> Usage | None:
        """Tokens, counted so far or reported."""
        return self._tally.usage

    @property
    def first_token_s(self) -> float | None:
        """Seconds from dispatch to the first token."""
        return self._first_token_s

    @property
    def latency_s(self) -> float | None:
        """Seconds from dispatch to the last token so far."""
        return self._latency_s

    @property
    def finished(self) -> bool:
        """Whether every choice ended and the mark of the end was seen."""
        return self._tally.done and self._tally.ended

    @property
    def end(self) -> str | None:
        """Why the first choice ended, in the engine's word; None before it has."""
        return self._tally.ends.get(0)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            if self._streamed:
                return await self._next_event()
            return await self._whole_body()
        except BaseException:
            self._hang_up()
            raise

    async def aclose(self) -> None:
        """Hang up; again, it does nothing."""
        self._hang_up()

    def _hang_up(self) -> None:
        self._ended = True
        self._events.clear()
        if self._timer is not None:
            self._timer.cancel()
        free, self._free = self._free, None
        if free is None:
            return
        if self._connection_lost is not None:
            self._connection_lost.remove_done_callback(self._lost)
        # What was read to its end is in the pool again, and this leaves it there.
        self._response.close()
        free()

    def _lost(self, future: "asyncio.Future[None]") -> None:
        """After some faults of HTTP's own the connection is closed, and whoever reads is not told."""
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection was lost"))

    async def _next_event(self) -> bytes:
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            if self._failure is not None:
                raise self._failure
            if self._tally.done:
                await self._part()
                raise StopAsyncIteration
            piece = await self._read()
            self._events += self._framed(piece) if piece else self._last()
        event = self._events.popleft()
        data = event_data(event)
        if data is not None:
            self._timed(self._tally.take(data))
        if self._tally.done:
            self._events.clear()
            if not self._tally.ended:
                raise self._tally.nonsense("the stream ended before the answer did")
        return event

    def _framed(self, piece: bytes) -> list[bytes]:
        try:
            return self._framer.feed(piece)
        except EventTooLongError as error:
            self._failure = self._tally.nonsense(str(error))
            return error.events

    def _last(self) -> list[bytes]:
        """What the end of the connection leaves: the mark of the end without its empty line, or half an answer."""
        rest = self._framer.rest
        if rest.strip() == b"data: [DONE]":
            return [rest + b"\n\n"]
        half = f" in the middle of an event of {len(rest)} bytes" if rest.strip() else ""
        raise self._tally.nonsense(f"the stream ended before the answer did{half}")

    async def _whole_body(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        body = bytearray()
        while piece := await self._read():
            body += piece
            if len(body) > self._limits.body_bytes:
                raise self._tally.nonsense(f"a body of more than {self._limits.body_bytes} bytes")
        self._tally.take_body(bytes(body))
        if not self._tally.ended:
            raise self._tally.nonsense("a body without the end of its answer")
        self._timed(True)
        self._hang_up()
        return bytes(body)

    def _timed(self, brought: bool) -> None:
        if not brought:
            return
        self._latency_s = self._came_s - self._began_s
        if self._first_token_s is None:
            self._first_token_s = self._latency_s

    async def _read(self) -> bytes:
        """The next bytes, b"" at the end of the connection."""
        loop = asyncio.get_running_loop()
        self._asked_s = loop.time()
        if self._asked_s >= self._until_s:
            raise self._too_late("was not done in time")
        try:
            piece = await self._response.content.readany()
        # The pool says with a RuntimeError that it was closed.
        except (aiohttp.ClientError, RuntimeError) as error:
            if self._late is not None:
                raise self._too_late(self._late) from None
            if self._ended:
                # Whoever closed it wants no more of it.
                raise StopAsyncIteration from None
            cause = f"{type(error).__name__}: {error}"
            raise Broken(f"{self._where} broke its answer off ({cause})") from error
        finally:
            self._asked_s = inf
        self._came_s = loop.time()
        return piece

    def _due(self) -> tuple[float, str]:
        """By when something must have come, as things stand, and what is wrong if nothing has."""
        quiet = inf
        # Of one body everything comes at once, so that only the whole counts.
        if self._streamed and self._first_token_s is None:
            quiet = self._began_s + self._limits.first_token_s
        elif self._streamed and self._asked_s < inf:
            quiet = self._asked_s + self._limits.idle_s
        return min((quiet, "fell silent"), (self._until_s, "was not done in time"))

    def _look(self) -> None:
        """One timer for a whole answer, wound up again as long as nothing is due; one for each read would cost more."""
        loop = asyncio.get_running_loop()
        due, what = self._due()
        content = self._response.content
        if loop.time() < due:
            self._timer = loop.call_at(min(due, loop.time() + self._limits.idle_s), self._look)
        elif content.exception() is None:
            self._late = what
            content.set_exception(aiohttp.ClientPayloadError(what))

    def _too_late(self, what: str) -> Broken:
        seconds = asyncio.get_running_loop().time() - self._began_s
        return Broken(f"{self._where} {what}, {seconds:.1f} s after it was asked")

    async def _part(self) -> None:
        """Read to the connection's end, which is due: it can be used again then."""
        try:
            async with asyncio.timeout(_PARTING_S):
                while await self._response.content.readany():
                    pass
        except (aiohttp.ClientError, RuntimeError, TimeoutError):
            return


def _look_at(future: "asyncio.Future[None]") -> None:
    if not future.cancelled():
        future.exception()
