"""`Feed`: what a live view is told every second, and to whom; whoever does not listen fast enough is let go.

    feed = Feed(tally)
    listener = feed.join()
    async for message in listener: ...

Every second the tally is read and told to all; between two seconds listeners cost nothing, and never anybody who is
served. What was told is remembered for some minutes, so that whoever comes later sees where things come from.
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator

from runtime.events import Event
from runtime.metrics.snapshot import Instant, agents_now, instant, point, totals_now
from runtime.metrics.tally import Tally

_log = logging.getLogger(__name__)

#: Points that are remembered, one a second.
_REMEMBERED = 300
#: Messages that a listener may be behind, and listeners that there may be.
_BEHIND = 16
MOST_LISTENERS = 64
#: Of them, those that one bidder may have, or one address where there are no keys.
MOST_OF_ONE = 16


class Listener:
    """Server-sent events for one who listens; ends when they are let go or the gateway stops."""

    def __init__(self, first: bytes, whose: str = "") -> None:
        self.whose = whose
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(_BEHIND)
        self._queue.put_nowait(first)
        #: Set once there is nothing more to come.
        self.closed = asyncio.Event()

    def tell(self, message: bytes) -> bool:
        """Give them a message; False if they are too far behind, and let go."""
        if self._queue.full():
            self.closed.set()
            return False
        self._queue.put_nowait(message)
        return True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await self._queue.get()


class Feed:
    """Tells listeners what a tally comes to.

    A subscriber, so that it begins with the first event; what it sees of one is that there was one.

    Args:
        tally: what is read.
        every_s: seconds between two readings.
    """

    def __init__(self, tally: Tally, every_s: float = 1.0) -> None:
        self._tally, self.every_s = tally, every_s
        self._points: deque[dict[str, object]] = deque(maxlen=_REMEMBERED)
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._last: Instant | None = None

    def __call__(self, event: Event) -> None:
        """Begin, if that was the first."""
        if self._task is None or self._task.done():
            self._begin()

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def join(self, whose: str = "") -> Listener | None:
        """Listen from now on, for somebody; None if too many do, or the gateway is being stopped."""
        if self._stopped or len(self._listeners) >= MOST_LISTENERS:
            return None
        if sum(one.whose == whose for one in self._listeners) >= MOST_OF_ONE:
            return None
        self._begin()
        now = {"history": list(self._points), **self._state()}
        listener = Listener(_message("hello", now), whose)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Do not listen any more."""
        self._listeners.discard(listener)

    def stop(self) -> None:
        """Let everybody go."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
        for listener in self._listeners:
            listener.closed.set()
        self._listeners.clear()

    def tick(self) -> None:
        """Read the tally once, and tell everybody."""
        now = instant(self._tally, time.time(), asyncio.get_running_loop().time())
        last, self._last = self._last, now
        if last is None:
            return
        self._points.append(point(self._tally, last, now))
        if not self._listeners:
            return
        message = _message("tick", {"point": self._points[-1], **self._state()})
        self._listeners = {one for one in self._listeners if one.tell(message)}

    def _begin(self) -> None:
        if (self._task is None or self._task.done()) and not self._stopped:
            self._last = instant(self._tally, time.time(), asyncio.get_running_loop().time())
            self._task = asyncio.create_task(self._run(), name="live view")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.every_s)
            try:
                self.tick()
            except Exception:
                _log.exception("the live view missed a second")

    def _state(self) -> dict[str, object]:
        return {"agents": agents_now(self._tally), "totals": totals_now(self._tally)}


def _message(kind: str, content: dict[str, object]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n".encode()
