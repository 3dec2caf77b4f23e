"""VCG: each bidder pays what their presence costs the others.

With an optimal allocation a bidder with ONE request at agent j pays the pair's cost plus the minimal dual price of j
(Leonard 1983; Demange, Gale and Sotomayor 1986), so one shortest-path pass prices every such bidder. A bidder with
several requests is one player: all of them leave the market together, which per-request prices would get wrong.
"""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from allocation import UNSERVED, Allocation, Allocator, Market, MarketError, minimal_prices
from allocation.allocator import as_allocator
from allocation.exact.duals import Lowest, gains_without
from allocation.market import as_market
from allocation.money import Money, as_array, as_money
from mechanisms.outcome import Payments, asked, serving_costs


@dataclass(frozen=True, slots=True)
class VCG:
    """Clarke pivot payments (Vickrey 1961; Clarke 1971; Groves 1973); agents are paid their cost.

    Over an allocation with dual prices the payments are exact. Over an allocator that claims no optimality the same
    externality is computed by running that very allocator without each bidder, which is not truthful over `Greedy`.

    Example:
        >>> from allocation import MinCostFlow
        >>> from mechanisms import Mechanism
        >>> market = Market(values=[[9], [7], [4]], costs=[[1], [1], [1]], capacities=[2])
        >>> Mechanism(MinCostFlow(), VCG()).run(market).payments.charges.tolist()
        [4, 4, 0]
    """

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges (N,) and receipts (M,).

        Raises:
            CertificateError: the allocation carries prices but is not optimal.
        """
        asked(market, allocation)
        if allocation.prices is None:
            return _by_running_again(market, allocation, allocator)
        prices = minimal_prices(market, allocation)
        requests, first = market.shared
        gains = gains_without(market, allocation, requests, first)
        charge = _kernels().charge
        return Payments.of_fresh(*charge(market.costs, allocation.agents, prices, requests, first, gains))

    def charge_many(
        self, values: Money, template: Market, agents: NDArray[np.int64], prices: Money
    ) -> tuple[Money, Money]:
        """Charges (B, N) and receipts (B, M) for many optimal allocations, as in `BatchRule`.

        Raises:
            MarketError: arrays of other shapes or types, or agents that are not of the template.
        """
        values, agents, prices = _batch(values, as_market(template), agents, prices)
        requests, first = template.shared
        gains = np.zeros((agents.shape[0], first.size - 1), np.int64)
        for b in range(agents.shape[0] if first.size > 1 else 0):
            market = template.replace(values=values[b])
            gains[b] = gains_without(market, Lowest.of(market, agents[b], prices[b]), requests, first)
        charges, receipts = _kernels().charge_many(template.costs, agents, prices, requests, first, gains)
        return charges, receipts


def _batch(
    values: Money, template: Market, agents: NDArray[np.int64], prices: Money
) -> tuple[Money, NDArray[np.int64], Money]:
    n, m = template.shape
    amounts = as_money(values, name="values", ndim=3)
    count = amounts.shape[0]
    rows = []
    for name, given, shape in (("agents", agents, (count, n)), ("prices", prices, (count, m))):
        array = as_array(given, name)
        if array.shape != shape or (array.size and array.dtype.kind not in "iu"):
            raise MarketError(f"{name} has shape {array.shape} and type {array.dtype}; expected integers {shape}")
        rows.append(np.ascontiguousarray(array, np.int64))
    if amounts.shape[1:] != (n, m):
        raise MarketError(f"values has shape {amounts.shape}, expected (markets, {n}, {m}) like the template")
    # Machine code looks up what it is told.
    if rows[0].min(initial=UNSERVED) < UNSERVED or rows[0].max(initial=UNSERVED) >= m:
        raise MarketError(f"agents reach from {rows[0].min()} to {rows[0].max()}; expected 0..{m - 1} or {UNSERVED}")
    return amounts, rows[0], rows[1]


@cache
def _kernels() -> ModuleType:
    return import_module("mechanisms.rules.charge_kernels")


def _by_running_again(market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
    as_allocator(allocator)
    charges = market.take(market.costs, allocation)
    weights = market.take(market.weights, allocation)
    for bidder in market.players:
        rest, mine = market.without(bidder), market.requests_of(bidder)
        others = int(weights[market.bidders != bidder].sum())
        amount = rest.welfare(allocator.allocate(rest)) - others
        served = mine[allocation.served[mine]]
        bearers = served if served.size else mine[:1]
        charges[bearers] += amount // bearers.size
        charges[bearers[0]] += amount % bearers.size
    return Payments(charges, serving_costs(market, allocation))
