"""Splitting a burst over two batches: what per-batch VCG does, and the deviation itself."""

import numpy as np
import pytest
from hypothesis import given, settings

from allocation import Greedy, Market
from mechanisms import VCG, Mechanism
from proofs import AuditError, Counterexample, Grid, Sample, Status, audit, find_property
from proofs.misreports.identity import Split
from proofs.properties.split_batches import SplitProof
from proofs.strategies import markets
from tests.proofs.helpers import examined
from tests.proofs.rules import EXACT

pytestmark = pytest.mark.usefixtures("replayed_here")

ONE_SLOT = Grid(bidders=2, agents=1, values=range(3))
OWNERS = Grid(bidders=2, agents=2, values=range(2), requests_per_bidder=2)


@pytest.mark.parametrize("grid", [ONE_SLOT, OWNERS, Grid(3, 1, range(3), capacities=2, owners=[0, 1, 1, 2])])
def test_vcg_is_split_proof_where_slots_are_sold_once(grid: Grid) -> None:
    finding = examined(EXACT, grid, [SplitProof("left")])["split-proof(left)"]
    assert finding.status is Status.VERIFIED and finding.cases >= grid.profiles


@settings(deadline=None, max_examples=60)
@given(market=markets(max_requests=5, bidders=2, costs=range(3), forbidden=True))
def test_vcg_is_split_proof_on_random_markets_too(market: Market) -> None:
    for misreport in SplitProof().attempts(np.random.default_rng(0), market, ((0, 10), (0, 2), (0, 3))):
        assert Counterexample.of(SplitProof(), EXACT, market, misreport) is None


def test_vcg_is_not_where_a_full_agent_is_offered_again() -> None:
    finding = audit("vcg", ONE_SLOT, [SplitProof("reset")])["split-proof(reset)"]
    found = finding.counterexample
    assert finding.worst == 2 and finding.note == "replayed in a fresh process" and found is not None
    assert found.truth.values.tolist() == [[1], [1]] and found.misreport == Split(0, (0,)) and found.amount == 1
    assert "holds back request 0 for a later batch, which is offered capacities [1] and charged [0]" in found.text
    assert Counterexample.from_json(found.to_json()).replay(EXACT) == 1
    assert eval(found.expression("vcg")) == 1


def test_one_bidder_is_enough_where_a_slot_is_sold_twice() -> None:
    grid = Grid(bidders=1, agents=1, values=range(2), requests_per_bidder=2)
    assert examined(EXACT, grid, [SplitProof("left")])["split-proof(left)"]
    found = examined(EXACT, grid, [SplitProof("reset")])["split-proof(reset)"].counterexample
    assert found is not None and found.truth.values.tolist() == [[1], [1]] and found.amount == 1


def test_reset_leaves_alone_what_the_later_batch_fits_into() -> None:
    assert examined(EXACT, Grid(2, 1, range(3), capacities=2), [SplitProof("reset")])["split-proof(reset)"]


def test_greedy_with_vcg_is_not_split_proof_at_all() -> None:
    finding = examined(Mechanism(Greedy(), VCG()), Grid(2, 2, range(4)), [SplitProof("left")])["split-proof(left)"]
    assert finding.status is Status.REFUTED


def test_search_splits_bursts_in_large_markets_and_shrinks_them() -> None:
    sample = Sample(bidders=6, agents=3, values=(0, 100), requests_per_bidder=3, capacities=4, draws=5)
    report = audit(EXACT, sample, [SplitProof("reset"), SplitProof("left")])
    assert report["split-proof(left)"].status is Status.UNKNOWN
    found = report["split-proof(reset)"].counterexample
    assert found is not None and found.truth.shape == (2, 1) and found.truth.values.max() == 1


def test_a_split_follows_its_requests_through_smaller_markets() -> None:
    market = Market(np.ones((5, 2), int), np.zeros((5, 2), int), [1, 1], bidders=[0, 1, 0, 1, 0])
    split = Split(0, (2, 4))
    assert split.size == 2 and split.numbers == () and split.renumbered(()) == split.without_agent(1) == split
    assert [part.later for part in split.parts() if isinstance(part, Split)] == [(4,), (2,)]
    assert split.restricted(market, np.array([1, 3, 4]), {1: 0, 0: 1}) == Split(1, (2,))
    assert split.restricted(market, np.array([0, 1]), {0: 0, 1: 1}) is None
    assert split.restricted(market, np.array([2, 4]), {0: 0}) is None
    assert split.applied(market).bidders.tolist() == [0, 1, 1]
    assert split.held_back(market, [0, 7]).capacities.tolist() == [0, 7]
    assert str(split) == "bidder 0 holds back requests 2, 4 for a later batch"


@pytest.mark.parametrize("later", [(), (1,), (0, 0), (5,)])
def test_only_ones_own_requests_can_be_held_back(later: tuple[int, ...]) -> None:
    with pytest.raises(AuditError, match=r"bidder 0 holds back the requests .* of their \[0\]"):
        Split(0, later).applied(ONE_SLOT.template)


def test_somebody_stays_in_the_first_batch() -> None:
    with pytest.raises(AuditError, match="all 1 requests are held back"):
        Split(0, (0,)).applied(Market([[1]], [[0]], [1]))


def test_the_claim_by_name_and_its_parameter() -> None:
    assert find_property("split-proof", capacity="reset") == SplitProof("reset")
    with pytest.raises(AuditError, match="capacity = 'full'; expected one of left, reset"):
        SplitProof("full")  # type: ignore[arg-type]
