"""Routing without prices, as routers in use do it.

All see what the auction sees and learn from the same completions. The routers charge nothing and make nobody wait.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from allocation import UNSERVED
from runtime import Agent, Decided, Decision, Event, Fleet, Offer, Policy, Served
from runtime.policies.affinity import Affinity
from runtime.policies.paper import possible

#: Chooses one of the living agents for an offer, given each agent's load (M,), this round's picks included.
Pick = Callable[[Offer, NDArray[np.int64], NDArray[np.intp]], int]


class Blind:
    """A policy that picks an agent for one request after the other and learns nothing."""

    gathers = False

    def __init__(self, name: str, make: Callable[[Sequence[Agent]], Pick]) -> None:
        self.name = name
        self._make = make

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start afresh."""
        self._pick = self._make(agents)

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Give every request to a living agent."""
        return _one_by_one(self._pick, offers, fleet)

    def ready(self, fleet: Fleet) -> bool:
        """Nobody is made to wait."""
        return True

    def notice(self, event: Event) -> None:
        """Nothing is learnt."""


class RoundRobin:
    """One agent after the other, in the order in which requests were given out."""

    name = "round-robin"
    gathers = False

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start with the first."""
        self._given = 0

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Give every request to a living agent."""
        turns = count(self._given)
        return _one_by_one(lambda offer, load, living: int(living[next(turns) % living.size]), offers, fleet)

    def ready(self, fleet: Fleet) -> bool:
        """Nobody is made to wait."""
        return True

    def notice(self, event: Event) -> None:
        """Count what was given out."""
        self._given += isinstance(event, Decided)


class CacheAware:
    """The agent that holds most of the prompt, unless it is much busier than another; then the least loaded.

    The rule of vLLM's and SGLang's routers: affinity counts from a share `match` of the prompt, and yields where the
    busiest agent has `absolute` more requests in flight than the idlest, and `relative` times as many.
    """

    gathers = False

    def __init__(
        self,
        match: float = 0.3,
        absolute: int = 8,
        relative: float = 1.5,
        *,
        best: bool = False,
        name: str = "cache-aware",
    ) -> None:
        self._match, self._absolute, self._relative, self._best, self.name = match, absolute, relative, best, name

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start with empty caches."""
        self._affinity = Affinity(agents)
        self._capacities = np.array([agent.slots for agent in agents])
        self._dear = dearest(agents) if self._best else np.ones(len(agents), bool)

    def ready(self, fleet: Fleet) -> bool:
        """Nobody is made to wait."""
        return True

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Give every request to a living agent."""
        believed = self._affinity.cached_tokens(offers)
        decided = _one_by_one(self._pick, offers, fleet)
        return replace(decided, notes=[int(believed[i, j]) for i, j in enumerate(decided.agents)])

    def notice(self, event: Event) -> None:
        """Take note of what the agent holds now."""
        if isinstance(event, Served):
            assert isinstance(event.note, int)
            self._affinity.learn(event.offer, event.agent, event.completion, event.note)

    def _pick(self, offer: Offer, load: NDArray[np.int64], living: NDArray[np.intp]) -> int:
        living = among(living, self._dear)
        cached = self._affinity.cached_tokens([offer])[0]
        lengths = np.array([len(tokens) for tokens in offer.tokens])
        return prefer(cached, lengths, load, living, self._capacities, self._match, self._absolute, self._relative)


def baselines(seed: int = 0) -> list[Policy]:
    """Routers without prices, in their usual forms."""
    return [
        Blind("random", lambda agents: _random(seed)),
        RoundRobin(),
        Blind("sticky", lambda agents: _sticky),
        CacheAware(),
        Blind("least-loaded", _least_loaded),
    ]


def _one_by_one(pick: Pick, offers: Sequence[Offer], fleet: Fleet) -> Decision:
    load = fleet.load
    fits = possible(offers, fleet)
    agents = np.full(len(offers), UNSERVED)
    for i, offer in enumerate(offers):
        living = np.flatnonzero(fits[i])
        if not living.size:
            continue
        agents[i] = pick(offer, load, living)
        load[agents[i]] += 1
    return Decision(agents, np.zeros(len(offers), np.int64))


def dearest(agents: Sequence[Agent]) -> NDArray[np.bool_]:
    """(M,) which agents serve the model with the dearest prompt tokens: the best class, where dear is good."""
    price = np.array([agent.prices.fresh for agent in agents])
    best: NDArray[np.bool_] = price >= price.max()
    return best


def among(living: NDArray[np.intp], wanted: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Those of the living who are wanted, or all of them if none is."""
    kept = living[wanted[living]]
    return kept if kept.size else living


def prefer(
    cached: NDArray[np.int64],
    lengths: NDArray[np.int64],
    load: NDArray[np.int64],
    living: NDArray[np.intp],
    capacities: NDArray[np.int64],
    match: float = 0.3,
    absolute: int = 8,
    relative: float = 1.5,
) -> int:
    """The rule of `CacheAware` for one prompt: tokens held, prompt length and load by agent, all (M,)."""
    busiest, idlest = load[living].max(), load[living].min()
    balanced = busiest - idlest <= absolute or busiest <= relative * idlest
    held = cached[living]
    if balanced and (held / lengths[living]).max() > match:
        best = living[held == held.max()]
        return int(best[np.argmin(load[best] / capacities[best])])
    return int(living[np.argmin(load[living] / capacities[living])])


def rendezvous(offer: Offer, living: NDArray[np.intp]) -> int:
    """The agent of a conversation by rendezvous hashing (Thaler and Ravishankar 1998)."""
    keys = [hashlib.blake2b(f"{offer.request.dialogue}/{j}".encode(), digest_size=8).digest() for j in living]
    return int(living[max(range(living.size), key=keys.__getitem__)])


def sticky_best() -> Policy:
    """Sticky among the agents of the dearest model."""

    def make(agents: Sequence[Agent]) -> Pick:
        dear = dearest(agents)
        return lambda offer, load, living: _sticky(offer, load, among(living, dear))

    return Blind("sticky-best", make)


def best_single() -> Policy:
    """Everything to one agent of the dearest model, as long as it lives."""

    def make(agents: Sequence[Agent]) -> Pick:
        first = np.arange(len(agents)) == int(dearest(agents).argmax())
        return lambda offer, load, living: int(among(living, first)[0])

    return Blind("best-single", make)


def _random(seed: int) -> Pick:
    """Drawn from the request's name: a decision that is asked for twice must be the same."""
    return lambda offer, load, living: int(living[_drawn(f"{seed}/{offer.request.id}") % living.size])


def _drawn(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def _sticky(offer: Offer, load: NDArray[np.int64], living: NDArray[np.intp]) -> int:
    """All turns of a dialogue to one agent."""
    return rendezvous(offer, living)


def _least_loaded(agents: Sequence[Agent]) -> Pick:
    capacities = np.array([agent.slots for agent in agents])
    return lambda offer, load, living: int(living[np.argmin(load[living] / capacities[living])])
