"""Who is told what: subscribers see every event in order, and an error of theirs harms no request."""

import logging
from collections.abc import Callable, Sequence

from runtime.errors import LedgerError
from runtime.events import Event, Subscriber

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

    def clear(self) -> None:
        """Forget what failed."""
        self.failure = None

    def publish(self, event: Event) -> None:
        """Tell every subscriber."""
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except Exception as error:
                _log.error("%s failed to take note of %s", subscriber, type(event).__name__, exc_info=error)
                self.fail(error)

    def fail(self, error: Exception) -> None:
        """Tell whoever runs the router: now, and when it stops."""
        if isinstance(error, LedgerError):
            _log.error("%s", error)
        self.failure = self.failure or error
        try:
            self._on_error(error)
        except Exception:
            _log.exception("on_error failed")
