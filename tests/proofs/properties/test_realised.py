"""What is left once requests have run: every way of running is settled, in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest

from allocation import Market, MinCostFlow
from mechanisms import VCG, Mechanism
from mechanisms.settlement import (
    CERTAIN,
    ExecutionContingent,
    OnDelivery,
    OnMeasurement,
    OnPrediction,
    Settlement,
    balance,
)
from proofs import AuditError, Counterexample, Grid, Misreport, audit
from proofs.claims.execution_risk import ExecutionRisk
from proofs.misreports.coalition import AgentMisreport
from proofs.properties.realised import (
    AgentsRationalRealised,
    NoDeficitInAnyRun,
    RationalRealised,
    TruthfulAgentsRealised,
    TruthfulRealised,
)
from tests.proofs.helpers import examined

pytestmark = pytest.mark.usefixtures("replayed_here")

AUCTION = Mechanism(MinCostFlow(), VCG())
MARKET = Market([[6], [4]], [[2], [2]], [2])
SETTLEMENTS: tuple[Settlement, ...] = (OnPrediction(), OnMeasurement(), OnDelivery(), ExecutionContingent())


def test_runs_are_a_distribution_with_the_right_means() -> None:
    outcome, luck = AUCTION.run(MARKET), ExecutionRisk((-2, 1, 1), CERTAIN * 3 // 4)
    runs = list(luck.runs(MARKET, outcome))
    assert len(runs) == 6**2 and sum(likely for likely, _ in runs) == 1
    assert sum(likely * int(ran.costs[0]) for likely, ran in runs) == 2
    assert sum(likely for likely, ran in runs if ran.succeeded[1]) == Fraction(3, 4)
    assert all(luck.weight(2) * likely % 1 == 0 for likely, _ in runs)
    certain = list(ExecutionRisk((0,), CERTAIN).runs(MARKET, outcome))
    assert len(certain) == 1 and certain[0][1].succeeded.all()


def test_a_cost_that_could_fall_below_nothing_is_certain() -> None:
    cheap = Market([[6], [4]], [[0], [2]], [2])
    costs = {tuple(ran.costs.tolist()) for _, ran in ExecutionRisk().runs(cheap, AUCTION.run(cheap))}
    assert costs == {(0, 1), (0, 3)}


@pytest.mark.parametrize("settlement", SETTLEMENTS, ids=lambda way: type(way).__name__)
def test_worst_runs_are_those_of_the_balance_written_down(settlement: Settlement) -> None:
    """`balance` rounds the worth of a success down; where chances divide it is exact, and says what properties do."""
    rng, luck = np.random.default_rng(1), ExecutionRisk()
    for _ in range(15):
        market = Market(rng.integers(0, 9, (3, 2)), rng.integers(0, 4, (3, 2)), [1, 1], bidders=[0, 1, 0])
        outcome = AUCTION.run(market)
        left = [balance(outcome, ran, settlement.settle(outcome, ran)) for _, ran in luck.runs(market, outcome)]
        worst = (
            min(min(each.bidders.values()) for each in left),
            min(int(each.agents.min()) for each in left),
            min(each.auctioneer for each in left),
        )
        for prop, low in zip((RationalRealised, AgentsRationalRealised, NoDeficitInAnyRun), worst, strict=True):
            found = prop(settlement, luck).check(outcome, market)
            assert (0 if found is None else found.amount) == max(0, -low)


def test_expected_gains_are_ticks_times_the_weight() -> None:
    luck, truth = ExecutionRisk((0,), CERTAIN * 3 // 4), Market([[1], [1]], [[0], [0]], [1])
    found = Counterexample.of(TruthfulRealised(OnDelivery(), luck), AUCTION, truth, Misreport(0, ((0,),)))
    assert found is not None and found.text == "bidder 0 reports [0] instead of [1] and gains 1/2 on average"
    assert found.amount == Fraction(1, 2) * luck.weight(2) == 8
    assert Counterexample.from_json(found.to_json()).replay(AUCTION) == 8


def test_an_agent_that_cannot_deliver_gains_nothing() -> None:
    truth, prop = Market([[6], [6]], [[2], [2]], [1]), TruthfulAgentsRealised(OnDelivery())
    assert Counterexample.of(prop, AUCTION, truth, AgentMisreport(0, (2, 2), 2)) is None
    dearer = Counterexample.of(prop, AUCTION, truth, AgentMisreport(0, (3, 3), 1))
    assert dearer is not None and dearer.text.endswith("and gains 1 on average")


def test_sweeps_find_what_every_misreport_compared_by_hand_finds() -> None:
    grid = Grid(2, 1, (2, 3), private_costs=(1, 2), costs_per_pair=True)
    luck = ExecutionRisk(chance=CERTAIN * 3 // 4)
    for settlement in SETTLEMENTS:
        for prop, players in (
            (TruthfulRealised(settlement, luck), (0, 1)),
            (TruthfulAgentsRealised(settlement, luck), (2,)),
        ):
            worst = 0
            for profile in range(grid.profiles):
                for misreport in (misreport for player in players for misreport in grid.misreports(profile, player)):
                    found = Counterexample.of(prop, AUCTION, grid.market(profile), misreport)
                    worst = max(worst, 0 if found is None else found.amount)
            assert examined(AUCTION, grid, [prop])[prop.name].worst == worst


def test_by_name_in_an_audit_and_replayed_in_a_fresh_process() -> None:
    report = audit(AUCTION, Grid(2, 1, range(3), costs=1), ["truthful-realised", "individually-rational-realised"])
    assert report["truthful-realised"]
    found = report["individually-rational-realised"].counterexample
    assert found is not None and found.text == "bidder 0 loses 1 where request 0 costs 0 and fails"
    with pytest.raises(AuditError, match="costs and capacities are public"):
        audit(AUCTION, Grid(2, 1, range(2)), ["truthful-agents-realised"])


@pytest.mark.parametrize(
    ("wrong", "message"), [({"errors": (1,)}, "mean 0"), ({"errors": ()}, "mean 0"), ({"chance": 0}, "chance = 0")]
)
def test_malformed_luck_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(AuditError, match=message):
        ExecutionRisk(**wrong)  # type: ignore[arg-type]
