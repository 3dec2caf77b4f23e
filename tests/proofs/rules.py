"""Rules that tests audit: wrong in one place each, strange on purpose, or right in an unusual way.

They live in a module of their own so that a fresh process can unpickle them.
"""

import os
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from allocation import Allocation, Allocator, Market, MinCostFlow, optimal_allocations
from allocation.money import Money
from mechanisms import VCG, Mechanism, Outcome, PayAsBid, Payments, serving_costs

EXACT = Mechanism(MinCostFlow(), VCG())


@dataclass(frozen=True)
class Spoiled:
    """Exact VCG with its charges spoiled in one way."""

    how: str

    def run(self, market: Market) -> Outcome:
        right = EXACT.run(market)
        served = right.allocation.served.astype(np.int64)
        costs = market.take(market.costs, right.allocation)
        charges, receipts = right.payments.charges, right.payments.receipts
        match self.how:
            case "one too much":
                charges = charges + served
            case "one too little":
                charges = charges - served
            case "half the externality":
                charges = costs + (charges - costs) // 2
            case "free":
                charges = np.zeros_like(charges)
            case "at cost":
                charges = costs
            case "flat fee":
                charges = costs + 1 * served
            case "entry fee":
                charges = charges + 1
            case "cost forgotten":
                charges = charges - costs
            case "stale price":
                charges = costs + served * self._second_best_value(market)
            case "own value":
                charges = market.take(market.values, right.allocation)
            case "rebate":
                charges = charges - (charges - costs).sum() // max(1, market.shape[0])
            case "tip for agents":
                receipts = receipts + 1
            case "wrong agent":
                charges = costs + served * int((charges - costs).max(initial=0))
            case _:
                raise AssertionError(self.how)
        return Outcome(market, right.allocation, Payments(charges, receipts))

    def _second_best_value(self, market: Market) -> int:
        return int(np.sort(np.append(market.values.max(axis=1), 0))[-2])


SPOILED = (
    "one too much",
    "one too little",
    "half the externality",
    "free",
    "at cost",
    "flat fee",
    "entry fee",
    "cost forgotten",
    "stale price",
    "own value",
    "rebate",
    "tip for agents",
    "wrong agent",
)


@dataclass(frozen=True)
class Whisper:
    """The inner mechanism, with a report of its own invention in the outcome: no utility may be read from it."""

    inner: Mechanism

    def run(self, market: Market) -> Outcome:
        outcome = self.inner.run(market)
        return Outcome(market.replace(values=7 - 3 * market.values), outcome.allocation, outcome.payments)


@dataclass(frozen=True)
class Dice:
    """Feasible allocations and payments (rebates too) that are a random but fixed function of the report."""

    seed: int

    def run(self, market: Market) -> Outcome:
        rng = np.random.default_rng([self.seed, *(market.values.ravel() + 100).tolist()])
        agents = np.full(market.shape[0], -1)
        room = market.capacities.copy()
        for request in rng.permutation(market.shape[0]):
            agent = int(rng.integers(-1, market.shape[1]))
            if agent >= 0 and room[agent] > 0:
                agents[request] = agent
                room[agent] -= 1
        charges = rng.integers(-2, 4, market.shape[0])
        return Outcome(market, Allocation(agents), Payments(charges, rng.integers(-1, 2, market.shape[1])))


@dataclass(frozen=True)
class PerRequest:
    """VCG as if every request were a bidder of its own: right for single requests, wrong for owners of several."""

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        apart = Market(market.values, market.costs, market.capacities, market.feasible)
        return VCG().charge(apart, allocation, allocator)


@dataclass(frozen=True)
class Dictators:
    """Bidders take what they like best, in order, and pay what it costs."""

    def run(self, market: Market) -> Outcome:
        agents, room = np.full(market.shape[0], -1), market.capacities.copy()
        for request, weights in enumerate(market.weights):
            offered = np.where(room > 0, weights, 0)
            if offered.max() > 0:
                agents[request] = int(offered.argmax())
                room[agents[request]] -= 1
        return at_cost(market, agents)


@dataclass(frozen=True)
class Nobody:
    """Serves nobody, charges nothing."""

    def run(self, market: Market) -> Outcome:
        return at_cost(market, np.full(market.shape[0], -1))


@dataclass
class Forgetful:
    """Charges more every other time it is asked."""

    asked: int = field(default=0)

    def run(self, market: Market) -> Outcome:
        self.asked += 1
        outcome = EXACT.run(market)
        return Outcome(
            market, outcome.allocation, Payments(outcome.payments.charges + self.asked % 2, np.zeros(2, int))
        )


@dataclass(frozen=True)
class Parochial:
    """Pay-as-bid in the process where it was made, VCG everywhere else."""

    home: int = field(default_factory=os.getpid)

    def run(self, market: Market) -> Outcome:
        rule = PayAsBid() if os.getpid() == self.home else VCG()
        return Mechanism(MinCostFlow(), rule).run(market)


class SmallOnly:
    """Pay-as-bid that refuses any market but 2 x 1."""

    def run(self, market: Market) -> Outcome:
        if market.shape != (2, 1):
            raise NotImplementedError(f"made for 2 x 1, not {market.shape}")
        return Mechanism(MinCostFlow(), PayAsBid()).run(market)


class Overbooked:
    """Gives every request to agent 0."""

    def run(self, market: Market) -> Outcome:
        return at_cost(market, np.zeros(market.shape[0], int))


def at_cost(market: Market, agents: Money) -> Outcome:
    allocation = Allocation(agents)
    charges = np.where(allocation.served, market.costs[np.arange(agents.size), agents], 0)
    return Outcome(market, allocation, Payments(charges, serving_costs(market, allocation)))


@dataclass(frozen=True)
class Lots:
    """One to three random but fixed outcomes per market, any of which a tie-break might pick."""

    seed: int

    def run(self, market: Market) -> Outcome:
        return self.outcomes(market)[0]

    def outcomes(self, market: Market) -> tuple[Outcome, ...]:
        count = int(np.random.default_rng([self.seed, *(market.values.ravel() + 100).tolist()]).integers(1, 4))
        return tuple(Dice(self.seed + 1000 * number).run(market) for number in range(count))


LOTS = Lots(7)


@dataclass(frozen=True)
class Misordered:
    """VCG over an exact allocator that lists its outcomes backwards."""

    def run(self, market: Market) -> Outcome:
        return EXACT.run(market)

    def outcomes(self, market: Market) -> tuple[Outcome, ...]:
        return EXACT.outcomes(market)[::-1]


@dataclass
class Wavering:
    """Knows all ties every other time it is asked."""

    asked: int = field(default=0)

    def run(self, market: Market) -> Outcome:
        return EXACT.run(market)

    def outcomes(self, market: Market) -> tuple[Outcome, ...]:
        self.asked += 1
        return EXACT.outcomes(market)[: 1 + self.asked % 2]


@dataclass(frozen=True)
class Generous:
    """Optimal, and serves what is worth nothing rather than leave it."""

    exact: ClassVar[bool] = True

    def allocate(self, market: Market) -> Allocation:
        return max(optimal_allocations(market), key=lambda allocation: int(allocation.served.sum()))
