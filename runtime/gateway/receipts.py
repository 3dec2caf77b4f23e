"""What each request came to, for as long as it is remembered: the last some thousand, each for its bidder alone."""

from collections import OrderedDict
from collections.abc import Mapping

from runtime.events import Abandoned, Declined, Event, Failed, Served
from runtime.gateway.backend import Asked
from runtime.gateway.passing import Passing, credits

_KEPT = 10_000


class Receipts:
    """Receipts by request."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._ended: OrderedDict[str, tuple[str, Mapping[str, object]]] = OrderedDict()
        self._open: dict[str, tuple[str, Passing]] = {}

    def expect(self, asked: Asked, passing: Passing) -> None:
        """An answer has begun; its receipt is told as far as it goes until it ends. One that came whole has ended."""
        if asked.id in self._ended:
            bidder, told = self._ended[asked.id]
            self._ended[asked.id] = bidder, {**passing.receipt(), **told}
        else:
            self._open[asked.id] = (asked.bidder, passing)

    def notice(self, event: Event) -> None:
        """Take note of how a request ended."""
        name, bidder = event.offer.request.id, event.offer.request.bidder
        if isinstance(event, Served | Abandoned):
            begun = self._open.pop(name, None)
            told: dict[str, object] = {"id": name, "price": credits(event.charge), "cost": credits(event.cost)}
            if begun is not None and isinstance(event, Served):
                told = begun[1].told(event.completion, event.charge, event.cost)
            elif begun is not None:
                told = {**begun[1].receipt(), **told}
            told["status"] = "served" if isinstance(event, Served) else "hung_up"
            self._keep(name, bidder, told)
        elif isinstance(event, Declined):
            self._keep(name, bidder, {"id": name, "status": "declined", "price": "0", "reason": event.reason})
        elif isinstance(event, Failed) and not event.retried:
            self._open.pop(name, None)
            self._keep(name, bidder, {"id": name, "status": "failed", "price": "0"})

    def find(self, name: str, bidder: str) -> Mapping[str, object] | None:
        """A bidder's own receipt; None if there is none that they may see."""
        owner, told = self._ended.get(name, (None, None))
        if owner == bidder:
            return told
        begun = self._open.get(name)
        return {**begun[1].receipt(), "status": "answering"} if begun is not None and begun[0] == bidder else None

    def _keep(self, name: str, bidder: str, told: Mapping[str, object]) -> None:
        self._ended[name] = (bidder, told)
        if len(self._ended) > self._kept:
            self._ended.popitem(last=False)
