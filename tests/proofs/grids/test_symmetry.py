"""One bidder stands for another only where both were found interchangeable on that very grid."""

from dataclasses import dataclass

import numpy as np
import pytest

from allocation import Allocation, Market, MinCostFlow
from mechanisms import VCG, DirectMechanism, FirstCome, Mechanism, Outcome, PayAsBid, Payments, PostedPrice
from proofs import Grid, Status, Truthful
from proofs.grids.exhaustive import Exhaustive
from proofs.grids.symmetry import stands
from proofs.properties.agents import EpsilonTruthful
from proofs.properties.coalitions import GroupTruthful
from tests.proofs.rules import EXACT, Dictators

ROOMY = Grid(bidders=3, agents=2, values=range(3), capacities=3)
FREE_CHOICE = Mechanism(FirstCome(1), PostedPrice(1))


@dataclass(frozen=True)
class Trap:
    """Honest utilities are exchanged with the bidders, and yet only the second one can gain by a misreport.

    Bidder 0 gets agent 0 for nothing. Bidder 1 gets agent 1 at what makes them as well off, by their own account.
    """

    def run(self, market: Market) -> Outcome:
        mine = market.values[1]
        charges = np.array([0, mine[1] - mine[0]])
        return Outcome(market, Allocation([0, 1]), Payments(charges, np.zeros(2, np.int64)))


def swept(mechanism: DirectMechanism, grid: Grid, prop: object, symmetry: bool) -> tuple[Status, int, int, str]:
    engine = Exhaustive(symmetry=symmetry)
    [finding] = engine.examine(mechanism, grid, [prop], lambda done, total: None)  # type: ignore[list-item]
    return finding.status, finding.worst, finding.cases, finding.note


@pytest.mark.parametrize("prop", [Truthful(), EpsilonTruthful(1), GroupTruthful(2), GroupTruthful(3, transfers=True)])
@pytest.mark.parametrize(
    ("mechanism", "grid"),
    [
        (FREE_CHOICE, ROOMY),
        (Mechanism(MinCostFlow(), PayAsBid()), ROOMY),
        (EXACT, Grid(3, 1, range(4))),
        (EXACT, Grid(3, 2, range(2), costs=[[0, 1], [0, 1], [1, 1]], capacities=3)),
        (Dictators(), Grid(3, 1, range(3))),
        (Trap(), Grid(2, 2, range(3))),
    ],
    ids=str,
)
def test_a_reduced_sweep_finds_what_the_whole_one_finds(mechanism: DirectMechanism, grid: Grid, prop: object) -> None:
    assert swept(mechanism, grid, prop, True)[:3] == swept(mechanism, grid, prop, False)[:3]


def test_the_finding_says_who_stands_for_whom() -> None:
    assert swept(FREE_CHOICE, ROOMY, Truthful(), True)[3].split("; ")[0] == (
        "bidders 0, 1, 2 are interchangeable: neighbours who exchange reports exchange what they get and pay on all "
        "729 profiles, so the first stands for the others"
    )
    uneven = Grid(3, 2, range(2), costs=[[0, 1], [0, 1], [1, 1]], capacities=3)
    assert swept(EXACT, uneven, Truthful(), True)[3].startswith("bidders 0, 1 are interchangeable")
    assert swept(FREE_CHOICE, ROOMY, Truthful(), False)[3].startswith("459 of 729 profiles asked twice")


def test_index_tie_breaking_and_agents_as_players_allow_no_reduction() -> None:
    for grid in (Grid(3, 1, range(3)), Grid(2, 1, range(2), private_costs=range(2))):
        note = swept(Mechanism(MinCostFlow(), VCG()), grid, Truthful(), True)[3]
        assert "no two bidders are interchangeable on this scope, and all were examined" in note


def test_equal_honest_utilities_do_not_make_bidders_interchangeable() -> None:
    grid = Grid(2, 2, range(3))
    for profile in range(grid.profiles):
        truth = grid.market(profile)
        utilities = Trap().run(truth).bidder_utilities(truth)
        exchanged = grid.market(grid.profile(grid.rows(profile)[::-1]))
        assert Trap().run(exchanged).bidder_utilities(exchanged) == {0: utilities[1], 1: utilities[0]}
    status, worst, _, note = swept(Trap(), grid, Truthful(), True)
    assert status is Status.REFUTED and worst == 4 and note.startswith("no two bidders")


def test_coalitions_that_stand_for_others() -> None:
    assert stands((0, 2), ()) and stands((1, 3), ((1, 2), (3, 4)))
    assert not stands((0, 2), ((0, 1, 2),)) and not stands((4,), ((1, 2), (3, 4)))
