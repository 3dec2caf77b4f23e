"""What plain routers share: they pick an agent for one request after the other, and draw so that a draw repeats."""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from allocation import UNSERVED
from runtime import Agent, Decision, Event, Fleet, Offer
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
        return one_by_one(self._pick, offers, fleet)

    def ready(self, fleet: Fleet) -> bool:
        """Nobody is made to wait."""
        return True

    def notice(self, event: Event) -> None:
        """Nothing is learnt."""


def one_by_one(pick: Pick, offers: Sequence[Offer], fleet: Fleet) -> Decision:
    """Every request to the agent that `pick` chooses, given those before it; declined where nobody can serve it."""
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


def balanced(load: NDArray[np.int64], living: NDArray[np.intp], absolute: int, relative: float) -> bool:
    """Whether the busiest has at most `absolute` requests more than the idlest, or at most `relative` times as many."""
    busiest, idlest = load[living].max(), load[living].min()
    return bool(busiest - idlest <= absolute or busiest <= relative * idlest)


def least(load: NDArray[np.int64], living: NDArray[np.intp]) -> int:
    """Who has the fewest requests; of equals the first."""
    return int(living[np.argmin(load[living])])


def two_choices(name: str, load: NDArray[np.int64], living: NDArray[np.intp]) -> int:
    """Of two different agents, drawn by `name`, the one with fewer requests; of equals the one drawn first."""
    if living.size == 1:
        return int(living[0])
    first, rest = drawn(name) % living.size, drawn(name) // living.size
    second = (first + 1 + rest % (living.size - 1)) % living.size
    return int(living[second if load[living[second]] < load[living[first]] else first])


def drawn(name: str) -> int:
    """A number below 2**64 that is always the same for a name: a decision asked for twice must be the same."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def one_of(name: str, living: NDArray[np.intp]) -> int:
    """One of them, drawn by `name`."""
    return int(living[drawn(name) % living.size])
