"""Conversations that stay with an agent because of their name."""

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from experiments.routers.plain.picking import Blind, Pick, among, dearest, drawn, least
from runtime import Agent, Offer, Policy

#: Points of each agent on the ring, as many as vllm-router gives a worker.
_POINTS = 160


def rendezvous(offer: Offer, living: NDArray[np.intp]) -> int:
    """The agent of a conversation by rendezvous hashing (Thaler and Ravishankar 1998)."""
    keys = [hashlib.blake2b(f"{offer.request.dialogue}/{j}".encode(), digest_size=8).digest() for j in living]
    return int(living[max(range(living.size), key=keys.__getitem__)])


def sticky() -> Policy:
    """All turns of a dialogue to one agent, by rendezvous hashing of its name; when that one dies, to its next choice.

    vllm-router's rendezvous_hash and production-stack's session routing. They hash a header, we the dialogue.
    """
    return Blind("sticky", lambda agents: _sticky)


def sticky_best() -> Policy:
    """Sticky among the agents of the dearest model."""

    def make(agents: Sequence[Agent]) -> Pick:
        dear = dearest(agents)
        return lambda offer, load, living: _sticky(offer, load, among(living, dear))

    return Blind("sticky-best", make)


def consistent_hashing(factor: float = 1.25) -> Policy:
    """A ring on which a dialogue goes to the next agent that is not full: consistent hashing with bounded loads.

    Nobody gets more than `factor` times the mean load, this request included, rounded up (Mirrokni, Thorup and
    Zadimoghaddam 2018; the default is that of SGLang's prefix_hash). vllm-router's consistent_hash has the ring, of 160
    points a worker, and no bound. In the paper balls move as bins fill and empty; a request here stays where it was
    put, and the next turn looks anew.
    """

    def make(agents: Sequence[Agent]) -> Pick:
        ring = sorted((drawn(f"{agent.name}:{k}"), j) for j, agent in enumerate(agents) for k in range(_POINTS))

        def pick(offer: Offer, load: NDArray[np.int64], living: NDArray[np.intp]) -> int:
            most = ceil(factor * (load[living].sum() + 1) / living.size)
            free = {int(j) for j in living[load[living] < most]}
            start = bisect_left(ring, (drawn(offer.request.dialogue), 0))
            for _, j in (*ring[start:], *ring[:start]):
                if j in free:
                    return j
            return least(load, living)

        return pick

    return Blind("consistent-hashing", make)


def _sticky(offer: Offer, load: NDArray[np.int64], living: NDArray[np.intp]) -> int:
    return rendezvous(offer, living)
