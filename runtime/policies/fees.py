"""What serving a request at an agent costs others than that agent: the auction's fees, in credits.

Every term is computed once for the round as it stands, from public state, forecasts and what *other* bidders reported
in *earlier* rounds. None reads a present report, and none depends on who is served where.
"""

import math
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from mechanisms import Preferences
from runtime.policies.forecast import Forecaster, Outlook

Floats = NDArray[np.float64]

#: Seconds over which arrivals are averaged.
MEMORY_S = 60.0
_REMEMBERED = 10_000
_LONGEST = 20.0
_LONG_TURN = 200


class Others:
    """What bidders reported in earlier rounds; each is told of the others alone.

    Medians, since one bidder's claims should move them little, and the mean of types that differ a hundredfold is
    nobody's.
    """

    def __init__(self) -> None:
        self._types: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._worths: list[float] = []
        self._delays: list[float] = []

    def learn(self, bidder: str, reported: Preferences) -> None:
        """Keep a bidder's last report; the longest unheard is forgotten beyond some thousands."""
        self._drop(bidder)
        self._types[bidder] = reported.worth, reported.delay_cost
        insort(self._worths, reported.worth)
        insort(self._delays, reported.delay_cost)
        if len(self._types) > _REMEMBERED:
            self._drop(next(iter(self._types)))

    def typical_without(self, bidder: str) -> tuple[float, float]:
        """Median worth and median delay cost of everybody else; zero as long as nobody else was met."""
        worth, delay = self._types.get(bidder, (None, None))
        return _median_without(self._worths, worth), _median_without(self._delays, delay)

    def _drop(self, bidder: str) -> None:
        if bidder in self._types:
            worth, delay = self._types.pop(bidder)
            del self._worths[bisect_left(self._worths, worth)]
            del self._delays[bisect_left(self._delays, delay)]


def _median_without(ordered: Sequence[float], own: float | None) -> float:
    """The median of sorted numbers with one of them left out; of an even count, the lower."""
    gap = len(ordered) if own is None else bisect_left(ordered, own)
    rest = len(ordered) - (own is not None)
    if rest < 1:
        return 0.0
    middle = (rest - 1) // 2
    return ordered[middle + (middle >= gap)]


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """How conversations go: `turns` are expected after this one, each adds `growth` tokens."""

    turns: float
    growth: float


class TrafficMeter:
    """Averages of what was given to agents, forgetting with `MEMORY_S`."""

    def __init__(self, agents: int) -> None:
        #: Delay cost that comes to each agent: in all, and by bidder.
        self._flow = np.zeros(agents)
        self._own: OrderedDict[str, tuple[float, Floats]] = OrderedDict()
        self._at = 0.0
        self._began: float | None = None
        self._first = self._later = 0
        self._grown = 0.0

    def join(self) -> None:
        """One agent more, the last, to which nothing came yet."""
        self._flow = np.append(self._flow, 0.0)
        for bidder, (since, own) in self._own.items():
            self._own[bidder] = since, np.append(own, 0.0)

    def arrived(self, agent: int, bidder: str, delay_cost: float, turn: int, fresh: int, now_s: float) -> None:
        """A request was given to an agent: its reported delay cost, its turn, its uncached tokens."""
        self._began = now_s if self._began is None else self._began
        fade = _fade(now_s - self._at)
        self._flow, self._at = self._flow * fade, now_s
        self._flow[agent] += delay_cost
        since, own = self._own.pop(bidder, (now_s, np.zeros_like(self._flow)))
        own = own * _fade(now_s - since)
        own[agent] += delay_cost
        self._own[bidder] = now_s, own
        if len(self._own) > _REMEMBERED:
            self._own.popitem(last=False)
        if turn == 0:
            self._first += 1
        else:
            self._later += 1
            self._grown += min(fresh, _LONG_TURN)

    def read(self) -> Traffic:
        """Averages over all that was seen; at first four turns of 20 tokens."""
        more = (self._later + 4.0) / (self._first + self._later + 5.0)
        return Traffic(min(more / (1 - more), _LONGEST), (self._grown + 20.0) / (self._later + 1.0))

    def delay_flows(self, now_s: float, bidders: Sequence[str]) -> Floats:
        """(N, M) credits a second, a second: the delay cost that all but each of the bidders bring to each agent."""
        others = np.empty((len(bidders), self._flow.size))
        others[:] = self._flow * _fade(now_s - self._at)
        for i, bidder in enumerate(bidders):
            if bidder in self._own:
                since, own = self._own[bidder]
                others[i] -= own * _fade(now_s - since)
        flows: Floats = np.maximum(others, 0.0, out=others)
        flows /= self._span(now_s)
        return flows

    def _span(self, now_s: float) -> float:
        """Seconds that the sums are worth."""
        age = 0.0 if self._began is None else now_s - self._began
        return MEMORY_S * (1.0 - _fade(max(age, MEMORY_S / 10)))


def _fade(seconds: float) -> float:
    return math.exp(-max(seconds, 0.0) / MEMORY_S)


def congestion(outlook: Outlook, flows: Floats) -> Floats:
    """(N, M) credits: what later arrivals wait for; `flows` (N, M) is the delay cost that others bring, a second.

    A request of service time s adds s to the wait of whoever arrives before its own first token, and half of that on
    average to those who arrive while it is computed. With backlog B ahead of it: fee = s * flow * (B + s / 2).
    """
    fee: Floats = outlook.service * flows * (outlook.start + outlook.service / 2)
    return fee


def future(outlook: Outlook, traffic: Traffic, typical: Floats, forecaster: Forecaster) -> Floats:
    """(N, M) credits that a conversation is worth from its next turn on, once served at an agent; declined, it ends.

    A turn at an agent that is warm is worth m_j = worth * quality - delay cost * seconds - price of its tokens; R turns
    are expected. From agent j the future is max(R m_j, max_k (R m_k - switch_k)), where switching to k computes
    the conversation there anew, and not less than nothing. Worth and delay cost, `typical` (N, 2), are the others'
    medians.
    """
    # What forecasters of others give may be a view, or of another type.
    queue, whole = forecaster.queue, np.ascontiguousarray
    future: Floats = _kernels().future(
        whole(outlook.quality, np.float64),
        whole(outlook.prompt, np.int64),
        whole(outlook.cached, np.int64),
        whole(outlook.output, np.float64),
        whole(outlook.possible, np.bool_),
        whole(typical, np.float64),
        whole(queue.base_seconds(), np.float64),
        whole(queue.seconds_per_token(), np.float64),
        whole(forecaster.prices, np.float64),
        traffic.turns,
        traffic.growth,
    )
    return future


def against_unserved(loss: Floats, possible: NDArray[np.bool_]) -> Floats:
    """(N, M) fees from what each outcome of a row costs others, declining it nothing: never negative.

    Where some agent costs others no more than declining would, the best such agent is free; where declining is best
    for others, an agent costs what it is worse than that. (Subtracting the least fee of a row instead would let
    requests in whose value is below what they cost others everywhere.)
    """
    least = np.minimum.reduce(np.where(possible, loss, np.inf), axis=1, keepdims=True, initial=0.0)
    return np.where(possible, loss - least, 0.0)


@cache
def _kernels() -> ModuleType:
    """Imported with the first round: numba takes half a second."""
    return import_module("runtime.policies.fees_kernels")
