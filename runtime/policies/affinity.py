"""`Affinity`: how much of each prompt each agent of a mixed fleet is believed to hold, in that agent's own tokens."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prediction import PrefixIndex
from runtime.engines.engine import Completion
from runtime.events import Offer
from runtime.policies.policy import Agent
from runtime.policies.ties import Ties


class Affinity:
    """One `PrefixIndex` for every group of agents that share a vocabulary and a block size."""

    def __init__(self, agents: Sequence[Agent]) -> None:
        groups: dict[tuple[str, int], list[int]] = {}
        for j, agent in enumerate(agents):
            groups.setdefault((agent.info.tokenizer, agent.info.block_size), []).append(j)
        self._groups = [
            (
                np.array(members),
                PrefixIndex(len(members), size, capacity_blocks=[agents[j].info.cache_blocks - 1 for j in members]),
            )
            for (_, size), members in groups.items()
        ]
        self._place = {int(j): (index, k) for members, index in self._groups for k, j in enumerate(members)}
        #: Of agents that publish what their caches hold.
        self._ties: dict[int, Ties] = {}
        for j, agent in enumerate(agents):
            self._tie(j, agent)

    def refresh(self) -> None:
        """Take note of what agents have said of their caches since."""
        for ties in self._ties.values():
            ties.refresh()

    def join(self, agent: Agent) -> None:
        """One agent more, the last, with an empty cache."""
        j = len(self._place)
        index = PrefixIndex(1, agent.info.block_size, capacity_blocks=[agent.info.cache_blocks - 1])
        self._groups.append((np.array([j]), index))
        self._place[j] = (index, 0)
        self._tie(j, agent)

    def cached_tokens(self, offers: Sequence[Offer]) -> NDArray[np.int64]:
        """(N, M) tokens of each offer's prompt believed cached at each agent."""
        cached = np.zeros((len(offers), len(self._place)), np.int64)
        for members, index in self._groups:
            cached[:, members] = index.match_many([offer.tokens[members[0]] for offer in offers])
        return cached

    def learn(self, offer: Offer, agent: int, completion: Completion, believed: int, ratio: float = 1.0) -> None:
        """Take note of what an agent holds now, and of a hit short of the tokens `believed` cached at dispatch.

        Only a shortfall against that belief disproves it: what was inserted since may be there all the same. `ratio` is
        how many tokens the agent counts for one of the offer's; where the two differ, the last block may be rounded.
        """
        index, k = self._place[agent]
        prompt = offer.tokens[agent]
        found = completion.cached_tokens
        if ratio != 1.0:
            found = min(int(found / ratio) + index.block_size, len(prompt))
        if found < believed:
            index.observe(k, prompt, found)
        index.insert(k, completion.token_ids or prompt)
        if agent in self._ties:
            self._ties[agent].served(offer.request.id, prompt, completion)

    def _tie(self, j: int, agent: Agent) -> None:
        if agent.contents is not None:
            self._ties[j] = Ties(*self._place[j], agent.contents, agent.info.cache_blocks - 1)
