"""Local auctions: exact VCG inside bid-independent hubs, and a certified bound on what the partition costs."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from allocation import Allocation, Allocator, Market, MinCostFlow
from allocation.heuristic.ranges import ByCost, ByOwner, Cheapest, MaximalInRange, Range, welfare_bound, within
from mechanisms.errors import MechanismError
from mechanisms.mechanism import Mechanism
from mechanisms.outcome import Outcome
from mechanisms.promises import Domain, Promises
from mechanisms.rules.vcg import VCG

__all__ = ["ByCost", "ByOwner", "Cheapest", "LocalVCG", "MaximalInRange", "PartitionLoss", "partition_loss"]


@dataclass(frozen=True, slots=True)
class LocalVCG:
    """VCG on the pairs that a bid-independent range leaves open; maximal in range, hence truthful.

    The same outcome as `Mechanism(MaximalInRange(range, allocator), VCG())`, priced in one pass, since inside the range
    the allocation is optimal and its dual prices count.

    Args:
        range: which pairs stay open; reads no report.
        allocator: must be exact.
    """

    range: Range
    allocator: Allocator = field(default_factory=MinCostFlow)
    promises: ClassVar[Promises] = {
        "truthful": Domain.EVERYWHERE,
        "individually-rational": Domain.EVERYWHERE,
        "agents-rational": Domain.EVERYWHERE,
        "no-deficit": Domain.EVERYWHERE,
    }

    def __post_init__(self) -> None:
        MaximalInRange(self.range, self.allocator)

    def run(self, market: Market) -> Outcome:
        """Allocate and charge.

        Raises:
            MarketError: the range does not fit the market.
        """
        local = Mechanism(self.allocator, VCG()).run(within(market, self.range))
        return Outcome(market, Allocation(local.allocation.agents), local.payments)

    def __str__(self) -> str:
        return f"LocalVCG({self.range}) over {type(self.allocator).__name__}"


@dataclass(frozen=True, slots=True)
class PartitionLoss:
    """Welfare of a partitioned market, and an upper bound on that of the whole; both in micro-units."""

    welfare: int
    bound: int

    @property
    def at_most(self) -> int:
        """What the partition can have cost, at the most."""
        return self.bound - self.welfare


def partition_loss(market: Market, range_: Range, allocator: Allocator | None = None) -> PartitionLoss:
    """Allocate inside the range, and certify from its own dual prices how much welfare the partition can have lost.

    Each agent is in one hub, so the hubs' prices make one price per agent; any prices bound the whole market's welfare
    (`allocation.heuristic.ranges.welfare_bound`), and nobody has to solve the whole.

    Args:
        market: the whole market.
        range_: the partition, or any other range.
        allocator: an exact one; default MinCostFlow.

    Raises:
        MechanismError: the allocator gives no prices.
    """
    inner = MinCostFlow() if allocator is None else allocator
    part = within(market, range_)
    local = inner.allocate(part)
    if local.prices is None:
        raise MechanismError(f"{type(inner).__name__} gives no prices to bound the loss with; take an exact allocator")
    prices = np.asarray(local.prices)
    return PartitionLoss(part.welfare(local), welfare_bound(market, prices))
