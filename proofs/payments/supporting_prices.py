"""`SupportingPrices`: the payments that make an allocator truthful on a grid, synthesised where they exist."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from allocation import Allocation, Allocator, Market
from allocation.money import Money
from mechanisms import Payments, serving_costs
from proofs.errors import AuditError
from proofs.payments import option_graphs
from proofs.payments.implementable import Options, allocations
from proofs.scopes.grid import Grid
from proofs.scopes.reports import Reports


@dataclass(frozen=True, slots=True, eq=False)
class PriceTable:
    """One bidder's prices, (Q, O): for every report of the others, and every option of theirs on the grid."""

    options: Options
    prices: Money

    def price(self, others: int, bundle: NDArray[np.int64]) -> int:
        """What a bundle of agents (K,) costs the bidder when the others report `others`.

        Raises:
            AuditError: no report brings this bundle, so it has no price.
        """
        option = np.flatnonzero((self.options.bundles == bundle).all(axis=1))
        if not option.size or not (self.options.chosen[others] == option[0]).any():
            raise AuditError(
                f"bidder {self.options.bidder} gets {bundle.tolist()}, which the allocator never gives them here; "
                "charge for the allocations of the allocator that the prices were made for"
            )
        return int(self.prices[others, option[0]])


@dataclass(frozen=True)
class SupportingPrices:
    """A payment rule that makes `allocator` truthful and individually rational on `grid`; agents are paid their cost.

    A table: for every bidder and every report of the others, a price for everything they can get. Supporting prices
    form a lattice; `which` names its end. At the highest, the auctioneer takes all that truthfulness leaves it; at the
    lowest, it subsidises no more than individual rationality forces, which for most allocators is not at all. Every
    other truthful, individually rational rule without needless subsidies lies between, VCG over an exact allocator
    included.

    Raises:
        AuditError: on the first charge, no payments implement the allocator on the grid, or the market is off the
            grid, or the allocation is not the allocator's.

    Example:
        >>> from allocation import MinCostFlow
        >>> from mechanisms import Mechanism
        >>> grid = Grid(bidders=2, agents=1, values=range(3))
        >>> market = grid.market(7)
        >>> market.values.tolist()
        [[2], [1]]
        >>> for which in ("lowest", "highest"):
        ...     rule = SupportingPrices(MinCostFlow(), grid, which)
        ...     print(Mechanism(MinCostFlow(), rule).run(market).payments.charges.tolist())
        [0, 0]
        [1, 0]
    """

    allocator: Allocator
    grid: Grid
    which: Literal["lowest", "highest"] = "lowest"

    def __post_init__(self) -> None:
        if self.which not in ("lowest", "highest"):
            raise AuditError(f"which = {self.which!r}; expected 'lowest' or 'highest'")

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges (N,), each bidder's on their first served request (or their first), and receipts (M,)."""
        rows = self.reports.rows(market)
        charges = np.zeros(market.shape[0], np.int64)
        for bidder, table in enumerate(self.tables):
            mine = market.requests_of(bidder)
            served = mine[allocation.served[mine]]
            others = int(np.searchsorted(table.options.profiles[:, rows[bidder]], self.grid.profile(rows)))
            charges[(served if served.size else mine)[0]] = table.price(others, allocation.agents[mine])
        return Payments(charges, serving_costs(market, allocation))

    @cached_property
    def tables(self) -> tuple[PriceTable, ...]:
        """One table of prices per bidder.

        Raises:
            AuditError: no payments implement the allocator on the grid.
        """
        agents = allocations(self.allocator, self.grid)
        tables = []
        for bidder in range(self.grid.bidders):
            options = Options.of(agents, self.grid, bidder)
            paths = option_graphs.distances(option_graphs.option_lengths(options.chosen, options.values))
            broken = int((np.diagonal(paths, axis1=1, axis2=2) < 0).any(axis=1).sum())
            if broken:
                raise AuditError(
                    f"no payments make {type(self.allocator).__name__} truthful on {self.grid}: {broken} option graphs "
                    f"of bidder {bidder} have a negative cycle; implementability(...) shows one"
                )
            lowest, highest = option_graphs.price_bounds(options.chosen, options.values, paths)
            tables.append(PriceTable(options, lowest if self.which == "lowest" else highest))
        return tuple(tables)

    @cached_property
    def reports(self) -> Reports:
        """Where a market lies on the grid."""
        return Reports(self.grid)
