"""Routers in use that compare texts, under their projects' names and with their defaults.

They know what they gave to whom, and nothing of tokens, blocks or evictions at the agents. Each was written for
replicas of one model; here all agents answer, so that the cheap and the good are one pool to them. What they do as they
route a request, these do when a round is carried out, and within a round as they go. Draws are by the seed and the
request's id. An agent that is down is passed over, where vllm-router would give its requests to the first that is up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.routers.plain.picking import balanced, least, one_by_one, one_of, two_choices
from experiments.routers.plain.texts import PrefixTree, prompt_text, shared
from runtime import Agent, Decided, Decision, Event, Fleet, Offer

#: Characters of a text that production-stack hashes at a time.
_CHUNK = 128


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What is known of a prompt of `length` characters.

    `matched` (M,) is how many of them each agent was given before, `used` (M,) counts when last, `stored` (M,) is how
    many characters of all texts it was given.
    """

    length: int
    matched: NDArray[np.int64]
    used: NDArray[np.int64]
    stored: NDArray[np.int64]


#: Chooses one of the living agents, given what is known of the prompt and each agent's load (M,).
Choose = Callable[[Offer, Seen, NDArray[np.int64], NDArray[np.intp]], int]


class ByText:
    """A policy that knows which texts it gave to which agent.

    Args:
        name: what reports call it.
        choose: the rule.
        most: characters remembered of each agent; default as many as vllm-router remembers.
    """

    gathers = False

    def __init__(self, name: str, choose: Choose, most: int = 2**26) -> None:
        self.name, self._choose, self._most = name, choose, most

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start with nothing given out."""
        self._tree = PrefixTree(len(agents), self._most)

    def ready(self, fleet: Fleet) -> bool:
        """Nobody is made to wait."""
        return True

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Give every request to a living agent."""
        given: list[tuple[str, int]] = []
        stored = self._tree.stored.copy()

        def pick(offer: Offer, load: NDArray[np.int64], living: NDArray[np.intp]) -> int:
            text = prompt_text(offer)
            matched, used = self._tree.match(text)
            for k, (other, agent) in enumerate(given):
                common = shared(other, text)
                if common and common >= matched[agent]:
                    matched[agent], used[agent] = common, np.iinfo(np.int64).max - len(given) + k
            chosen = self._choose(offer, Seen(len(text), matched, used, stored), load, living)
            stored[chosen] += len(text) - matched[chosen]
            given.append((text, chosen))
            return chosen

        return one_by_one(pick, offers, fleet)

    def notice(self, event: Event) -> None:
        """Take note of what was given to whom."""
        if isinstance(event, Decided):
            self._tree.insert(prompt_text(event.offer), event.agent)


def vllm_cache_aware(match: float = 0.3, absolute: int = 64, relative: float = 1.5) -> ByText:
    """vllm-router's default, cache_aware: the agent that was given the longest begin of the prompt.

    From a share `match` of the text on; below it, and where the busiest has `absolute` more requests than the idlest
    and `relative` times as many, the agent with the fewest requests. Of agents that were given the same begin, the one
    that last was. Session headers, which come first there, are not sent here.
    """

    def choose(offer: Offer, seen: Seen, load: NDArray[np.int64], living: NDArray[np.intp]) -> int:
        if balanced(load, living, absolute, relative) and _share(seen, living) > match:
            return _last_used(seen, living)
        return least(load, living)

    return ByText("vllm-cache-aware", choose)


def sglang(match: float = 0.3, absolute: int = 64, relative: float = 1.5) -> ByText:
    """SGLang's cache_aware, of which vllm-router's is a fork: below the share `match` the smallest tree, not the load.

    So a prompt that nobody knows goes to whoever was given least text, however busy; load counts only where it is out
    of balance.
    """

    def choose(offer: Offer, seen: Seen, load: NDArray[np.int64], living: NDArray[np.intp]) -> int:
        if not balanced(load, living, absolute, relative):
            return least(load, living)
        if _share(seen, living) > match:
            return _last_used(seen, living)
        return int(living[np.argmin(seen.stored[living])])

    return ByText("sglang", choose)


def ray_prefix(seed: int = 0, match: float = 0.1, imbalance: int = 10) -> ByText:
    """Ray Serve LLM's PrefixCacheAffinityRouter: affinity while queues differ by at most `imbalance` requests.

    The agents that were given the longest begin, from a share `match` of the text on, and below it those that were
    given least text; of several the one with the fewest requests. Out of balance: power of two choices.
    """

    def choose(offer: Offer, seen: Seen, load: NDArray[np.int64], living: NDArray[np.intp]) -> int:
        if load[living].max() - load[living].min() > imbalance:
            return two_choices(f"{seed}/{offer.request.id}", load, living)
        if _share(seen, living) < match:
            return least(load, living[seen.stored[living] == seen.stored[living].min()])
        return least(load, living[seen.matched[living] == seen.matched[living].max()])

    return ByText("ray-prefix", choose)


def production_stack(seed: int = 0) -> ByText:
    """production-stack's prefixaware: any of the agents that were given most whole chunks of 128 characters.

    Load never counts: whoever got the first prompt of a kind gets all that begin like it. A prompt that nobody knows
    goes anywhere. Its trie never forgets; this one forgets what was used least recently beyond 64 Mi characters an
    agent.
    """

    def choose(offer: Offer, seen: Seen, load: NDArray[np.int64], living: NDArray[np.intp]) -> int:
        chunks = seen.matched[living] // _CHUNK
        return one_of(f"{seed}/{offer.request.id}", living[chunks == chunks.max()])

    return ByText("production-stack", choose)


def _share(seen: Seen, living: NDArray[np.intp]) -> float:
    """Of the text, what the living know best."""
    return float(seen.matched[living].max()) / seen.length if seen.length else 0.0


def _last_used(seen: Seen, living: NDArray[np.intp]) -> int:
    best = living[seen.matched[living] == seen.matched[living].max()]
    return int(best[np.argmax(seen.used[best])])
