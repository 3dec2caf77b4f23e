"""Rivals that know what the auction knows: the same forecasts, the same fees, the same right to decline.

What the auction gains over them is due to its matching and its fees; what they gain over `plain` routers is
information and admission.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from allocation import UNSERVED, Greedy, MinCostFlow
from experiments.routers.plain.caching import prefer
from experiments.routers.plain.hashing import rendezvous
from experiments.routers.plain.picking import dearest, drawn
from mechanisms import FirstCome, Mechanism, PostedPrice
from runtime import WAITING, Agent, Arrived, Auction, Decision, Event, Fleet, Offer, Prediction, ServingError
from runtime.policies.forecast import Forecaster, Outlook

Floats = NDArray[np.float64]


class Informed(ABC):
    """Forecasts as the auction does; subclasses choose. Charges nothing, so reports are taken to be true."""

    name = "informed"

    def __init__(self, forecaster: Callable[[], Forecaster] = Forecaster) -> None:
        self._make_forecaster = forecaster

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start with empty caches and nothing learnt."""
        self.forecaster = self._make_forecaster()
        self.forecaster.attach(agents)

    def join(self, agent: Agent) -> None:
        """One agent more, the last; all that was learnt is kept.

        Raises:
            ServingError: a part of the forecast takes no agent more.
        """
        if not hasattr(self.forecaster, "join"):
            raise ServingError(f"{type(self.forecaster).__name__} takes no agent more while it serves")
        self.forecaster.join(agent)

    def ready(self, fleet: Fleet) -> bool:
        """Nobody is made to wait."""
        return True

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Choose, by forecast."""
        outlook = self.forecaster.look(offers, fleet)
        agents = self.choose(offers, fleet, outlook)
        notes = [self.forecaster.note(outlook, i, int(j)) if j >= 0 else None for i, j in enumerate(agents)]
        predicted = [
            Prediction(*(float(part[i, j]) for part in (outlook.latency, outlook.cost, outlook.quality)))
            if j >= 0
            else None
            for i, j in enumerate(agents)
        ]
        return Decision(agents, np.zeros(len(offers), np.int64), predicted, notes=notes)

    def notice(self, event: Event) -> None:
        """Learn."""
        self.forecaster.notice(event)

    @abstractmethod
    def choose(self, offers: Sequence[Offer], fleet: Fleet, outlook: Outlook) -> NDArray[np.int64]:
        """(N,) agents, `UNSERVED` or `WAITING`."""


def net_values(offers: Sequence[Offer], outlook: Outlook, extra: Floats | float = 0.0) -> Floats:
    """(N, M) credits of value minus cost as reported, -inf where an agent cannot serve; `extra` seconds of wait."""
    reports = [offer.preferences for offer in offers]
    worth, delay, stake = np.array([(one.worth, one.delay_cost, one.stake) for one in reports]).T
    net = worth[:, None] * outlook.quality - delay[:, None] * (outlook.latency + extra) - outlook.cost
    net = net + stake[:, None]
    return np.where(outlook.possible, net, -np.inf)


class CMu(Informed):
    """Whoever loses most by waiting for its own length goes first (the c-mu rule: Cox and Smith 1961).

    Waiting requests are ordered anew whenever an agent has no prompt to compute; each in turn takes the agent that is
    worth most to it, and waits if that agent is busy. One that is worth less than its cost everywhere is declined.
    """

    name = "c-mu"

    def ready(self, fleet: Fleet) -> bool:
        """Whether some agent has no prompt to compute."""
        return bool((_idle(fleet) & fleet.alive).any())

    def choose(self, offers: Sequence[Offer], fleet: Fleet, outlook: Outlook) -> NDArray[np.int64]:
        """(N,) agents, `UNSERVED` or `WAITING`."""
        idle = _idle(fleet)
        extra = np.zeros(len(idle))
        agents = np.full(len(offers), WAITING)
        delay = np.array([offer.preferences.delay_cost for offer in offers])
        for i in np.argsort(-delay / np.maximum(outlook.service.mean(axis=1), 1e-6), kind="stable"):
            net = net_values([offers[i]], _row(outlook, int(i)), extra)[0]
            best = int(net.argmax())
            if net[best] < 0:
                agents[i] = UNSERVED
            elif idle[best]:
                agents[i], idle[best] = best, False
            extra[best] += outlook.service[i, best] if net[best] >= 0 else 0.0
        return agents


class Tiers(Informed):
    """Two service tiers by a worth threshold: the dearer model for those above it, the rest for the others.

    The threshold is the median worth reported by the last 1000 requests; a conversation stays with the agent that it
    hashes to in its tier.
    """

    name = "tiers"

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start afresh."""
        super().attach(agents)
        self._seen: list[float] = []
        self._upper = dearest(agents)

    def join(self, agent: Agent) -> None:
        """One agent more; the dearest of all are the upper tier."""
        super().join(agent)
        self._upper = dearest(self.forecaster.agents)

    def choose(self, offers: Sequence[Offer], fleet: Fleet, outlook: Outlook) -> NDArray[np.int64]:
        """(N,) agents."""
        agents = np.full(len(offers), UNSERVED)
        threshold = np.median(self._seen) if self._seen else 0.0
        for i, offer in enumerate(offers):
            upper = offer.preferences.worth >= threshold
            able = outlook.possible[i]
            tier = np.flatnonzero(able & (self._upper == upper))
            living = tier if tier.size else np.flatnonzero(able)
            if living.size:
                agents[i] = rendezvous(offer, living)
        return agents

    def notice(self, event: Event) -> None:
        """Learn."""
        super().notice(event)
        if isinstance(event, Arrived):
            self._seen = [*self._seen[-999:], event.offer.preferences.worth]


class DecliningCacheAware(Informed):
    """Cache-aware routing that declines what is worth less there than it costs, by the auction's forecasts.

    As `caching.CacheAware` it prefers the agent that holds most of the prompt unless loads are out of balance.
    """

    name = "cache-aware-declining"

    def choose(self, offers: Sequence[Offer], fleet: Fleet, outlook: Outlook) -> NDArray[np.int64]:
        """(N,) agents or `UNSERVED`."""
        load = fleet.load
        net = net_values(offers, outlook)
        agents = np.full(len(offers), UNSERVED)
        for i in range(len(offers)):
            living = np.flatnonzero(outlook.possible[i])
            if not living.size:
                continue
            j = prefer(outlook.cached[i], outlook.prompt[i], load, living, fleet.slots)
            if net[i, j] >= 0:
                agents[i] = j
                load[j] += 1
        return agents


class LlmD(Informed):
    """The least predicted time to the first token, among agents that hold the prompt where there are such.

    llm-d's predicted-latency routing behind its prefix-cache-affinity filter: agents that hold a share `affinity` of
    the prompt are kept and all others dropped, unless nobody does, unless the best of them is `penalty_s` slower than
    the best other one, and but for a share `explore` of requests, drawn by the seed and the request's id. It predicts
    by XGBoost, trained anew every half hour; this by the auction's own forecasts. It weighs predicted time per token
    too, and draws by the scores; this takes the least time to the first token.
    """

    name = "llm-d"
    gathers = False

    def __init__(
        self,
        forecaster: Callable[[], Forecaster] = Forecaster,
        *,
        affinity: float = 0.8,
        penalty_s: float = 18.0,
        explore: float = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__(forecaster)
        self._affinity, self._penalty_s, self._explore, self._seed = affinity, penalty_s, explore, seed

    def choose(self, offers: Sequence[Offer], fleet: Fleet, outlook: Outlook) -> NDArray[np.int64]:
        """(N,) agents; `UNSERVED` where nobody can."""
        extra = np.zeros(len(fleet.agents))
        agents = np.full(len(offers), UNSERVED)
        for i, offer in enumerate(offers):
            able = np.flatnonzero(outlook.possible[i])
            if not able.size:
                continue
            first = outlook.latency[i] + extra
            holds = outlook.cached[i, able] >= self._affinity * outlook.prompt[i, able]
            kept, others = able[holds], able[~holds]
            tries = drawn(f"{self._seed}/{offer.request.id}") < self._explore * 2**64
            late = kept.size and others.size and first[kept].min() > first[others].min() + self._penalty_s
            among = kept if kept.size and not tries and not late else able
            agents[i] = among[first[among].argmin()]
            extra[agents[i]] += outlook.service[i, agents[i]]
        return agents


class Unpaid(Auction):
    """An auction whose matching is carried out and whose charges are not: nobody pays, and reports are believed."""

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """As the auction would, for nothing."""
        decided = super().decide(offers, fleet)
        return replace(decided, charges=np.zeros(len(offers), np.int64), outcome=None, displaced=None)


def flow(forecaster: Callable[[], Forecaster] = Forecaster) -> Auction:
    """The exact matching of greatest welfare, on the auction's own weights, without payments.

    Where all report the truth it serves whom the auction serves: what the auction has over it is that they do.
    """
    return Unpaid(Mechanism(MinCostFlow(), PostedPrice()), forecaster, "flow")


def posted(forecaster: Callable[[], Forecaster] = Forecaster) -> Auction:
    """Each request takes its own best place at cost plus fee, as it comes."""
    return Auction(Mechanism(FirstCome(), PostedPrice()), forecaster, "posted", without=["gathering"])


def greedy(forecaster: Callable[[], Forecaster] = Forecaster) -> Auction:
    """The greatest welfare of a pair first, on the auction's own weights."""
    return Auction(Mechanism(Greedy(), PostedPrice()), forecaster, "greedy")


def _idle(fleet: Fleet) -> NDArray[np.bool_]:
    return np.array([all(job.first_token_s is not None for job in jobs) for jobs in fleet.jobs])


def _row(outlook: Outlook, i: int) -> Outlook:
    names = ("service", "cost", "quality", "possible", "prompt", "cached", "output")
    return replace(outlook, **{name: getattr(outlook, name)[i : i + 1] for name in names})
