"""An event loop whose clock jumps: code that sleeps in seconds runs in simulated time, as fast as it computes.

The round loop and the engines only ever ask the running loop for the time and sleep on it, so the very same code
serves real engines on asyncio's own loop and simulated ones on this. Nothing that waits for the outside world (sockets,
threads) may run on it: such a wait takes no virtual time at all.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from heapq import heappush
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for the next timer, moves the clock there."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        #: When the next timer is due.
        self.due: Callable[[], float] = lambda: self.now

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0:
            # Something is due already. The world outside (a call from another thread) is heard before time moves.
            return []
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout is not None and timeout > 0:
            self.now = self.due()
        elif not ready and timeout is None:
            raise RuntimeError("every simulated task waits for another: nothing can ever happen again")
        return ready


class _Timer(asyncio.TimerHandle):
    """One of several that are due at one moment, of which asyncio's own loop would take any first."""

    __slots__ = ("place",)

    #: When it is due, and how many were set before it.
    place: tuple[float, int]

    def __lt__(self, other: asyncio.TimerHandle) -> bool:
        return self.place < other.place  # type: ignore[attr-defined,no-any-return]


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on a virtual clock that starts at 0 seconds.

    What is due at one moment is done in the order in which it was set, so that nothing depends on how many other timers
    there are.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._jumping.due = self._next_due
        self._numbers = count()

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's."""
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        timer = _Timer(when, callback, args, self, context)
        timer.place = (when, next(self._numbers))
        heappush(self._heap(), timer)
        # asyncio counts what is cancelled of these.
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def _next_due(self) -> float:
        # asyncio says how long to wait. The sum of that and the clock is the moment but for its last digit, and then
        # two ways to one moment would end at two.
        return self._heap()[0].when()

    def _heap(self) -> list[asyncio.TimerHandle]:
        heap: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        return heap

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now


def run(main: Coroutine[Any, Any, T], *, virtual: bool) -> T:
    """Run a coroutine to its end like `asyncio.run`, on virtual time if asked.

    Where a loop runs already, as in a notebook, it runs in a thread of its own while the caller waits.

    Raises:
        RuntimeError: on virtual time, every task waits for another (a deadlock, which real time would hide).
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(main, virtual)
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_run, main, virtual).result()


def _run(main: Coroutine[Any, Any, T], virtual: bool) -> T:
    with asyncio.Runner(loop_factory=VirtualTimeLoop if virtual else None) as runner:
        return runner.run(main)
