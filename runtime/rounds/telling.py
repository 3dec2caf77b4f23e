"""Who is told what: subscribers see every event in order, and an error of theirs harms no request."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Literal

from runtime.errors import LedgerError
from runtime.events import Abandoned, Declined, Event, Failed, Served, Subscriber
from runtime.rounds.requests.waiting import Waiting

_log = logging.getLogger(__name__)


class Telling:
    """Publishes events.

    Args:
        subscribers: see every event, one after the other.
        on_error: gets what they raise, and what could not be entered in the books.
    """

    def __init__(self, subscribers: Sequence[Subscriber], on_error: Callable[[BaseException], None]) -> None:
        self._subscribers, self._on_error = tuple(subscribers), on_error
        #: The first error since `clear`.
        self.failure: Exception | None = None
        #: Ids of requests that came in and have not ended.
        self.open: set[str] = set()

    def clear(self) -> None:
        """Forget what failed, and what is open."""
        self.failure = None
        self.open.clear()

    def publish(self, event: Event) -> None:
        """Tell every subscriber."""
        if isinstance(event, (Served, Declined, Abandoned)) or (isinstance(event, Failed) and not event.retried):
            self.open.discard(event.offer.request.id)
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except Exception as error:
                _log.error("%s failed to take note of %s", subscriber, type(event).__name__, exc_info=error)
                self.fail(error)

    def decline(self, waiting: Waiting, reason: str, code: Literal["too_low", "late", "no_room"]) -> None:
        """Tell a bidder that nobody serves their request."""
        declined = Declined(asyncio.get_running_loop().time(), waiting.offer, reason, code)
        self.publish(declined)
        waiting.resolve(declined)

    def give_up(self, waiting: Waiting, error: Exception, agent: int | None = None, note: object = None) -> None:
        """Tell a bidder that their request went wrong."""
        now = asyncio.get_running_loop().time()
        self.publish(Failed(now, waiting.offer, agent, error, retried=False, note=note))
        waiting.fail(error)

    def fail(self, error: Exception) -> None:
        """Tell whoever runs the router: now, and when it stops."""
        if isinstance(error, LedgerError):
            _log.error("%s", error)
        self.failure = self.failure or error
        try:
            self._on_error(error)
        except Exception:
            _log.exception("on_error failed")
