"""How long an agent is kept for one request alone, so that requests which fail everywhere cost the others little.

A last try is alone at its engine: nobody is served beside it, and while it waits for the engine to be empty nobody is
begun. Whoever can make requests fail could so keep an agent for themselves. So it is kept until the answer is
there, or has begun where it could not be tried again, and for seconds at most; after one that has none, nobody is alone
there for four times as long as it was kept. A fifth of an agent's time is the most that failures take from all others.
"""

from collections.abc import Sequence
from dataclasses import replace

from runtime.events import Offer

#: Seconds, waiting for the engine to be empty included.
MOST_S = 10.0
_REST = 4.0


class Exclusive:
    """One agent's: for whom it is kept, and from when on it may be again. Times on one clock."""

    def __init__(self) -> None:
        self._for: object = None
        self._since_s = 0.0
        self._rests_until_s = float("-inf")

    def begin(self, one: object, now_s: float) -> bool:
        """Whether the agent is kept for this one, or may be: then it is, from now on."""
        if self._for is None and not self.rests(now_s):
            self._for, self._since_s = one, now_s
        return self._for is one

    def rests(self, now_s: float) -> bool:
        """Whether it is not to be kept for anybody yet."""
        return now_s < self._rests_until_s

    @property
    def held(self) -> bool:
        """Whether it is kept for anybody."""
        return self._for is not None

    def end(self, one: object, now_s: float, *, well: bool) -> None:
        """It need not be kept for this one any more; `well` says that it is answered."""
        if self._for is one:
            self._for = None
            if not well:
                self._rests_until_s = now_s + _REST * (now_s - self._since_s)

    def expire(self, now_s: float) -> None:
        """It was kept long enough."""
        if self._for is not None and now_s >= self._since_s + MOST_S:
            self.end(self._for, now_s, well=False)

    @property
    def next_s(self) -> float:
        """When something changes though nothing happens."""
        return self._rests_until_s if self._for is None else self._since_s + MOST_S


def elsewhere(offer: Offer, agents: Sequence[Exclusive], alive: Sequence[bool], now_s: float) -> Offer:
    """A request's last try as it competes: not where nobody may be alone yet, if anybody else is up who may have it."""
    resting = {j for j, one in enumerate(agents) if one.rests(now_s)} - offer.refused
    barred = offer.refused | resting
    if not resting or not any(up and j not in barred for j, up in enumerate(alive)):
        return offer
    return replace(offer, refused=barred)
