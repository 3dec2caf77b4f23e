"""`Stories`: follows every request from its arrival to its end, and tells those who write it down.

stories = Stories([log, recorder])
stories.expect(Facts("req-1", "auto", {"worth": "body"}, (0, 1)))    # then, in the same breath, its Arrived
stories(event)
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from runtime.events import (
    Abandoned,
    Arrived,
    Decided,
    Declined,
    Dispatched,
    Event,
    Failed,
    FirstToken,
    Offer,
    Served,
)

#: How a request ends.
End: TypeAlias = Served | Declined | Failed | Abandoned


@dataclass(frozen=True, slots=True)
class Facts:
    """What no event tells of a request.

    Args:
        id: its name.
        model: as the client asked for it.
        sources: for each figure of its preferences, who stated it.
        agents: who serves that model, in any hub.
        max_price: the client's cap on the charge, in credits.
        text: the conversation's bytes, where they are to be written down.
    """

    id: str
    model: str
    sources: Mapping[str, str]
    agents: tuple[int, ...]
    max_price: float | None = None
    text: bytes | None = None


@dataclass(slots=True)
class Story:
    """What happened to one request; of several tries, the last.

    `facts` is None for a request that nobody was told to expect. Times are on the loop's clock.
    """

    facts: Facts | None
    offer: Offer
    decided: Decided | None = None
    dispatched_s: float | None = None
    first_token_s: float | None = None
    tries: int = 0


#: Writes an ended request down; called on the event loop, so that it must not wait.
Teller = Callable[[Story, End], None]


class Stories:
    """Subscribes to a gateway's events.

    Args:
        tellers: are told of every request as it ends.
    """

    def __init__(self, tellers: Sequence[Teller]) -> None:
        self._tellers = tuple(tellers)
        self._open: dict[str, Story] = {}
        self._coming: Facts | None = None

    def expect(self, facts: Facts) -> None:
        """A request is about to arrive, next of all; if it does not, nothing is kept of it."""
        self._coming = facts

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        name = event.offer.request.id
        if isinstance(event, Arrived):
            facts, self._coming = self._coming, None
            self._open[name] = Story(facts if facts is not None and facts.id == name else None, event.offer)
            return
        story = self._open.get(name)
        if story is None:
            return
        if isinstance(event, Decided):
            story.decided, story.dispatched_s, story.first_token_s = event, None, None
        elif isinstance(event, Dispatched):
            story.dispatched_s = event.at_s
            story.tries += 1
        elif isinstance(event, FirstToken):
            story.first_token_s = event.at_s
        elif not (isinstance(event, Failed) and event.retried):
            del self._open[name]
            for tell in self._tellers:
                tell(story, event)


def clock_offset() -> float:
    """What to add to a moment on the running loop's clock for Unix time."""
    return time.time() - asyncio.get_running_loop().time()
