"""Routing by the tokens that agents are believed to hold, as completions show them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from experiments.routers.plain.picking import among, balanced, dearest, one_by_one
from runtime import Agent, Decision, Event, Fleet, Offer, Served
from runtime.policies.affinity import Affinity


class CacheAware:
    """The agent that holds most of the prompt, unless it is much busier than another; then the least loaded.

    The rule of vLLM's and SGLang's routers at its best here: it knows tokens, blocks and evictions where those compare
    texts (`peers.vllm_cache_aware` is theirs), load is by capacity, and affinity yields at `absolute` 8, not 64: four
    agents never see 64. Affinity counts from a share `match` of the prompt, and yields where the busiest agent has
    `absolute` more requests than the idlest, and `relative` times as many.
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
        self._meet(agents)

    def join(self, agent: Agent) -> None:
        """One agent more, the last, with an empty cache."""
        self._affinity.join(agent)
        self._meet((*self._agents, agent))

    def _meet(self, agents: Sequence[Agent]) -> None:
        self._agents = tuple(agents)
        self._capacities = np.array([agent.slots for agent in agents])
        self._dear = dearest(agents) if self._best else np.ones(len(agents), bool)

    def ready(self, fleet: Fleet) -> bool:
        """Nobody is made to wait."""
        return True

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Give every request to a living agent."""
        believed = self._affinity.cached_tokens(offers)
        decided = one_by_one(self._pick, offers, fleet)
        return replace(decided, notes=[int(believed[i, j]) for i, j in enumerate(decided.agents)])

    def notice(self, event: Event) -> None:
        """Take note of what the agent holds now."""
        self._affinity.refresh()
        if isinstance(event, Served):
            assert isinstance(event.note, int)
            self._affinity.learn(event.offer, event.agent, event.completion, event.note)

    def _pick(self, offer: Offer, load: NDArray[np.int64], living: NDArray[np.intp]) -> int:
        living = among(living, self._dear)
        cached = self._affinity.cached_tokens([offer])[0]
        lengths = np.array([len(tokens) for tokens in offer.tokens])
        return prefer(cached, lengths, load, living, self._capacities, self._match, self._absolute, self._relative)


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
    held = cached[living]
    if balanced(load, living, absolute, relative) and (held / lengths[living]).max() > match:
        best = living[held == held.max()]
        return int(best[np.argmin(load[best] / capacities[best])])
    return int(living[np.argmin(load[living] / capacities[living])])
