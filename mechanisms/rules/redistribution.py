"""Giving the surplus back: VCG with rebates that no report of their receiver can move."""

from dataclasses import dataclass
from typing import ClassVar

from allocation import Allocation, Allocator, Market
from allocation.allocator import as_allocator
from mechanisms.errors import MechanismError
from mechanisms.outcome import Payments, asked
from mechanisms.promises import Domain, Promises
from mechanisms.rules.vcg import VCG


@dataclass(frozen=True, slots=True)
class Redistribution:
    """VCG, and to each of the n bidders 1/n of the surplus that VCG would have left without them (Bailey 1997).

    Cavallo (2006) rebates 1/n of the least surplus over all of a bidder's reports. Here that is the same: welfare of
    these markets is submodular in bidders, so VCG's surplus grows with each of them (Ausubel and Milgrom 2002), and
    staying away is the report that makes it least. The rebates therefore never add up to more than the surplus. Agents
    receive their cost before anything is shared out. Shares are rounded down, in the auctioneer's favour; a rebate
    appears as a deduction from the bidder's first request, served or not. Costs n auctions per round.
    """

    promises: ClassVar[Promises] = dict.fromkeys(
        ("truthful", "individually-rational", "agents-rational", "no-deficit", "efficient"), Domain.EVERYWHERE
    )

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        """Charges (N,), which may be negative, and receipts (M,).

        Raises:
            MechanismError: the allocation carries no prices; then rebates may exceed the surplus.
        """
        asked(market, allocation)
        if allocation.prices is None:
            raise MechanismError(
                f"{type(allocator).__name__} proves no optimality, and the rebates could exceed the surplus; "
                "take an exact allocator"
            )
        as_allocator(allocator)
        exact = VCG().charge(market, allocation, allocator)
        charges = exact.charges.copy()
        for bidder in market.players:
            rest = market.without(bidder)
            left = VCG().charge(rest, allocator.allocate(rest), allocator).surplus
            charges[market.requests_of(bidder)[0]] -= left // len(market.players)
        return Payments(charges, exact.receipts)
