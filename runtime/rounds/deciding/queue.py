"""Requests that wait for a round, in order, each with a timer for when its patience or its deadline ends."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from math import inf

from runtime.rounds.requests.waiting import Waiting


class Queue:
    """The queue of one router.

    Args:
        expire: is called when nobody need wait for a request any more, in the queue or out of it.
    """

    def __init__(self, expire: Callable[[Waiting], None]) -> None:
        self._expire = expire
        self._waiting: OrderedDict[int, Waiting] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, waiting: Waiting) -> bool:
        return id(waiting) in self._waiting

    def __iter__(self) -> Iterator[Waiting]:
        """In order; the queue may change meanwhile."""
        return iter(list(self._waiting.values()))

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()

    def pop(self) -> Waiting:
        """The first, out of the queue, its timers as they are."""
        return self._waiting.popitem(last=False)[1]

    def join(self, some: Sequence[Waiting], *, first: bool = False) -> None:
        """Into the queue, in their order, at its end or before all others."""
        now = asyncio.get_running_loop().time()
        for waiting in some:
            waiting.queued_s = now
            self._waiting[id(waiting)] = waiting
            self._set_timer(waiting, min(now + waiting.patience_s, waiting.due_s))
        if first:
            for waiting in reversed(some):
                self._waiting.move_to_end(id(waiting), last=False)

    def leave(self, waiting: Waiting) -> None:
        """Out of the queue; what is left of its patience is kept for another time."""
        del self._waiting[id(waiting)]
        waiting.patience_s -= asyncio.get_running_loop().time() - waiting.queued_s
        self._set_timer(waiting, waiting.due_s)

    def _set_timer(self, waiting: Waiting, at_s: float) -> None:
        waiting.close()
        if at_s < inf:
            waiting.timer = asyncio.get_running_loop().call_at(at_s, self._expire, waiting)
