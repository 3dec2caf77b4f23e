"""Spreading load, with an eye on nothing but how many requests each agent has."""

from collections.abc import Sequence
from itertools import count

import numpy as np

from experiments.routers.plain.picking import Blind, Pick, one_by_one, one_of, two_choices
from runtime import Agent, Decided, Decision, Event, Fleet, Offer, Policy


class RoundRobin:
    """One agent after the other, in the order in which requests were given out; who cannot serve is passed over.

    nginx's and every peer's. They count requests as they are routed, and so does this, once a round was carried out.
    """

    name = "round-robin"
    gathers = False

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start with the first."""
        self._given = 0

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Give every request to a living agent."""
        turns = count(self._given)
        return one_by_one(lambda offer, load, living: int(living[next(turns) % living.size]), offers, fleet)

    def ready(self, fleet: Fleet) -> bool:
        """Nobody is made to wait."""
        return True

    def notice(self, event: Event) -> None:
        """Count what was given out."""
        self._given += isinstance(event, Decided)


def random(seed: int = 0) -> Policy:
    """Any agent, drawn by the seed and the request's id; peers draw anew each time they are asked."""
    return Blind("random", lambda agents: lambda offer, load, living: one_of(f"{seed}/{offer.request.id}", living))


def least_loaded() -> Policy:
    """The agent with the fewest requests for its capacity, line included; of equals the first.

    nginx's least_conn with capacities for weights. AIBrix's least-request and LiteLLM's least-busy count requests as
    they are: the same where all agents have one capacity.
    """

    def make(agents: Sequence[Agent]) -> Pick:
        capacities = np.array([agent.slots for agent in agents])
        return lambda offer, load, living: int(living[np.argmin(load[living] / capacities[living])])

    return Blind("least-loaded", make)


def power_of_two(seed: int = 0) -> Policy:
    """Of two agents drawn at random the one with fewer requests (Mitzenmacher 2001).

    vllm-router and SGLang offer it, Ray Serve does so by default. Draws are by the seed and the request's id; load is
    what this router has given out, never asked of the agents.
    """
    return Blind(
        "power-of-two",
        lambda agents: lambda offer, load, living: two_choices(f"{seed}/{offer.request.id}", load, living),
    )
