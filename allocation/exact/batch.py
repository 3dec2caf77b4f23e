"""Many small markets in one call: an auditor enumerates millions, and a call each would cost more than the solving."""

import numpy as np

from allocation.errors import MarketError
from allocation.exact.duals import minimal_prices
from allocation.exact.min_cost_flow import TINY, MinCostFlow
from allocation.kernels.compile.loading import kernels
from allocation.market import FORBIDDEN, Agents, Market
from allocation.money import Money, as_money


def allocate_many(values: Money, template: Market) -> tuple[Agents, Money]:
    """What `MinCostFlow` does with each of the markets `template.replace(values=values[b])`, and the same.

    Args:
        values: (B, N, M) micro-units.
        template: costs, capacities and feasible pairs that all of them share; its values are not read.

    Returns:
        agents (B, N), `UNSERVED` included, and the lowest supporting prices (B, M).

    Raises:
        MarketError: values do not fit the template, or an entry is no amount of money.
    """
    amounts = as_money(values, name="values", ndim=3)
    n, m = template.shape
    if amounts.shape[1:] != (n, m):
        raise MarketError(f"values has shape {amounts.shape}, expected (markets, {n}, {m}) like the template")
    batch = amounts.shape[0]
    agents, prices = np.empty((batch, n), np.int64), np.empty((batch, m + 1), np.int64)
    if n * m > TINY:
        for b in range(batch):
            market = template.replace(values=amounts[b])
            found = MinCostFlow().allocate(market)
            agents[b], prices[b, 1:] = found.agents, minimal_prices(market, found)
        return agents, prices[:, 1:]
    if batch == 0:
        return agents, prices[:, 1:]
    weights = amounts - template.costs
    if template.feasible is not None:
        weights[:, ~template.feasible] = FORBIDDEN
    kernels("paths.tiny").solve_many(weights, np.minimum(template.capacities, n), agents, prices)
    agents -= 1
    return agents, prices[:, 1:]
