"""Every manipulation of the published router inside its auction: found, shrunk, and gone once its fault is repaired."""

import pytest

from mechanisms import DirectMechanism
from mechanisms.rules.paper import PaperRouter
from proofs import Counterexample, Grid, Misreport, Property, Sample, Status, audit, find_property, shrink
from proofs.properties.split_batches import Capacity, SplitProof
from tests.mechanisms.routers import NoFreeService, PerBidder, WelfareFirst
from tests.proofs.helpers import examined

ROUTER = PaperRouter(slots=1, grain=1)
ROOMY = Grid(bidders=2, agents=2, values=range(4), capacities=2)
TRUTHFUL = find_property("truthful")


def found(mechanism: DirectMechanism, scope: Grid | Sample, prop: Property) -> Counterexample:
    """What an audit reports, replayed here: one fresh process each would take half a minute."""
    finding = examined(mechanism, scope, [prop])[prop.name]
    assert finding.status is Status.REFUTED and finding.counterexample is not None
    case = shrink(finding.counterexample, mechanism)
    assert case.replay(mechanism) == case.amount
    return case


def holds(mechanism: DirectMechanism, scope: Grid, prop: Property) -> bool:
    return bool(examined(mechanism, scope, [prop])[prop.name])


def test_cardinality_before_welfare_charges_more_than_the_service_is_worth() -> None:
    rational = find_property("individually-rational")
    case = found(ROUTER, ROOMY, rational)
    assert case.truth.values.tolist() == [[0, 1], [1, 3]] and case.amount == 1
    assert holds(WelfareFirst(slots=1, grain=1), ROOMY, rational)


def test_free_fallback_makes_zero_the_best_report(replayed_here: None) -> None:
    scope = Grid(bidders=2, agents=1, values=range(4), costs=1, capacities=2)
    finding = audit(ROUTER, scope, [TRUTHFUL])["truthful"]
    case = finding.counterexample
    assert finding.note == "replayed in a fresh process" and case is not None and case.deviating is not None
    assert (case.truth.values.tolist(), case.misreport, case.deviating.charges) == ([[2]], Misreport(0, ((0,),)), (0,))
    assert holds(NoFreeService(slots=1, grain=1), scope, TRUTHFUL)


def test_free_fallback_is_paid_by_the_auctioneer() -> None:
    scope, solvent = Grid(bidders=2, agents=1, values=range(4), costs=1, capacities=2), find_property("no-deficit")
    case = found(ROUTER, scope, solvent)
    assert case.truth.values.tolist() == [[0]] and case.honest.charges == (0,)
    assert holds(NoFreeService(slots=1, grain=1), scope, solvent)


def test_rounding_charges_a_bidder_whom_nobody_competes_with() -> None:
    scope = Grid(bidders=1, agents=1, values=(0, 400, 600, 1400, 1600))
    case = found(PaperRouter(slots=1, grain=1000), scope, TRUTHFUL)
    assert case.truth.shape == (1, 1) and case.honest.charges[0] > 0
    assert case.deviating is not None and case.deviating.charges == (0,)
    assert holds(ROUTER, scope, TRUTHFUL)


def test_rounding_is_not_invariant_under_the_unit_of_money() -> None:
    efficient, coarse = find_property("efficient"), NoFreeService(grain=1000)
    case = found(coarse, Grid(bidders=2, agents=1, values=(501, 1499)), efficient)
    assert case.truth.shape[1] == 1 and case.amount <= 998
    assert holds(coarse, Grid(bidders=2, agents=1, values=(501_000, 1_499_000)), efficient)
    assert holds(NoFreeService(grain=1), Grid(bidders=2, agents=1, values=(501, 1499)), efficient)


def test_an_owner_of_two_requests_competes_with_himself() -> None:
    scope = Grid(bidders=1, agents=1, values=range(3), capacities=2, requests_per_bidder=2)
    case = found(ROUTER, scope, TRUTHFUL)
    assert case.truth.bidders.tolist() == [0, 0] and case.truth.values.max() == 1
    assert holds(PerBidder(slots=1, grain=1), scope, TRUTHFUL)


@pytest.mark.parametrize("capacity", ["left", "reset"])
def test_a_request_that_is_held_back_meets_no_rival(capacity: Capacity) -> None:
    scope = Grid(bidders=2, agents=1, values=range(3), capacities=2)
    case = found(ROUTER, scope, SplitProof(capacity))
    assert case.truth.values.tolist() == [[1], [1]] and "charged [0]" in case.text


def test_splitting_pays_no_longer_where_capacity_is_sold_once() -> None:
    """Without free service, whose capacity is beyond the auction's, what is left is what is sold."""
    scope = Grid(bidders=2, agents=1, values=range(3))
    assert not holds(NoFreeService(grain=1), scope, SplitProof("reset"))
    assert holds(NoFreeService(grain=1), scope, SplitProof("left"))


@pytest.mark.parametrize("name", ["truthful", "no-deficit"])
def test_search_finds_free_service_in_a_large_market_and_shrinks_it(name: str) -> None:
    sample = Sample(bidders=8, agents=3, values=(0, 100), costs=40, capacities=8, draws=20)
    case = found(ROUTER, sample, find_property(name))
    assert case.truth.shape == (1, 1) and case.truth.values.max() <= 2
