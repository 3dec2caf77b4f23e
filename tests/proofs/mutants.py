"""Our own rules and allocators with one fault each, as people make them; `MUTANTS` names the fault and where it shows.

They live in a module of their own so that a fresh process can unpickle them. Each is tried beside its original, the
unmutated thing, on the same scope.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from allocation import FORBIDDEN, UNSERVED, Allocation, Allocator, Market, MinCostFlow, minimal_prices
from allocation.money import Money
from mechanisms import (
    VCG,
    ExpectedExternality,
    FirstCome,
    Mechanism,
    Outcome,
    PaymentRule,
    Payments,
    serving_costs,
)
from mechanisms.rules.critical import ByValue, CriticalValue
from mechanisms.rules.pricing import ClearingPrice
from mechanisms.rules.sharing import RandomPriority
from mechanisms.rules.two_sided import _one_good
from mechanisms.settlement import Execution, OnMeasurement

EXACT = Mechanism(MinCostFlow(), VCG())


@dataclass(frozen=True)
class Spoiled:
    """The charges of an exact rule, spoiled in one way."""

    how: str
    rule: PaymentRule = field(default_factory=VCG)

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        right = self.rule.charge(market, allocation, allocator)
        served = allocation.served.astype(np.int64)
        costs = market.take(market.costs, allocation)
        beyond, receipts = right.charges - costs, right.receipts
        lowest = minimal_prices(market, allocation)
        match self.how:
            case "half the Clarke term":
                charges = costs + beyond // 2
            case "wrong sign":
                charges = costs - beyond
            case "missing cost":
                charges = beyond
            case "cost counted twice":
                charges = right.charges + costs
            case "receipts without cost":
                charges, receipts = right.charges, np.zeros_like(receipts)
            case "charging the unserved":
                charges = right.charges + (1 - served) * int(lowest.min())
            case "price of the next agent":
                charges = costs + served * np.roll(lowest, -1)[allocation.agents]
            case "price before the last bidder came":
                rest = market.without(market.players[-1])
                stale = minimal_prices(rest, allocator.allocate(rest))
                charges = costs + served * stale[allocation.agents]
            case "one micro-unit less":
                charges = right.charges - served
            case "one price for all, the highest":
                charges = costs + served * int((served * beyond).max(initial=0))
            case "between the lowest and the highest clearing price":
                top = ClearingPrice("highest").charge(market, allocation, allocator).charges
                charges = (right.charges + top) // 2
            case _:
                raise AssertionError(self.how)
        return Payments(charges, receipts)


@dataclass
class Remembering:
    """Charges by the prices of the round before: stale prices, literally."""

    last: Money | None = None

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        prices = minimal_prices(market, allocation)
        used, self.last = prices if self.last is None else self.last, prices
        charges = market.take(market.costs, allocation) + np.where(allocation.served, used[allocation.agents], 0)
        return Payments(charges, serving_costs(market, allocation))


@dataclass(frozen=True)
class Misread:
    """An exact allocator that misreads the market in one way; it shows no prices, since they prove another market."""

    how: str
    exact: ClassVar[bool] = False

    def allocate(self, market: Market) -> Allocation:
        values, costs, room, feasible = market.values, market.costs, market.capacities, market.feasible
        match self.how:
            case "capacity plus one":
                room = room + 1
            case "capacity minus one":
                room = np.maximum(room - 1, 0)
            case "no costs":
                costs = np.zeros_like(costs)
            case "costs added":
                costs = -costs
            case "forbidden pairs allowed":
                feasible = None
            case "last agent forgotten":
                room = np.append(room[:-1], 0)
            case "first request forgotten":
                values = np.concatenate([np.minimum(values[:1], costs[:1]), values[1:]])
            case "agents by index, not by worth":
                values = values + 10 * np.arange(market.shape[1], 0, -1) * (values > costs)
            case _:
                raise AssertionError(self.how)
        return Allocation(MinCostFlow().allocate(Market(values, costs, room, feasible, market.bidders)).agents)


@dataclass(frozen=True)
class ByWelfare(ByValue):
    """Ranks by value minus cost, which is not monotone where costs differ."""

    def allocate(self, market: Market) -> Allocation:
        return ByValue().allocate(market.replace(values=market.weights, costs=np.zeros_like(market.costs)))


@dataclass(frozen=True)
class VickreyWrong:
    """`Vickrey`, with its losing bids read wrongly."""

    how: str

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        costs, served = market.take(market.costs, allocation), allocation.served
        prices = np.zeros(market.shape[0], np.int64)
        for request in np.flatnonzero(served):
            agent = allocation.agents[request]
            bids = market.values[:, agent]
            losing = ~served & (market.weights[:, agent] != FORBIDDEN)
            if self.how == "ties":
                losing &= bids < bids[request]
            elif self.how == "forbidden":
                losing = ~served
            elif self.how == "winners":
                losing = np.arange(bids.size) != request
            floor = 0 if self.how == "reserve" else costs[request]
            prices[request] = max(int(floor), int(bids[losing].max(initial=0)))
        return Payments(prices, serving_costs(market, allocation))


@dataclass(frozen=True)
class CriticalShifted:
    """Critical values off by some micro-units."""

    ticks: int

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        right = CriticalValue().charge(market, allocation, allocator)
        return Payments(right.charges + self.ticks * allocation.served, right.receipts)


class SecondPriceOneSlotUp:
    """Each pays the bid one place above their own, not one below."""

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        charges = market.take(market.costs, allocation)
        for request in np.flatnonzero(allocation.served):
            agent = allocation.agents[request]
            bids = market.weights[np.isin(allocation.agents, (agent, UNSERVED)), agent]
            mine = market.weights[request, agent]
            charges[request] += int(bids[bids > mine].min(initial=mine))
        charges[market.take(market.weights, allocation) == market.weights.max(initial=0)] += 1
        return Payments(charges, serving_costs(market, allocation))


@dataclass(frozen=True)
class Rebates:
    """`Redistribution`, with a rebate that is too large, or that counts the receiver's own bid."""

    own_bid: bool

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        exact = VCG().charge(market, allocation, allocator)
        charges, players = exact.charges.copy(), market.players
        for bidder in players:
            rest = market.without(bidder)
            left = VCG().charge(rest, allocator.allocate(rest), allocator).surplus
            rebate = exact.surplus // len(players) if self.own_bid else left
            charges[market.requests_of(bidder)[0]] -= rebate
        return Payments(charges, exact.receipts)


@dataclass(frozen=True)
class AffineWrong:
    """`AffineMaximizer` with weights (2, 1, 1, ...) or a boost on agent 0, wrong on the way back to charges."""

    how: str

    def run(self, market: Market) -> Outcome:
        scales = np.where(market.bidders == 0, 1 if self.how == "boost" else 2, 1)
        boosts = np.where(np.arange(market.shape[1]) == 0, -1 if self.how == "boost" else 0, 0)
        values, costs = market.values * scales[:, None], market.costs * scales[:, None]
        seen = Market(values, costs - boosts, market.capacities, market.feasible, market.bidders)
        allocation = MinCostFlow().allocate(seen)
        there = VCG().charge(seen, allocation, MinCostFlow()).charges
        beyond = there - seen.take(costs, allocation)
        beyond += 2 * seen.take(np.tile(boosts, (values.shape[0], 1)), allocation)
        charges = market.take(market.costs, allocation) + beyond
        return Outcome(market, Allocation(allocation.agents), Payments(charges, serving_costs(market, allocation)))


@dataclass(frozen=True)
class PriceByReports:
    """A posted price that somebody's report moves: half the least positive value reported."""

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        positive = market.values[market.values > 0]
        markup = int(positive.min(initial=4)) // 2
        gains = np.minimum(markup, market.take(market.weights, allocation))
        return Payments(market.take(market.costs, allocation) + gains, serving_costs(market, allocation))


@dataclass(frozen=True)
class HighestFirst:
    """`FirstCome`, with the queue ordered by reports: whoever says more chooses first."""

    exact: ClassVar[bool] = False

    def allocate(self, market: Market) -> Allocation:
        order = np.argsort(-market.values.max(axis=1), kind="stable")
        agents = np.empty(market.shape[0], np.int64)
        agents[order] = FirstCome().allocate(market.requests(order)).agents
        return Allocation(agents)


@dataclass(frozen=True)
class SeededByReports:
    """`RandomPriority`, with a seed that reports can move."""

    exact: ClassVar[bool] = False

    def allocate(self, market: Market) -> Allocation:
        return RandomPriority(int(np.abs(market.values).sum())).allocate(market)


class SharesRoundedDown:
    """`ProportionalShare`, rounded in the bidders' favour."""

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        receipts = serving_costs(market, allocation)
        values = market.take(market.values, allocation)
        return Payments(values * int(receipts.sum()) // max(1, int(values.sum())), receipts)


@dataclass(frozen=True)
class AgentsWrong:
    """`TwoSidedVCG`, with the agents' receipts wrong."""

    how: str

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        charges = VCG().charge(market, allocation, allocator).charges
        receipts = serving_costs(market, allocation)
        welfare = market.welfare(allocation)
        for agent in np.flatnonzero(market.loads(allocation)).tolist():
            if self.how == "paid what they ask":
                continue
            capacities = market.capacities.copy()
            capacities[agent] -= 1 if self.how == "one slot fewer in place of none" else capacities[agent]
            rest = market.replace(capacities=capacities)
            term = welfare - rest.welfare(allocator.allocate(rest))
            receipts[agent] = term if self.how == "cost not returned" else receipts[agent] + term
            if self.how == "own cost in the Clarke term":
                receipts[agent] += int(market.costs[:, agent].max())
        return Payments(charges, receipts)


class NothingReduced:
    """`TradeReduction` that keeps the last trade, and its prices."""

    def run(self, market: Market) -> Outcome:
        values, costs = _one_good(market)
        n, m = market.shape
        buyers, sellers = np.argsort(-values, kind="stable"), np.argsort(costs, kind="stable")
        trades = int((values[buyers][: min(n, m)] > costs[sellers][: min(n, m)]).sum())
        agents, charges, receipts = np.full(n, UNSERVED), np.zeros(n, np.int64), np.zeros(m, np.int64)
        if trades:
            agents[buyers[:trades]] = sellers[:trades]
            charges[buyers[:trades]] = values[buyers[trades - 1]]
            receipts[sellers[:trades]] = costs[sellers[trades - 1]]
        return Outcome(market, Allocation(agents), Payments(charges, receipts))


@dataclass(frozen=True)
class ShareOff:
    """`ExpectedExternality` in which the first bidder's share is forgotten."""

    inner: ExpectedExternality

    def run(self, market: Market) -> Outcome:
        outcome = self.inner.run(market)
        charges = outcome.payments.charges.copy()
        charges[0] = 0
        return Outcome(market, outcome.allocation, Payments(charges, outcome.payments.receipts))


@dataclass(frozen=True)
class PaysTwice:
    """`OnMeasurement` that pays agents the correction twice."""

    def settle(self, outcome: Outcome, execution: Execution) -> Payments:
        right = OnMeasurement().settle(outcome, execution)
        return Payments(right.charges, 2 * right.receipts - outcome.payments.receipts)
