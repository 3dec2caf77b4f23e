"""`Lines`: things are put from the event loop, and written by a thread that may wait for a disk."""

import logging
import time
from collections import deque
from collections.abc import Callable
from threading import Event, Thread
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

Thing = TypeVar("Thing")

#: Things that may wait to be written.
_BOUND = 8192
#: Seconds between two looks at what waits: who puts a thing wakes nobody, which would cost them more than the thing.
_LOOK_S = 0.1
#: Seconds that the last of them are given.
_PARTING_S = 10.0


class Lines(Generic[Thing]):
    """Writes things one after the other, a moment after they were put; whoever puts one never waits.

    Args:
        write: is called in the thread with each.
        name: what is written, for the log.
        bound: how many may wait; what is put while so many do is dropped and counted.
    """

    def __init__(self, write: Callable[[Thing], None], name: str, bound: int = _BOUND) -> None:
        self._write, self._name, self._bound = write, name, bound
        self._waiting: deque[Thing] = deque()
        self._closing = Event()
        #: Things that were not written: too many waited, or writing failed.
        self.dropped = 0
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def put(self, thing: Thing) -> None:
        """Have it written."""
        if len(self._waiting) < self._bound:
            self._waiting.append(thing)
        else:
            self._drop("the disk is too slow")

    def close(self) -> None:
        """Write what waits, within seconds."""
        self._closing.set()
        self._thread.join(_PARTING_S)
        if self.dropped:
            _log.error("%s: %d lines were not written", self._name, self.dropped)

    def _work(self) -> None:
        while True:
            closing = self._closing.wait(_LOOK_S)
            while self._waiting:
                try:
                    self._write(self._waiting.popleft())
                except Exception as error:
                    self._drop(f"{type(error).__name__}: {error}")
                # The event loop goes first.
                time.sleep(0)
            if closing:
                return

    def _drop(self, why: str) -> None:
        self.dropped += 1
        if self.dropped == 1:
            _log.error("%s: a line was not written (%s), and maybe more", self._name, why)
