"""NVIDIA Dynamo's KV router: blocks to compute and blocks in use."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experiments.routers.plain.picking import one_by_one, one_of
from runtime import Agent, Decision, Event, Fleet, Offer, Served
from runtime.policies.affinity import Affinity


@dataclass(frozen=True, slots=True)
class _Given:
    """What a request brought to its agent: tokens."""

    prompt: int
    cached: int


class Dynamo:
    """The least of `overlap_weight * blocks to compute + blocks in use`, of equals any.

    Blocks to compute are those of the prompt that the agent does not hold, and of the prompts it has still to compute;
    blocks in use are those of all prompts at the agent, this one included. Dynamo's KV mode at temperature 0, with its
    default weight 1. It hears of every block from the agents; this hears of those that publish, and of the others
    learns from completions (`Affinity`). Blocks that prompts share it counts once, and we for each.
    """

    name = "dynamo"
    gathers = False

    def __init__(self, overlap_weight: float = 1.0, seed: int = 0) -> None:
        self._weight, self._seed = overlap_weight, seed

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start with empty caches."""
        self._affinity = Affinity(agents)
        self._sizes = np.array([agent.info.block_size for agent in agents])

    def ready(self, fleet: Fleet) -> bool:
        """Nobody is made to wait."""
        return True

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Give every request to a living agent."""
        notes: list[_Given | None] = [None] * len(offers)
        cached = self._affinity.cached_tokens(offers)
        place = {id(offer): i for i, offer in enumerate(offers)}
        fresh, used = self._under_way(fleet)

        def pick(offer: Offer, load: NDArray[np.int64], living: NDArray[np.intp]) -> int:
            i = place[id(offer)]
            prompt = np.array([len(tokens) for tokens in offer.tokens])
            blocks = -(-prompt // self._sizes)
            cost = self._weight * (fresh + prompt - cached[i]) / self._sizes + used + blocks
            chosen = one_of(f"{self._seed}/{offer.request.id}", living[cost[living] <= cost[living].min()])
            notes[i] = _Given(int(prompt[chosen]), int(cached[i, chosen]))
            fresh[chosen] += prompt[chosen] - cached[i, chosen]
            used[chosen] += blocks[chosen]
            return chosen

        return replace(one_by_one(pick, offers, fleet), notes=notes)

    def notice(self, event: Event) -> None:
        """Take note of what the agent holds now."""
        self._affinity.refresh()
        if isinstance(event, Served):
            assert isinstance(event.note, _Given)
            self._affinity.learn(event.offer, event.agent, event.completion, event.note.cached)

    def _under_way(self, fleet: Fleet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(M,) tokens of prompts that each agent has still to compute, and (M,) blocks of all that it has."""
        fresh, used = np.zeros((2, len(fleet.agents)), np.int64)
        for j, jobs in enumerate(fleet.jobs):
            for job in jobs:
                if isinstance(job.note, _Given):
                    fresh[j] += (job.note.prompt - job.note.cached) * job.computing
                    used[j] += -(-job.note.prompt // self._sizes[j])
        return fresh, used
