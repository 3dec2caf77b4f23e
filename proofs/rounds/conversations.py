"""`Conversations`: a small world of several rounds, in which caches fill and a predictor learns.

Each bidder talks about a document of their own: every prompt is the document, one block long, and a new question.
Agents keep what they served in a prefix cache (`prediction.PrefixIndex`, which counts as vLLM does), and a predictor
expects from each agent the prices that it last saw there. A round costs what the predictor expects, as in the router.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from allocation import MICROS, Market, to_micros
from allocation.money import Money
from mechanisms.dynamic import History
from prediction import Features, Measured, PrefixIndex, QoS, TokenPrices
from proofs.errors import AuditError


@dataclass(frozen=True)
class Conversations:
    """A `mechanisms.World`: caches and predictor are a function of who served whom, and of nothing that is reported.

    Args:
        bidders: each with one dialogue, and one request per round.
        agents: how many.
        rounds: how many.
        capacity: requests that each agent serves per round.
        document: tokens of each document, >= 1: the part of a prompt that can be cached.
        fresh, cached: micro-units that a token costs when it is computed, and when it is cached.
        presumed: micro-units that the predictor expects a fresh token to cost at agents it has never seen serve, or
            None where it knows the price.
        cache: documents that an agent's cache holds.

    Raises:
        AuditError: a size is not positive, or a price is negative.
    """

    bidders: int = 2
    agents: int = 1
    rounds: int = 2
    capacity: int = 1
    document: int = 1
    fresh: int = 1
    cached: int = 0
    presumed: int | None = None
    cache: int = 8

    def __post_init__(self) -> None:
        for name in ("bidders", "agents", "rounds", "document", "cache"):
            if getattr(self, name) < 1:
                raise AuditError(f"{name} = {getattr(self, name)}; expected an integer >= 1")
        for name in ("capacity", "fresh", "cached"):
            if getattr(self, name) < 0:
                raise AuditError(f"{name} = {getattr(self, name)}; expected an integer >= 0")

    def market(self, values: Money, history: History) -> Market:
        """The market of the round after this history, under these reported values (N, M)."""
        return Market(values, _costs(self, history), np.full(self.agents, self.capacity))

    def smaller(self, *, bidders: int | None = None, agents: int | None = None) -> "Conversations":
        """The same world with fewer bidders or agents."""
        return replace(self, bidders=bidders or self.bidders, agents=agents or self.agents)

    def __str__(self) -> str:
        learnt = "" if self.presumed is None else f", presumed {self.presumed} until an agent was seen"
        return (
            f"{self.rounds} rounds, capacity {self.capacity} per agent; documents of {self.document} and questions of "
            f"1 token; {self.fresh} per fresh token{learnt}, {self.cached} per cached one"
        )


class LastSeen:
    """The least predictor there is: of each agent it expects the prices seen at its last completion.

    Args:
        presumed: prices of agents never seen.
        agents: how many.
    """

    def __init__(self, presumed: TokenPrices, agents: int) -> None:
        self._presumed = presumed
        self._scale = [1.0] * agents

    def predict(self, features: Features) -> QoS:
        """Costs as last seen; no latency, full quality."""
        costs = np.array(
            [
                [self._expected(features.row(i, j)) * scale for j, scale in enumerate(self._scale)]
                for i in range(features.shape[0])
            ]
        )
        return QoS(np.zeros_like(costs), costs, np.ones_like(costs))

    def learn(self, agent: int, row: Mapping[str, float], measured: Measured) -> None:
        """Remember by which factor the agent's cost differs from what was presumed."""
        expected = self._expected(row)
        self._scale[agent] = measured.cost / expected if expected > 0 else 1.0

    def _expected(self, row: Mapping[str, float]) -> float:
        return self._presumed.cost(row["prompt_tokens"], row["cached_tokens"], 0)


@lru_cache(maxsize=4096)
def _costs(world: Conversations, history: History) -> Money:
    """(N, M) micro-units that the predictor expects after this history, from caches and lessons built anew."""
    index = PrefixIndex(world.agents, world.document, capacity_blocks=2 * world.cache)
    prices = TokenPrices(world.fresh / MICROS, world.cached / MICROS, 0.0)
    presumed = prices if world.presumed is None else TokenPrices(world.presumed / MICROS, world.cached / MICROS, 0.0)
    model = LastSeen(presumed, world.agents)
    for number, agents in enumerate(history):
        features = _features(world, index, number)
        for dialogue, agent in enumerate(agents):
            if agent >= 0:
                row = features.row(dialogue, agent)
                model.learn(agent, row, Measured(0.0, prices.cost(row["prompt_tokens"], row["cached_tokens"], 0)))
                index.insert(agent, _prompt(world, dialogue, number))
    return to_micros(model.predict(_features(world, index, len(history))).cost, name="cost")


def _features(world: Conversations, index: PrefixIndex, number: int) -> Features:
    n, m = world.bidders, world.agents
    hits = np.stack([index.match(_prompt(world, dialogue, number)) for dialogue in range(n)])
    ones: NDArray[np.int64] = np.ones(m, np.int64)
    return Features(
        prompt_tokens=np.full((n, m), world.document + 1),
        cached_tokens=hits,
        max_tokens=np.ones(n, np.int64),
        turn=np.full(n, number),
        inflight=0 * ones,
        slots=ones,
    )


def _prompt(world: Conversations, dialogue: int, number: int) -> list[int]:
    """The dialogue's document, and the question of this round."""
    first = 1000 * (dialogue + 1)
    return [*range(first, first + world.document), first + 500 + number]
