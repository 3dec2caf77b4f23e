"""What each request came to, for as long as it is remembered: the last some thousand, each for its bidder alone.

And what proves a price to who pays it, without anybody else's report: their own, the prices that they faced, and which
of them is best for them.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite

from runtime.engines.request import Completion
from runtime.events import Abandoned, Declined, Event, Failed, Served
from runtime.gateway.requests.backend import Asked
from runtime.gateway.serving.passing import Facts, Passing, credits, told
from runtime.referees.menu import menu
from runtime.rounds.kept import RoundMade

_KEPT = 10_000
#: Requests whose rounds are remembered, for their menus.
_MENUS = 1000


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
    """Receipts by request.

    Args:
        kept: how many are remembered.
        menus: whether rounds have menus, and who asks may see theirs.
    """

    def __init__(self, kept: int = _KEPT, *, menus: bool = False) -> None:
        self._kept, self._menus = kept, menus
        self._rounds: OrderedDict[str, tuple[RoundMade, int]] = OrderedDict()
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

    def decided(self, made: RoundMade) -> None:
        """Remember the round that decided on requests; of one that is decided again, the last."""
        if not self._menus or made.decision.outcome is None:
            return
        for i, offer in enumerate(made.offers):
            self._rounds[offer.request.id] = (made, i)
            self._rounds.move_to_end(offer.request.id)
        while len(self._rounds) > _MENUS:
            self._rounds.popitem(last=False)

    def proof(self, name: str, bidder: str) -> dict[str, object] | None:
        """What proves a bidder their price; None if there is nothing that they may see. Takes milliseconds."""
        found = self._rounds.get(name)
        if found is None:
            return None
        made, i = found
        offer = made.offers[i]
        if offer.request.bidder != bidder:
            return None
        stated, prices = offer.preferences, menu(made, i)
        told: dict[str, object] = {
            "stated": {
                "worth": stated.worth,
                "delay_cost": stated.delay_cost,
                "deadline_s": stated.deadline if isfinite(stated.deadline) else None,
                "stake": stated.stake,
            },
            "charge": credits(int(made.decision.charges[i])),
        }
        if made.record is not None:
            told["record_sha256"] = sha256(made.record.encode()).hexdigest()
        if prices is None:
            return told | {"menu": None, "why": "your requests of this round were one bidder: they share their charge"}
        lines = [
            {"agent": one.agent, "place": one.place, "value": credits(one.value), "price": credits(one.price)}
            for one in prices.lines
        ]
        return told | {"menu": lines, "chosen": prices.chosen, "best": credits(prices.best)}

    def find(self, name: str, bidder: str) -> Mapping[str, object] | None:
        """A bidder's own receipt; None if there is none that they may see."""
        ended = self._ended.get(name)
        if ended is not None:
            return ended.written(name) if ended.bidder == bidder else None
        begun = self._open.get(name)
        return {**begun[1].receipt(), "status": "answering"} if begun is not None and begun[0] == bidder else None


_ENDS: Mapping[type, str] = {Served: "served", Abandoned: "hung_up", Declined: "declined", Failed: "failed"}
