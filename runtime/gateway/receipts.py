"""What each request came to, for as long as it is remembered: the last some thousand, each for its bidder alone."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.engines.request import Completion
from runtime.events import Abandoned, Declined, Event, Failed, Served
from runtime.gateway.backend import Asked
from runtime.gateway.passing import Facts, Passing, credits, told

_KEPT = 10_000


@dataclass(slots=True)
class _Ended:
    """How a request ended, written out once somebody asks."""

    bidder: str
    status: str
    charge: int = 0
    cost: int = 0
    measured: Completion | None = None
    reason: str = ""
    facts: Facts | None = None

    def written(self, name: str) -> dict[str, object]:
        if self.facts is not None and self.measured is not None:
            return {**told(self.facts, self.measured, self.charge, self.cost), "status": self.status}
        reason = {"reason": self.reason} if self.reason else {}
        return {"id": name, "price": credits(self.charge), "cost": credits(self.cost), **reason, "status": self.status}


class Receipts:
    """Receipts by request."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._ended: OrderedDict[str, _Ended] = OrderedDict()
        self._open: dict[str, tuple[str, Passing]] = {}

    def expect(self, asked: Asked, passing: Passing) -> None:
        """An answer has begun; its receipt is told as far as it goes until it ends. One that came whole has ended."""
        ended = self._ended.get(asked.id)
        if ended is None:
            self._open[asked.id] = (asked.bidder, passing)
        else:
            ended.facts = passing.facts

    def notice(self, event: Event) -> None:
        """Take note of how a request ended."""
        kind = type(event)
        if kind not in _ENDS or (isinstance(event, Failed) and event.retried):
            return
        request = event.offer.request
        begun = self._open.pop(request.id, None)
        ended = _Ended(request.bidder, _ENDS[kind], facts=None if begun is None else begun[1].facts)
        if isinstance(event, Served | Abandoned):
            ended.charge, ended.cost, ended.measured = event.charge, event.cost, event.completion
        elif isinstance(event, Declined):
            ended.reason = event.reason
        self._ended[request.id] = ended
        if len(self._ended) > self._kept:
            self._ended.popitem(last=False)

    def find(self, name: str, bidder: str) -> Mapping[str, object] | None:
        """A bidder's own receipt; None if there is none that they may see."""
        ended = self._ended.get(name)
        if ended is not None:
            return ended.written(name) if ended.bidder == bidder else None
        begun = self._open.get(name)
        return {**begun[1].receipt(), "status": "answering"} if begun is not None and begun[0] == bidder else None


_ENDS: Mapping[type, str] = {Served: "served", Abandoned: "hung_up", Declined: "declined", Failed: "failed"}
