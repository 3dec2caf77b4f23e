"""One kept round, derived again, by the mechanism's own rule.

Is the market what was stated and predicted, is who got whom the best for all, does each pay what they must?
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np

from allocation import MICROS, UNSERVED, CertificateError, MarketError
from mechanisms import DirectMechanism, Mechanism, MechanismError, Outcome, Payments
from mechanisms.catalogue import find_mechanism
from mechanisms.outcome import serving_costs
from runtime.referees.kept import Auctioned, Kept
from runtime.referees.verdict import Fault
from runtime.rounds.kept import values_crc


@cache
def _mechanism(name: str, allocator: str | None) -> DirectMechanism:
    return find_mechanism(name, allocator)


def mechanism_of(rules: Mapping[str, Any]) -> DirectMechanism:
    """The mechanism that a round names.

    Raises:
        MechanismError: it names none that is here.
    """
    name, allocator = rules.get("mechanism"), rules.get("allocator")
    if not isinstance(name, str) or not isinstance(allocator, str | None):
        raise MechanismError(f"the round names no mechanism: {name!r} over {allocator!r}")
    return _mechanism(name, allocator)


def exact(mechanism: DirectMechanism) -> bool:
    """Whether it claims an optimum, of which a round then carries the proof."""
    return isinstance(mechanism, Mechanism) and bool(getattr(mechanism.allocator, "exact", False))


def check_round(kept: Kept, mechanism: DirectMechanism, where: str) -> list[Fault]:
    """What is wrong with a round that had an auction."""
    auction = kept.auction
    assert auction is not None
    found = [*_values(auction), *_placement(kept, auction), *_prediction(kept, auction)]
    try:
        payments = _payments(auction, mechanism)
    except (CertificateError, MarketError) as error:
        found.append(("allocation", str(error)))
    else:
        found += [*_compared(kept, auction, payments), *_balance(kept, auction)]
    return [Fault(check, where, said) for check, said in dict.fromkeys(found)]


def _values(auction: Auctioned) -> Iterator[tuple[str, str]]:
    if values_crc(auction.market.values) != auction.values_crc:
        yield "values", "what was stated and predicted makes other values than the market had"


def _payments(auction: Auctioned, mechanism: DirectMechanism) -> Payments:
    """What the mechanism's own rule says of the allocation as kept, which is proved optimal or found again.

    Raises:
        CertificateError: it is not optimal, or not what the mechanism decides.
        MarketError: the rule refuses it.
    """
    priced, allocation = auction.priced, auction.allocation
    if isinstance(mechanism, Mechanism) and exact(mechanism):
        priced.certify(allocation)
        payments = mechanism.rule.charge(priced, allocation, mechanism.allocator)
    else:
        outcome = mechanism.run(priced)
        if not np.array_equal(outcome.allocation.agents, allocation.agents):
            raise CertificateError(
                f"the mechanism gives requests to columns {outcome.allocation.agents.tolist()}, kept are "
                f"{allocation.agents.tolist()}"
            )
        payments = outcome.payments
    if auction.fees is None:
        return payments
    return Payments(payments.charges, serving_costs(auction.market, allocation))


def _compared(kept: Kept, auction: Auctioned, payments: Payments) -> Iterator[tuple[str, str]]:
    for i in np.flatnonzero(payments.charges != kept.charges):
        yield (
            "charges",
            f"request {kept.requests[i]} is charged {kept.charges[i]} micro-units; by the rule it is "
            f"{payments.charges[i]}",
        )
    for j in np.flatnonzero(payments.receipts != auction.receipts):
        yield (
            "receipts",
            f"column {j} (agent {kept.agents[auction.columns[j]]}) receives {auction.receipts[j]} micro-units; by the "
            f"rule it is {payments.receipts[j]}",
        )


def _balance(kept: Kept, auction: Auctioned) -> Iterator[tuple[str, str]]:
    """As predicted: the auctioneer loses no more than the discounts it gives, and nobody pays beyond their value."""
    market, allocation = auction.market, auction.allocation
    surplus = int(kept.charges.sum()) - int(auction.receipts.sum())
    discounts = 0
    if auction.fees is not None:
        discounts = int(np.minimum(market.take(auction.fees, allocation), 0).sum())
    if surplus < discounts:
        yield "deficit", f"charges less receipts are {surplus} micro-units"
    outcome = Outcome(market, allocation, Payments(kept.charges, auction.receipts))
    names = list(dict.fromkeys(kept.bidders))
    for bidder, utility in outcome.bidder_utilities().items():
        if utility < 0:
            yield "rationality", f"bidder {names[bidder]} pays {-utility} micro-units more than they stated it is worth"


def _placement(kept: Kept, auction: Auctioned) -> Iterator[tuple[str, str]]:
    """Who serves a request, and in which place, is what its column says."""
    columns = auction.allocation.agents
    if columns.size and not (columns.min() >= UNSERVED and columns.max() < auction.columns.size):
        # No optimum, as is told beside.
        return
    served = columns != UNSERVED
    agents = np.where(served, auction.columns[np.maximum(columns, 0)], UNSERVED) if auction.columns.size else columns
    for i in np.flatnonzero(np.maximum(kept.placed, UNSERVED) != agents):
        yield (
            "placement",
            f"request {kept.requests[i]} went to agent number {kept.placed[i]}; its column is of {agents[i]}",
        )
    if kept.positions is None:
        return
    for j in set(agents[served].tolist()):
        members = np.flatnonzero(agents == j)
        order = members[np.argsort(columns[members], kind="stable")]
        if kept.positions[order].tolist() != list(range(order.size)):
            yield "placement", f"places in the line of {kept.agents[j]} are {kept.positions[order].tolist()}"


def _prediction(kept: Kept, auction: Auctioned) -> Iterator[tuple[str, str]]:
    """What was predicted of a request is what the market was made of."""
    basis, columns = auction.basis, auction.allocation.agents
    if basis is None or (columns.size and not (columns.min() >= UNSERVED and columns.max() < auction.columns.size)):
        return
    placed = np.flatnonzero((kept.placed >= 0) & (kept.placed < len(kept.agents)))
    told = [kept.predicted[i] for i in placed.tolist()]
    for i in [int(i) for i, one in zip(placed, told, strict=True) if one is None]:
        yield "prediction", f"nothing is predicted of request {kept.requests[i]}"
    given = np.array([one or (np.nan,) * 3 for one in told]).reshape(-1, 3)
    agents = kept.placed[placed]
    places = (basis.columns[None] < agents[:, None]).sum(axis=1)
    places += 0 if kept.positions is None else kept.positions[placed]
    somewhere = (places >= 0) & (places < basis.columns.size) & ~np.isnan(given[:, 0])
    start = basis.start[np.where(somewhere, places, 0)] if basis.start.size else places
    made = np.stack([start + basis.service[placed, agents], basis.quality[placed, agents]], axis=1)
    costs = basis.costs[placed, agents]
    wrong = (given[:, [0, 2]] != made).any(axis=1) | (np.rint(given[:, 1] * MICROS) != costs)
    for k in np.flatnonzero(wrong & somewhere):
        market = [float(made[k, 0]), int(costs[k]) / MICROS, float(made[k, 1])]
        yield (
            "prediction",
            f"of request {kept.requests[placed[k]]} {given[k].tolist()} was predicted; the market was made of {market}",
        )
