"""Allocators that tests try to price, in a module of their own so that a fresh process can build them."""

import itertools
from dataclasses import dataclass

import numpy as np

from allocation import Allocation, Allocator, Market


@dataclass(frozen=True)
class MaxMin:
    """The lexicographically largest sorted vector of what requests get: fair, blind to the sum; first of the best."""

    def allocate(self, market: Market) -> Allocation:
        n, m = market.shape
        weights, room = market.weights.tolist(), market.capacities.tolist()
        best: tuple[list[int], tuple[int, ...]] | None = None
        for agents in itertools.product(range(-1, m), repeat=n):
            if all(agents.count(j) <= slots for j, slots in enumerate(room)):
                got = sorted(weights[i][j] if j >= 0 else 0 for i, j in enumerate(agents))
                if best is None or got > best[0]:
                    best = got, agents
        assert best is not None
        return Allocation(np.array(best[1], np.int64))


@dataclass(frozen=True)
class Against:
    """The inner allocator, with other bidders whose reports never change."""

    inner: Allocator
    others: tuple[tuple[int, ...], ...]

    def allocate(self, market: Market) -> Allocation:
        values = np.concatenate([market.values, np.array(self.others)])
        whole = Market(values, np.zeros_like(values), market.capacities)
        return Allocation(self.inner.allocate(whole).agents[: market.shape[0]])


@dataclass
class Fickle:
    """Serves the first request every other time it is asked."""

    asked: int = 0

    def allocate(self, market: Market) -> Allocation:
        self.asked += 1
        agents = np.full(market.shape[0], -1)
        agents[0] = -(self.asked % 2)
        return Allocation(agents)


class Everybody:
    """Gives every request to agent 0, room or not."""

    def allocate(self, market: Market) -> Allocation:
        return Allocation(np.zeros(market.shape[0], np.int64))
