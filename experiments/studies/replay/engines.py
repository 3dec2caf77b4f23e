"""Who serves a replay: simulated engines with the trace's caches, capacities and prices, and assumed speeds and skills.

A trace does not say how fast an engine computes, unless it was simulated. All others are taken for one of the two
models that were measured: those at the dear end of prices for the large one, the rest for the small one, as in
`experiments.worlds.fleets`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

from experiments.worlds.fleets import FLEET
from prediction import TokenPrices
from runtime import Decision, EngineShape, Event, Fleet, Offer, Policy, calibration
from runtime.policies.policy import Agent
from runtime.traces.records import Head


@dataclass(frozen=True, slots=True)
class Stand:
    """What stands for an agent of a trace: a calibration, and the assumed chance of a right answer."""

    name: str
    calibration: str
    shape: EngineShape
    prices: TokenPrices
    skill: float


def stands(head: Head) -> list[Stand]:
    """One for each agent; one that left and came back was another from then on, and is called so."""
    fresh = [agent.prices[0] for agent in head.agents]
    middle = sqrt(max(fresh) * min(fresh))
    known = {f"simulated ({calibration(one.calibration).fitted_to})": one for one in FLEET}
    found, seen = [], Counter[str]()
    for agent in head.agents:
        seen[agent.name] += 1
        # No agent's own name has a bracket.
        name = agent.name if seen[agent.name] == 1 else f"{agent.name} ({seen[agent.name]})"
        by_price = FLEET[-1] if max(fresh) > min(fresh) and agent.prices[0] > middle else FLEET[0]
        like = known.get(agent.model, by_price)
        shape = EngineShape(
            block_size=agent.block_size,
            cache_blocks=agent.cache_blocks,
            max_num_seqs=agent.slots,
            max_num_batched_tokens=like.shape.max_num_batched_tokens,
            max_model_len=agent.max_model_len,
        )
        found.append(Stand(name, like.calibration, shape, TokenPrices(*agent.prices), like.skill))
    return found


class Limited:
    """A policy to which only the agents that serve a request's model are open, as they were."""

    def __init__(self, policy: Policy, barred: Mapping[str, frozenset[int]]) -> None:
        self.name, self._policy, self._barred = policy.name, policy, barred

    def attach(self, agents: Sequence[Agent]) -> None:
        """As the policy."""
        self._policy.attach(agents)

    def ready(self, fleet: Fleet) -> bool:
        """As the policy."""
        return self._policy.ready(fleet)

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """As the policy, which sees the barred agents as having refused."""
        barred = self._barred
        return self._policy.decide(
            [replace(offer, refused=offer.refused | barred[offer.request.id]) for offer in offers], fleet
        )

    def notice(self, event: Event) -> None:
        """As the policy."""
        self._policy.notice(event)
