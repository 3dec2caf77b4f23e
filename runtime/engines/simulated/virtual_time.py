"""An event loop whose clock jumps: code that sleeps in seconds runs in simulated time, as fast as it computes.

The round loop and the engines only ever ask the running loop for the time and sleep on it, so the very same code
serves real engines on asyncio's own loop and simulated ones on this. Nothing that waits for the outside world (sockets,
threads) may run on it: such a wait takes no virtual time at all.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for the next timer, moves the clock there."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout is not None and timeout > 0:
            self.now += timeout
        elif not ready and timeout is None:
            raise RuntimeError("every simulated task waits for another: nothing can ever happen again")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on a virtual clock that starts at 0 seconds."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

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
