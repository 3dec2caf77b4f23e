"""Two ways to price an agent's capacity: the next bid (`SecondPrice`), or one price per agent (`ClearingPrice`)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocation import FORBIDDEN, Allocation, Allocator, Market, minimal_prices
from allocation.money import Money
from mechanisms.errors import MechanismError
from mechanisms.outcome import Payments, asked, serving_costs
from mechanisms.promises import Domain, Promises

#: Longer than any path of weights, and half of it still is.
_FAR = 2**60

ENDS = ("lowest", "highest")


@dataclass(frozen=True, slots=True)
class SecondPrice:
    """Generalised second price (Edelman, Ostrovsky and Schwarz 2007) for capacity at agents.

    Each agent is an auction of its own among the requests that it serves and those that nobody serves, ranked by
    their welfare there. A served request pays its cost plus the welfare of the next in rank that belongs to another
    bidder, or its cost alone where no such bid is positive. Units of an agent's capacity are alike, so a bidder gains
    by sinking to the last of them, whose price is lowest: the rule is not truthful even with one agent.

    Example:
        >>> from allocation import MinCostFlow
        >>> from mechanisms import Mechanism
        >>> market = Market(values=[[9], [7], [4]], costs=[[1], [1], [1]], capacities=[2])
        >>> Mechanism(MinCostFlow(), SecondPrice()).run(market).payments.charges.tolist()
        [7, 4, 0]
    """

    promises: ClassVar[Promises] = {
        "individually-rational": Domain.EVERYWHERE,
        "agents-rational": Domain.EVERYWHERE,
        "no-deficit": Domain.EVERYWHERE,
        "efficient": Domain.EVERYWHERE,
    }

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges (N,) and receipts (M,)."""
        asked(market, allocation)
        charges = market.take(market.costs, allocation)
        for request in np.flatnonzero(allocation.served):
            agent = allocation.agents[request]
            bids = market.weights[:, agent]
            rivals = (market.bidders != market.bidders[request]) & np.isin(allocation.agents, (agent, -1))
            earlier = np.arange(bids.size) < request
            below = rivals & ((bids < bids[request]) | ((bids == bids[request]) & ~earlier))
            charges[request] += max(0, int(bids[below].max(initial=0)))
        return Payments(charges, serving_costs(market, allocation))


@dataclass(frozen=True, slots=True)
class ClearingPrice:
    """One price per agent at which nobody prefers another agent to their own: a competitive equilibrium.

    Clearing prices form a lattice (Shapley and Shubik 1971). The lowest are the VCG payments of bidders with one
    request (Leonard 1983; Demange, Gale and Sotomayor 1986), hence truthful for them; a bidder with several requests
    moves the price of all of them. The highest are best for the auctioneer and truthful for nobody.

    Args:
        end: `lowest` or `highest`.

    Raises:
        MechanismError: `end` is neither.

    Example:
        >>> from allocation import MinCostFlow
        >>> from mechanisms import Mechanism
        >>> market = Market(values=[[9], [7], [4]], costs=[[1], [1], [1]], capacities=[2])
        >>> [Mechanism(MinCostFlow(), ClearingPrice(end)).run(market).payments.charges.tolist() for end in ENDS]
        [[4, 4, 0], [7, 7, 0]]
    """

    end: str = "lowest"
    promises: ClassVar[Promises] = {
        "truthful": Domain.SINGLE_REQUEST,
        "individually-rational": Domain.EVERYWHERE,
        "agents-rational": Domain.EVERYWHERE,
        "no-deficit": Domain.EVERYWHERE,
        "efficient": Domain.EVERYWHERE,
    }

    def __post_init__(self) -> None:
        if self.end not in ENDS:
            raise MechanismError(f"end = {self.end!r}; expected one of {', '.join(ENDS)}")

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges (N,) and receipts (M,).

        Raises:
            MechanismError: the allocation carries no prices, so that no price need clear.
            CertificateError: it carries prices but is not optimal.
        """
        asked(market, allocation)
        if allocation.prices is None:
            raise MechanismError(
                f"{type(allocator).__name__} proves no optimality, and only an optimal allocation has clearing prices; "
                "take an exact allocator"
            )
        lowest = self.end == "lowest"
        prices = minimal_prices(market, allocation) if lowest else maximal_prices(market, allocation)
        added = np.where(allocation.served, prices[allocation.agents], 0)
        return Payments(market.take(market.costs, allocation) + added, serving_costs(market, allocation))


@dataclass(frozen=True, slots=True)
class HighestClearingPrice:
    """`ClearingPrice("highest")` under a name of its own, with what is left of its promises."""

    promises: ClassVar[Promises] = SecondPrice.promises

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges (N,) and receipts (M,); raises as `ClearingPrice` does."""
        return ClearingPrice("highest").charge(market, allocation, allocator)


def maximal_prices(market: Market, allocation: Allocation) -> Money:
    """(M,) the highest prices that support an optimal allocation, in micro-units.

    Supporting prices q satisfy `q_j <= q_k + (w_ij - w_ik)` for i at j, `q_j <= w_ij`, and `q_j = 0` where j has
    free capacity: difference constraints, whose greatest solution is a shortest-path tree from "unserved" (Bellman
    1958). An agent without capacity shows a price that nobody would pay.

    Raises:
        CertificateError: the allocation is not optimal or not feasible.
    """
    # Asked for its proof alone: what follows would not notice an allocation that no price supports.
    minimal_prices(market, allocation)
    m = market.shape[1]
    loads = market.loads(allocation)
    prices = np.full(m, _FAR)
    prices[loads < market.capacities] = 0
    lengths = np.full((m, m), _FAR)
    for agent in np.flatnonzero(loads):
        rows = market.weights[allocation.agents == agent]
        moved = np.where(rows == FORBIDDEN, _FAR, rows[:, [agent]] - rows)
        lengths[:, agent] = moved.min(axis=0)
        prices[agent] = min(int(prices[agent]), int(rows[:, agent].min()))
    for _ in range(m):
        prices = np.minimum(prices, np.minimum(prices[:, None] + lengths, _FAR).min(axis=0))
    prices[market.capacities == 0] = max(0, int(market.weights.max(initial=0)))
    return prices
