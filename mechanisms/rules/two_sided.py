"""Rules for markets in which agents are players too: their receipts depend on the costs and capacities they report.

No rule is truthful on both sides, efficient, rational for all and free of deficits (Myerson and Satterthwaite 1983).
Each of these gives up something else:

| rule | gives up |
|---|---|
| `TwoSidedVCG` | the budget: the auctioneer subsidises trade |
| `ProcurementVCG` | truthfulness of bidders, who pay their bids |
| `TradeReduction` | the least valuable trade, and every market that is not of one good |
| `ExpectedExternality` | dominant strategies and rationality, for averages over a prior |
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, cast

import numpy as np

from allocation import UNSERVED, Allocation, Allocator, Market, MinCostFlow
from allocation.allocator import as_allocator
from allocation.market import as_market
from allocation.money import Money
from mechanisms.errors import MechanismError
from mechanisms.outcome import Outcome, Payments, asked, serving_costs
from mechanisms.prior import Prior, State, state_of
from mechanisms.promises import Domain, Promises
from mechanisms.rules.vcg import VCG


@dataclass(frozen=True, slots=True)
class TwoSidedVCG:
    """Bidders pay, and agents are paid, by their externalities (Clarke 1971); agents may misstate costs and capacity.

    An agent receives its cost plus the welfare that would be missing without it. The auctioneer runs a deficit whenever
    a trade has welfare and nobody competes: one bidder, one agent, value 1, cost 0. The allocator must be exact.

    Example:
        >>> from mechanisms import Mechanism
        >>> outcome = Mechanism(MinCostFlow(), TwoSidedVCG()).run(Market([[1]], [[0]], [1]))
        >>> outcome.payments.charges.tolist(), outcome.payments.receipts.tolist(), outcome.surplus
        ([0], [1], -1)
    """

    promises: ClassVar[Promises] = dict.fromkeys(
        ("truthful", "individually-rational", "efficient", "truthful-agents", "truthful-both", "agents-rational"),
        Domain.EVERYWHERE,
    )

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges (N,) and receipts (M,)."""
        asked(market, allocation)
        charges = VCG().charge(market, allocation, allocator).charges
        return Payments(charges, _clarke_receipts(market, allocation, allocator))


@dataclass(frozen=True, slots=True)
class ProcurementVCG:
    """Agents are paid by their externalities, bidders pay what they report: for bidders known to be honest.

    Agents are substitutes for each other in an assignment market (Shapley 1962), so their contributions add up to no
    more than the welfare, and bids cover all receipts. The allocator must be exact.
    """

    promises: ClassVar[Promises] = dict.fromkeys(
        ("individually-rational", "no-deficit", "efficient", "truthful-agents", "agents-rational"), Domain.EVERYWHERE
    )

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges (N,) and receipts (M,)."""
        asked(market, allocation)
        receipts = _clarke_receipts(market, allocation, allocator)
        return Payments(market.take(market.values, allocation), receipts)


@dataclass(frozen=True, slots=True)
class TradeReduction:
    """The double auction of McAfee (1992): all efficient trades at one price, or all but the least valuable.

    For one good alone: each bidder has one request, of the same value at every agent; each agent has capacity 1 or 0,
    at the same cost for every request. Values and costs of pairs make another good of every pair, and then a bid moves
    not only whether its bidder trades but who else trades with whom, so that dropping the last trade no longer makes
    prices independent of those who pay them; such markets are refused. Where the price between the first excluded
    bidder and agent falls between two micro-units, bidders pay the upper, agents get the lower, and the auctioneer
    keeps the micro-unit.
    """

    promises: ClassVar[Promises] = dict.fromkeys(
        (
            "truthful",
            "individually-rational",
            "no-deficit",
            "truthful-agents",
            "truthful-both",
            "agents-rational",
        ),
        Domain.EVERYWHERE,
    )

    def run(self, market: Market) -> Outcome:
        """Allocate and charge.

        Raises:
            MechanismError: the market is not of one good; the message says where.
        """
        values, costs = _one_good(as_market(market))
        n, m = market.shape
        buyers = np.argsort(-values, kind="stable")
        sellers = [int(agent) for agent in np.argsort(costs, kind="stable") if market.capacities[agent]]
        efficient = sum(values[i] > costs[j] for i, j in zip(buyers.tolist(), sellers, strict=False))
        agents, charges, receipts = np.full(n, UNSERVED), np.zeros(n, np.int64), np.zeros(m, np.int64)
        trades, charge, receipt = _terms(values[buyers], costs[sellers], int(efficient))
        agents[buyers[:trades]] = sellers[:trades]
        charges[buyers[:trades]] = charge
        receipts[sellers[:trades]] = receipt
        return Outcome(market, Allocation(agents), Payments(charges, receipts))


@dataclass(frozen=True, slots=True)
class ExpectedExternality:
    """Everybody receives what the others are expected to gain (d'Aspremont and Gerard-Varet 1979; Arrow 1979).

    The expectation is over the prior, given one's own report; what one player receives, the others pay in equal parts,
    odd micro-units by the first of them. Charges equal receipts to the micro-unit and honesty is best on average, if
    others are honest; a player may lose. Every bidder and every agent is a player.

    Args:
        prior: independent types; states of the markets that are run.
        allocator: must be exact.

    Raises:
        MechanismError: types are correlated, so that a player's own type says something about the others'.
    """

    prior: Prior
    allocator: Allocator = field(default_factory=MinCostFlow)
    promises: ClassVar[Promises] = dict.fromkeys(("efficient", "balanced", "bayesian-truthful"), Domain.EVERYWHERE)

    def __post_init__(self) -> None:
        if not isinstance(self.prior, Prior):
            raise MechanismError(f"{self.prior!r} is no Prior; write Prior.over(markets)")
        as_allocator(self.allocator)

    def run(self, market: Market) -> Outcome:
        """Allocate and charge.

        Raises:
            MechanismError: the market has not the prior's shape; or an expectation is no whole number of micro-units,
                and the message says by what to multiply all amounts.
        """
        if as_market(market).shape != self.prior.shape:
            raise MechanismError(f"the prior is about markets of shape {self.prior.shape}, this one has {market.shape}")
        n, m = market.shape
        players = len(market.players) + m
        public = (tuple(market.bidders.tolist()), None if market.feasible is None else market.feasible.tobytes())
        _independent(self.prior, public[0])
        allocation = self.allocator.allocate(market)
        market.check(allocation)
        transfers = np.zeros(players, np.int64)
        for player in range(players):
            own = _type(state_of(market), public[0], player)
            due = _expected(self.prior, cast("Hashable", self.allocator), *public, player, own)
            payers = [other for other in range(players) if other != player]
            if not payers:
                continue
            shares = np.full(len(payers), due // len(payers))
            shares[: due % len(payers)] += 1
            transfers[player] += due
            transfers[payers] -= shares
        charges = np.zeros(n, np.int64)
        for place, bidder in enumerate(market.players):
            charges[market.requests_of(bidder)[0]] = -transfers[place]
        return Outcome(market, allocation, Payments(charges, transfers[players - m :]))


def _clarke_receipts(market: Market, allocation: Allocation, allocator: Allocator) -> Money:
    as_allocator(allocator)
    receipts = serving_costs(market, allocation)
    welfare = market.welfare(allocation)
    for agent in np.flatnonzero(market.loads(allocation)).tolist():
        rest = market.without_agent(agent)
        receipts[agent] += welfare - rest.welfare(allocator.allocate(rest))
    return receipts


def _one_good(market: Market) -> tuple[Money, Money]:
    """(N,) the value of each bidder, (M,) the cost of each agent."""
    uneven = (market.values != market.values[:, :1]).any(axis=1)
    if uneven.any():
        row = int(uneven.argmax())
        why = f"request {row} values agents differently, {market.values[row].tolist()}"
    elif (market.costs != market.costs[:1]).any():
        column = int((market.costs != market.costs[:1]).any(axis=0).argmax())
        why = f"agent {column} has costs that differ between requests, {market.costs[:, column].tolist()}"
    elif len(market.players) < market.shape[0]:
        why = f"a bidder has several requests, {market.bidders.tolist()}"
    elif market.capacities.max() > 1:
        why = f"an agent has a capacity above 1, {market.capacities.tolist()}"
    elif market.feasible is not None and not market.feasible.all():
        why = "some pairs are forbidden"
    else:
        costs = market.costs[0] if market.shape[0] else np.zeros(market.shape[1], np.int64)
        return market.values[:, 0], costs
    raise MechanismError(f"trade reduction is for one good, and here {why}; use TwoSidedVCG(), or ExpectedExternality")


def _terms(values: Money, costs: Money, efficient: int) -> tuple[int, int, int]:
    """(trades, charge of a bidder, receipt of an agent), from sorted values and costs."""
    if efficient < min(values.size, costs.size):
        twice = int(values[efficient] + costs[efficient])
        charge, receipt = -(-twice // 2), twice // 2
        if efficient and receipt >= costs[efficient - 1] and charge <= values[efficient - 1]:
            return efficient, charge, receipt
    if efficient == 0:
        return 0, 0, 0
    return efficient - 1, int(values[efficient - 1]), int(costs[efficient - 1])


#: A bidder's rows of values; or an agent's costs as one row, with its capacity as another.
_Own = tuple[tuple[int, ...], ...]


def _type(state: State, bidders: tuple[int, ...], player: int) -> _Own:
    """A bidder's type, or, numbered after the bidders, an agent's."""
    values, costs, capacities = state
    players = tuple(dict.fromkeys(bidders))
    if player < len(players):
        return tuple(row for row, bidder in zip(values, bidders, strict=True) if bidder == players[player])
    agent = player - len(players)
    return tuple(row[agent] for row in costs), (capacities[agent],)


def _with_type(state: State, bidders: tuple[int, ...], player: int, own: _Own) -> State:
    """The state in which the player has this type."""
    values, costs, capacities = state
    players = tuple(dict.fromkeys(bidders))
    if player < len(players):
        mine = iter(own)
        rows = (next(mine) if bidder == players[player] else row for row, bidder in zip(values, bidders, strict=True))
        return tuple(rows), costs, capacities
    agent, (column, capacity) = player - len(players), own
    moved = tuple((*row[:agent], cost, *row[agent + 1 :]) for row, cost in zip(costs, column, strict=True))
    return values, moved, (*capacities[:agent], *capacity, *capacities[agent + 1 :])


@lru_cache(maxsize=256)
def _independent(prior: Prior, bidders: tuple[int, ...]) -> None:
    """Raise `MechanismError` unless every weight is the product of its players' marginals."""
    players = range(len(set(bidders)) + len(prior.states[0][2]))
    shares: list[dict[_Own, int]] = [{} for _ in players]
    for state, weight in zip(prior.states, prior.weights, strict=True):
        for player in players:
            own = _type(state, bidders, player)
            shares[player][own] = shares[player].get(own, 0) + weight
    if math.prod(map(len, shares)) == len(prior.states) and all(
        weight * prior.total ** (len(players) - 1)
        == math.prod(shares[player][_type(state, bidders, player)] for player in players)
        for state, weight in zip(prior.states, prior.weights, strict=True)
    ):
        return
    raise MechanismError(
        "the prior's types are correlated; expected externalities need types that are independent between players"
    )


@lru_cache(maxsize=65_536)
def _expected(
    prior: Prior, allocator: Any, bidders: tuple[int, ...], feasible: bytes | None, player: int, own: _Own
) -> int:
    """What the others are expected to have, services minus costs, when this player reports `own`."""
    welfare = 0
    for state, weight in zip(prior.states, prior.weights, strict=True):
        values, costs, capacities = _with_type(state, bidders, player, own)
        shape = len(values), len(capacities)
        mask = None if feasible is None else np.frombuffer(feasible, np.bool_).reshape(shape)
        value_rows, cost_rows = (np.array(matrix, np.int64).reshape(shape) for matrix in (values, costs))
        market = Market(value_rows, cost_rows, capacities, mask, bidders)
        welfare += weight * _others(market, allocator.allocate(market), player)
    due, rest = divmod(welfare, prior.total)
    if rest:
        factor = prior.total // math.gcd(prior.total, rest)
        raise MechanismError(
            f"an expected externality is {welfare}/{prior.total} micro-units; multiply all amounts by {factor}"
        )
    return due


def _others(market: Market, allocation: Allocation, player: int) -> int:
    welfare = int(market.take(market.weights, allocation).sum())
    if player < len(market.players):
        mine = market.requests_of(market.players[player])
        return welfare - int(market.take(market.values, allocation)[mine].sum())
    return welfare + int(serving_costs(market, allocation)[player - len(market.players)])
