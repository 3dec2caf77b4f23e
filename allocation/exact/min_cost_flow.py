"""`MinCostFlow`: our exact allocator, and the way it hands over what is too hard for it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from allocation.allocation import Agents, Allocation
from allocation.errors import MarketError
from allocation.exact.duals import Lowest, lowest, minimal_prices
from allocation.kernels.compile.loading import kernels
from allocation.market import FORBIDDEN, MAX_PRICE, Market, as_market
from allocation.money import MAX_AMOUNT, Money, as_array, as_money

#: (N,) 0 for unserved and k + 1 for agent k.
Nodes = NDArray[np.int64]

#: Up to this many pairs a market is solved from zero prices, without sampling.
TINY = 512

#: The same for up to this many requests if agents are no fewer: a table of all pairs of agents would cost more.
FEW = 200

#: With more agents than this a search does not fit in its words; OR-tools takes such markets.
MAX_AGENTS = 2**13


@dataclass(frozen=True, slots=True)
class MinCostFlow:
    """Welfare-maximising allocation as a minimum-cost flow on M + 1 nodes, with the lowest dual prices.

    A request with several best offers goes to the agent with most free capacity, the first among equals; one whose best
    pair has no welfare stays unserved. A market that turns out much harder than its size suggests is handed over to
    OR-tools, which is decided by counting work, never by a clock: the same market always gives the same allocation.

    Source: Ahuja, Magnanti and Orlin, Network Flows (1993), chapter 9; Jonker and Volgenant (1987).
    """

    exact: ClassVar[bool] = True

    def allocate(self, market: Market) -> Allocation:
        """An optimal allocation with the lowest supporting prices."""
        return _solve(as_market(market), None)

    def allocate_from(self, market: Market, prices: Money) -> Allocation:
        """The same from the prices (M,) of an earlier, similar market: faster where they still fit.

        Example:
            >>> from allocation import Market, MinCostFlow
            >>> before = MinCostFlow().allocate(Market([[5], [9], [7]], [[0], [0], [0]], [1]))
            >>> MinCostFlow().allocate_from(Market([[6], [9], [8]], [[0], [0], [0]], [1]), before.prices)
            Allocation([-1, 0, -1], prices=[8])

        Raises:
            MarketError: the prices have the wrong shape or lie outside [0, MAX_PRICE).
        """
        as_market(market)
        start = as_array(prices, "prices")
        if start.shape != (market.shape[1],) or start.dtype.kind not in "iu":
            raise MarketError(
                f"prices of shape {start.shape} and type {start.dtype}; expected ({market.shape[1]},) integers"
            )
        if start.size and (start.min() < 0 or start.max() >= MAX_PRICE):
            raise MarketError(f"prices reach from {start.min()} to {start.max()}, outside [0, {MAX_PRICE})")
        return _solve(market, np.minimum(start, 2 * MAX_AMOUNT).astype(np.int64))

    def allocate_many(self, values: Money, template: Market) -> tuple[Agents, Money]:
        """What `allocate` does with each of the markets `template.replace(values=values[b])`, in one call.

        Args:
            values: (B, N, M) micro-units.
            template: costs, capacities and feasible pairs that all of them share; its values are not read.

        Returns:
            agents (B, N), `UNSERVED` included, and the lowest supporting prices (B, M).

        Raises:
            MarketError: values do not fit the template, or an entry is no amount of money.
        """
        amounts = as_money(values, name="values", ndim=3)
        n, m = as_market(template).shape
        if amounts.shape[1:] != (n, m):
            raise MarketError(f"values has shape {amounts.shape}, expected (markets, {n}, {m}) like the template")
        agents, prices = np.empty((amounts.shape[0], n), np.int64), np.empty((amounts.shape[0], m + 1), np.int64)
        if n * m > TINY:
            for b in range(amounts.shape[0]):
                market = template.replace(values=amounts[b])
                found = self.allocate(market)
                agents[b], prices[b, 1:] = found.agents, minimal_prices(market, found)
        elif amounts.shape[0]:
            weights = amounts - template.costs
            if template.feasible is not None:
                weights[:, ~template.feasible] = FORBIDDEN
            kernels("paths.tiny").solve_many(weights, np.minimum(template.capacities, n), agents, prices)
            agents -= 1
        return agents, prices[:, 1:]


def _solve(market: Market, start: Money | None) -> Allocation:
    capacities = np.minimum(market.capacities, market.shape[0])
    found = _among_open(market.weights, capacities, start)
    return _hand_over(market) if found is None else Lowest.of(market, found[0] - 1, found[1])


def _among_open(weights: Money, capacities: Money, start: Money | None) -> tuple[Nodes, Money] | None:
    """The optimum among agents with capacity, and the lowest prices; without capacity, what deters all requests."""
    open_ = capacities > 0
    if open_.all():
        return _optimum(weights, capacities, start)
    # An index of booleans along the second axis would take ten times as long, and lie in memory the wrong way.
    some = weights.compress(open_, axis=1)
    found = _optimum(some, capacities[open_], None if start is None else start[open_])
    if found is None:
        return None
    nodes, prices = found
    served = nodes > 0
    gains = np.where(served, some[np.arange(nodes.size), nodes - 1] - prices[nodes - 1], 0) if some.size else nodes
    paid = kernels("pairs.offers").deterring(weights, gains)
    paid[open_] = prices
    return np.concatenate(([0], np.flatnonzero(open_) + 1))[nodes], paid


def _optimum(weights: Money, capacities: Money, start: Money | None) -> tuple[Nodes, Money] | None:
    n, m = weights.shape
    if n * m <= TINY or n <= min(FEW, m):
        nodes: Nodes = np.empty((1, n), np.int64)
        prices: Money = np.empty((1, m + 1), np.int64)
        kernels("paths.tiny").solve_many(weights[None], capacities, nodes, prices)
        return nodes[0], prices[0, 1:]
    if m > MAX_AGENTS:
        return None
    found: Nodes | None = kernels("cascade").optimum(weights, capacities, start)
    return None if found is None else (found, lowest(weights, found, capacities)[0])


def _hand_over(market: Market) -> Allocation:
    from allocation.exact.networks import OrTools

    return OrTools().allocate(market)
