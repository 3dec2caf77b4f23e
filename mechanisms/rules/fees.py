"""Fees on top of costs: what a pair costs others than the agent, charged like a cost and kept by the auctioneer.

A mechanism that is truthful whatever the costs stays so when they are `costs + fees`, as long as no fee reads a present
report: for VCG this is an affine maximiser (Roberts 1979) whose constants are the fees. They are one table for the
round as it stands. A fee that is computed anew in a counterfactual, or that depends on who else is served where, is no
constant of an outcome, and truth or rationality is lost (`tests/mechanisms/rules/test_fees.py` has both).
"""

from dataclasses import dataclass

from allocation import Market
from allocation.money import Money, as_money
from mechanisms.errors import MechanismError
from mechanisms.mechanism import DirectMechanism
from mechanisms.outcome import Outcome, Payments, serving_costs


@dataclass(frozen=True, eq=False)
class WithFees:
    """Runs a mechanism on `costs + fees`; agents receive their costs.

    Args:
        mechanism: decides and charges.
        fees: (N, M) micro-units. Where none is negative no round runs a deficit that the mechanism does not run; a
            negative one is a discount that the auctioneer may have to bear, up to its amount.

    Raises:
        MarketError: a fee is no integer amount.

    Example:
        >>> from mechanisms import find_mechanism
        >>> market = Market(values=[[9]], costs=[[1]], capacities=[1])
        >>> outcome = WithFees(find_mechanism("vcg"), [[3]]).run(market)
        >>> outcome.payments.charges.tolist(), outcome.payments.receipts.tolist(), outcome.surplus
        ([4], [1], 3)
    """

    mechanism: DirectMechanism
    fees: Money

    def __post_init__(self) -> None:
        object.__setattr__(self, "fees", as_money(self.fees, name="fees", ndim=2))

    def run(self, market: Market) -> Outcome:
        """Allocate and charge; the outcome is one of `market`, fees in its charges.

        Raises:
            MechanismError: there is not one fee for each pair.
            MarketError: costs and fees together leave the range of money.
        """
        if self.fees.shape != market.shape:
            raise MechanismError(f"fees have shape {self.fees.shape}; the market has {market.shape}")
        found = self.mechanism.run(market.replace(costs=market.costs + self.fees))
        return Outcome(
            market, found.allocation, Payments(found.payments.charges, serving_costs(market, found.allocation))
        )
