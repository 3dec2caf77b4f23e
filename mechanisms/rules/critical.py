"""Critical values for a monotone greedy (Lehmann, O'Callaghan and Shoham 2002), and Vickrey's auction with reserves.

Greedy by welfare `value - cost` is not monotone when costs differ: a higher bid can win an earlier and worse agent. So
the greedy here ranks by value and treats cost as a reserve: `ByValue`. Along a bidder's own ray (their reported row,
scaled) it is monotone, so the payment of Myerson (1981) and Archer and Tardos (2001) makes it truthful where types
*are* such rays: one number times a public row. Over free rows it is not, and an audit shows it.

Bidders with several requests are refused, since no payments would make the greedy truthful for them. Over free values
it breaks weak monotonicity, which every truthful rule has (Bikhchandani et al. 2006), as soon as costs differ or there
are two agents. Along a ray it is not monotone (Myerson 1981): at twice the scale one of their requests can push a rival
from one agent to another, where the rival takes what their other request had. With one agent and equal costs it
maximises welfare, and there `VCG` over an exact allocator serves the same requests.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import ClassVar

import numpy as np

from allocation import FORBIDDEN, UNSERVED, Allocation, Allocator, Market
from allocation.market import as_market
from allocation.ties import greedy_allocations
from mechanisms.errors import MechanismError
from mechanisms.outcome import Payments, serving_costs
from mechanisms.promises import Domain, Promises


@dataclass(frozen=True, slots=True)
class ByValue:
    """Takes pairs by falling value where the value exceeds the cost and the agent has free capacity.

    Ties go to the lower request, then the lower agent.
    """

    exact: ClassVar[bool] = False

    def allocate(self, market: Market) -> Allocation:
        """A feasible allocation without prices."""
        agents = np.full(as_market(market).shape[0], UNSERVED)
        for request, agent, _ in _taken(market):
            agents[request] = agent
        return Allocation(agents)

    def ties(self, market: Market) -> tuple[Allocation, ...]:
        """What every order among pairs of equal value leads to; the order of `allocate` first.

        Raises:
            TieError: there are too many to list.
        """
        as_market(market)
        return greedy_allocations(market, market.values, market.weights > 0)


@dataclass(frozen=True, slots=True)
class CriticalValue:
    """Each bidder pays the least scale of their own row at which they would still get as much, step by step.

    If agent j is open to the bidder from scale t_j of their row v on, a value of u or more takes the scale
    `t(u) = min of t_j over v_j >= u`, and they pay the integral of t from 0 to the value they got: with one agent, the
    critical value. Fractions are exact; the sum is rounded up, which keeps truth-telling dominant for integer values.
    Where costs differ between agents the payment can fall below the cost of the better one: no promise of no deficit.
    """

    promises: ClassVar[Promises] = {
        "truthful": Domain.ONE_AGENT,
        "individually-rational": Domain.EVERYWHERE,
        "agents-rational": Domain.EVERYWHERE,
        "no-deficit": Domain.EQUAL_COSTS,
        "efficient": Domain.ONE_AGENT_EQUAL_COSTS,
    }

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges (N,) and receipts (M,).

        Raises:
            MechanismError: another allocator than `ByValue`, a bidder with several requests, or a negative cost.
        """
        as_market(market).check(allocation)
        _demand_by_value(self, market, allocator)
        charges = np.zeros(market.shape[0], np.int64)
        for request in np.flatnonzero(allocation.served).tolist():
            charges[request] = self._price(market, request, int(allocation.agents[request]))
        return Payments(charges, serving_costs(market, allocation))

    def _price(self, market: Market, request: int, agent: int) -> int:
        values, costs = market.values[request].tolist(), market.costs[request].tolist()
        thresholds = _thresholds(market, request)
        got = values[agent]
        steps = [
            (values[j], Fraction(max(thresholds[j], costs[j]), values[j]))
            for j in np.flatnonzero(market.weights[request] != FORBIDDEN).tolist()
            if 0 < values[j] <= got and market.capacities[j] > 0
        ]
        price, below = Fraction(0), 0
        for level in sorted({value for value, _ in steps}):
            price += (level - below) * min(scale for value, scale in steps if value >= level)
            below = level
        return ceil(price)


@dataclass(frozen=True, slots=True)
class Vickrey:
    """Every agent sells its capacity at the highest losing value, its own cost being the reserve (Vickrey 1961).

    Needs requests that one agent alone may serve, and bidders with one request: then truth-telling is dominant.
    Efficient where all costs are alike; where they differ it ranks by value, and `VCG` ranks by welfare.
    """

    promises: ClassVar[Promises] = {
        "truthful": Domain.EVERYWHERE,
        "individually-rational": Domain.EVERYWHERE,
        "agents-rational": Domain.EVERYWHERE,
        "no-deficit": Domain.EVERYWHERE,
        "efficient": Domain.ONE_AGENT_EQUAL_COSTS,
    }

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges (N,) and receipts (M,).

        Raises:
            MechanismError: as `CriticalValue`, or two agents may serve one request.
        """
        as_market(market).check(allocation)
        _demand_by_value(self, market, allocator)
        choices = (market.weights != FORBIDDEN).sum(axis=1)
        if (choices > 1).any():
            row = int(choices.argmax())
            raise MechanismError(
                f"request {row} may go to {choices[row]} agents, and Vickrey sells each agent's capacity alone; "
                "use VCG, or forbid all but one agent"
            )
        eligible = (market.weights > 0) & ~allocation.served[:, None]
        losing = np.where(eligible, market.values, 0).max(axis=0, initial=0)
        reserves = market.take(market.costs, allocation)
        prices = np.where(allocation.served, np.maximum(reserves, losing[allocation.agents]), 0)
        return Payments(prices, serving_costs(market, allocation))


def _taken(market: Market, but: int = UNSERVED) -> list[tuple[int, int, int]]:
    """(request, agent, value) in the order in which `ByValue` takes pairs, request `but` being away."""
    m = market.shape[1]
    free, placed = market.capacities.tolist(), {but}
    taken = []
    for pair in np.argsort(-market.values.ravel(), kind="stable").tolist():
        request, agent = divmod(pair, m)
        if request not in placed and free[agent] > 0 and market.weights[request, agent] > 0:
            placed.add(request)
            free[agent] -= 1
            taken.append((request, agent, int(market.values[request, agent])))
    return taken


def _thresholds(market: Market, request: int) -> list[int]:
    """(M,) the value that took the last of each agent's capacity without the request; 0 where some is free."""
    thresholds, free = [0] * market.shape[1], market.capacities.tolist()
    for _, agent, value in _taken(market, request):
        free[agent] -= 1
        if free[agent] == 0:
            thresholds[agent] = value
    return thresholds


def _demand_by_value(rule: object, market: Market, allocator: Allocator) -> None:
    name = type(rule).__name__
    if not isinstance(allocator, ByValue):
        raise MechanismError(f"{name} prices what ByValue() allocates, not {type(allocator).__name__}; use VCG there")
    if len(market.players) < market.shape[0]:
        raise MechanismError(
            f"{name} prices single requests, and bidders {market.bidders.tolist()} have several, for whom no payments "
            "make a greedy by value truthful: it is not monotone; use VCG"
        )
    if (market.costs < 0).any():
        row, column = np.argwhere(market.costs < 0)[0].tolist()
        raise MechanismError(
            f"costs[{row}, {column}] = {market.costs[row, column]}; {name} needs reserves >= 0; use VCG"
        )
