"""Verdicts over ties against the definition: every selection of one tied outcome per market, a mechanism each."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocation import Allocation, BruteForce, Greedy, Market, MinCostFlow
from mechanisms import VCG, DirectMechanism, IrresoluteMechanism, Mechanism, Outcome, PayAsBid, Payments, find_mechanism
from mechanisms.rules.affine import AffineMaximizer, ReserveVCG
from mechanisms.rules.pricing import HighestClearingPrice, SecondPrice
from mechanisms.rules.simple import FirstCome, PostedPrice
from mechanisms.rules.two_sided import ProcurementVCG, TwoSidedVCG
from proofs import (
    AuditError,
    Counterexample,
    Efficient,
    Finding,
    Grid,
    IndividuallyRational,
    Misreport,
    Property,
    Status,
    Truthful,
    audit,
    design,
    implementability,
    shrink,
    violation,
)
from proofs.properties.agents import EpsilonTruthful, TruthfulAgents, TruthfulBoth
from proofs.properties.bayesian import BayesianTruthful, grid_prior
from proofs.properties.budget import Approximation
from proofs.properties.coalitions import GroupTruthful
from proofs.replay import REPLAYED, main
from proofs.subject.tie_outcomes import outcomes_of
from proofs.ties.all_ties import AllTies
from tests.proofs.helpers import examined as first_alone
from tests.proofs.helpers import worst_gain
from tests.proofs.naive import worst_agent_gain
from tests.proofs.rules import Dice, Generous, Lots, Misordered, Wavering

pytestmark = pytest.mark.usefixtures("replayed_here")

POSTED = Mechanism(FirstCome(), PostedPrice())
KINDS = (
    Mechanism(MinCostFlow(), VCG()),
    Mechanism(MinCostFlow(), PayAsBid()),
    Mechanism(BruteForce(), SecondPrice()),
    Mechanism(MinCostFlow(), HighestClearingPrice()),
    Mechanism(Greedy(), VCG()),
    Mechanism(Greedy(), PayAsBid()),
    POSTED,
    Mechanism(FirstCome(), VCG()),
    AffineMaximizer(),
    ReserveVCG(),
)
SMALL = (
    {"bidders": 2, "agents": 1, "values": range(3)},
    {"bidders": 1, "agents": 2, "values": range(3)},
    {"bidders": 2, "agents": 1, "values": range(2), "capacities": 2},
    {"bidders": 1, "agents": 1, "values": range(3), "requests_per_bidder": 2},
    {"bidders": 2, "agents": 1, "values": (-1, 1, 2), "costs": 1},
)


@dataclass(frozen=True)
class Selection:
    """One outcome per market: what one tie-break makes of an irresolute mechanism."""

    chosen: dict[tuple[bytes, ...], Outcome]

    def run(self, market: Market) -> Outcome:
        return self.chosen[key(market)]


def key(market: Market) -> tuple[bytes, ...]:
    return market.values.tobytes(), market.costs.tobytes(), market.capacities.tobytes()


def selections(mechanism: IrresoluteMechanism, grid: Grid) -> Iterator[Selection]:
    """Every selection there is."""
    tied = {key(market): mechanism.outcomes(market) for market in map(grid.market, range(grid.profiles))}
    assert math.prod(map(len, tied.values())) <= 1000
    for chosen in product(*tied.values()):
        yield Selection(dict(zip(tied, chosen, strict=True)))


def examined(mechanism: DirectMechanism, grid: Grid, *properties: Property) -> list[Finding]:
    findings = AllTies().examine(mechanism, grid, list(properties), lambda done, total: None)
    for finding in findings:
        assert (finding.status is Status.REFUTED) == (finding.worst > 0)
        if finding.counterexample is not None:
            assert finding.counterexample.ties == grid.ties
            assert finding.counterexample.replay(mechanism) == finding.worst
    return findings


def worst_tied_gain(mechanism: DirectMechanism, grid: Grid) -> tuple[int, int]:
    """(largest gain, pairs of outcomes): every misreport, every outcome of truth and misreport."""
    worst = pairs = 0
    for profile, bidder in product(range(grid.profiles), range(grid.bidders)):
        truth = grid.market(profile)
        for misreport in grid.misreports(profile, bidder):
            for honest in outcomes_of(mechanism, truth, grid.ties):
                for deviating in outcomes_of(mechanism, misreport.applied(truth), grid.ties):
                    gain = deviating.bidder_utilities(truth)[bidder] - honest.bidder_utilities(truth)[bidder]
                    worst, pairs = max(worst, gain), pairs + 1
    return worst, pairs


@pytest.mark.parametrize("space", SMALL, ids=str)
@pytest.mark.parametrize("mechanism", KINDS, ids=str)
def test_all_means_every_selection(mechanism: IrresoluteMechanism, space: dict[str, object]) -> None:
    grid = Grid(**space, ties="all")  # type: ignore[arg-type]
    every = list(selections(mechanism, grid))
    [finding] = examined(mechanism, grid, Truthful())
    assert finding.worst == max(worst_gain(one, grid)[0] for one in every)
    assert bool(finding) == all(worst_gain(one, grid)[0] == 0 for one in every)


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_all_means_every_selection_of_random_outcomes(seed: int) -> None:
    mechanism, grid = Lots(seed), Grid(2, 1, range(2), capacities=2, ties="all")
    truthful, rational = examined(mechanism, grid, Truthful(), IndividuallyRational())
    every = list(selections(mechanism, grid))
    assert truthful.worst == max(worst_gain(one, grid)[0] for one in every)
    losses = [
        -min(one.run(truth).bidder_utilities(truth).values())
        for one in every
        for truth in map(grid.market, range(grid.profiles))
    ]
    assert rational.worst == max(0, *losses)


@pytest.mark.parametrize("ties", ["all", "refuse"])
@pytest.mark.parametrize("mechanism", [*KINDS, Lots(1), Lots(2), Lots(3)], ids=str)
def test_menus_over_ties_have_the_worst_gain_of_the_definition(mechanism: DirectMechanism, ties: str) -> None:
    for space in ({"agents": 2, "values": range(2)}, {"agents": 1, "values": range(4), "costs": 1}):
        grid = Grid(2, **space, ties=ties)  # type: ignore[arg-type]
        [finding] = examined(mechanism, grid, Truthful())
        assert (finding.worst, finding.cases) == worst_tied_gain(mechanism, grid)


@pytest.mark.parametrize("rule", [TwoSidedVCG(), ProcurementVCG()], ids=str)
def test_all_means_every_selection_for_agents_too(rule: TwoSidedVCG) -> None:
    mechanism = Mechanism(MinCostFlow(), rule)
    grid = Grid(1, 2, range(2), private_costs=range(2), one_good=True, ties="all")
    agents, both, bidders = examined(mechanism, grid, TruthfulAgents(), TruthfulBoth(), Truthful())
    every = list(selections(mechanism, grid))
    assert agents.worst == max(worst_agent_gain(one, grid)[0] for one in every)
    assert bidders.worst == max(worst_gain(one, grid)[0] for one in every)
    assert both.worst == max(agents.worst, bidders.worst)


@pytest.mark.parametrize("mechanism", [*KINDS, Lots(4), Lots(5)], ids=str)
def test_refuse_says_less_than_first_and_first_less_than_all(mechanism: DirectMechanism) -> None:
    asked = [Truthful(), IndividuallyRational(), Efficient()]
    space = {"bidders": 2, "agents": 2, "values": (0, 1, 3), "costs": (0, 1)}
    every, none = (examined(mechanism, Grid(**space, ties=ties), *asked) for ties in ("all", "refuse"))  # type: ignore[arg-type]
    one = list(first_alone(mechanism, Grid(**space), asked).values())  # type: ignore[arg-type]
    for prop in range(len(asked)):
        assert every[prop].worst >= one[prop].worst >= none[prop].worst


def test_a_property_of_outcomes_must_hold_at_every_tied_outcome() -> None:
    grid = Grid(2, 2, range(3), ties="all")
    efficient, half = examined(Mechanism(Greedy(), VCG()), grid, Efficient(), Approximation("2/3"))
    missing = [
        [optimal.welfare - outcome.welfare for outcome in Mechanism(Greedy(), VCG()).outcomes(truth)]
        for truth in map(grid.market, range(grid.profiles))
        for optimal in [Mechanism(MinCostFlow(), VCG()).run(truth)]
    ]
    assert efficient.worst == max(map(max, missing)) and efficient.cases == sum(map(len, missing))
    assert half.note.startswith("worst on the scope: 1/2, at values ") and "profiles tie" in half.note


def test_refuse_leaves_out_profiles_that_tie() -> None:
    grid = Grid(2, 1, range(3), ties="refuse")
    [finding] = examined(Mechanism(MinCostFlow(), PayAsBid()), grid, Efficient())
    assert finding.cases == 6 and finding.note == "3 of 9 profiles tie and are left out"
    with pytest.raises(AuditError, match="every profile ties, so that nothing is left"):
        examined(Mechanism(MinCostFlow(), VCG()), Grid(2, 1, (0,), ties="refuse"), Truthful())


def test_vcg_is_truthful_however_ties_are_broken() -> None:
    for ties in ("first", "all", "refuse"):
        report = audit("vcg", Grid(2, 2, range(3), ties=ties))
        assert report.passed and f"({ties})" in str(report)


def test_a_posted_price_is_truthful_unless_a_later_report_moves_an_earlier_tie() -> None:
    assert audit(POSTED, Grid(2, 1, range(3)), ["truthful"]).passed
    assert audit(POSTED, Grid(2, 1, range(3), ties="refuse"), ["truthful"]).passed
    found = audit(POSTED, Grid(2, 1, range(3), ties="all"), ["truthful"])["truthful"].counterexample
    assert found is not None
    assert found.truth.values.tolist() == [[0], [1]] and found.misreport == Misreport(1, ((0,),))


def test_misreports_to_greedy_lead_through_ties_on_a_coarse_grid_alone() -> None:
    greedy = Mechanism(Greedy(), VCG())
    coarse, fine = (examined(greedy, Grid(2, 2, range(top), ties="refuse"), Truthful())[0] for top in (3, 4))
    assert coarse.status is Status.VERIFIED and fine.status is Status.REFUTED


def test_a_verdict_of_first_is_one_allocators_luck() -> None:
    """Pay-as-bid is truthful on {0, 1} while a worthless request stays out, and no longer where it is served."""
    grid = Grid(1, 1, range(2))
    assert audit(Mechanism(MinCostFlow(), PayAsBid()), grid, ["truthful"]).passed
    assert not audit(Mechanism(Generous(), PayAsBid()), grid, ["truthful"]).passed
    for allocator in (MinCostFlow(), Generous()):
        [finding] = examined(Mechanism(allocator, PayAsBid()), Grid(1, 1, range(2), ties="all"), Truthful())
        assert finding.worst == 1


def test_other_outcomes_of_the_same_report_are_no_misreport() -> None:
    [finding] = examined(Lots(7), Grid(2, 1, (1,), ties="all"), Truthful())
    assert finding.cases == 0 and finding.status is Status.UNKNOWN
    market = {"values": [[1], [1]], "costs": [[0], [0]], "capacities": [1]}
    assert len(Lots(7).outcomes(Market(**market))) > 1
    assert violation("truthful", "tests.proofs.rules:LOTS", bidder=0, misreport=[[1]], ties="all", **market) == 0


def test_epsilon_counts_the_worst_tie() -> None:
    grid = Grid(2, 1, range(3), ties="all")
    tolerant, strict = (examined(POSTED, grid, EpsilonTruthful(ticks))[0] for ticks in (2, 1))
    assert tolerant and tolerant.note.startswith("worst regret on the scope: 2")
    assert strict.worst == 2


class Steady:
    """A stranger's claim about misreports: the deviator's charge never falls."""

    name = "steady"

    def compare(self, truth: Market, misreport: Misreport, honest: Outcome, deviating: Outcome) -> object:
        from proofs import Violation

        fall = int(honest.payments.charges[misreport.bidder] - deviating.payments.charges[misreport.bidder])
        return Violation(fall, f"{misreport}, and pays {fall} less") if fall > 0 else None


def test_a_strangers_claim_about_misreports_is_tried_pair_by_pair() -> None:
    grid = Grid(2, 1, range(3), ties="all")
    [finding] = examined(Mechanism(MinCostFlow(), PayAsBid()), grid, Steady())
    assert finding.worst == 2 and finding.cases == worst_tied_gain(Mechanism(MinCostFlow(), PayAsBid()), grid)[1]


@pytest.mark.parametrize("ties", ["all", "refuse"])
def test_counterexamples_travel_with_their_ties(ties: str, tmp_path: object) -> None:
    mechanism, grid = Mechanism(MinCostFlow(), PayAsBid()), Grid(2, 2, range(4), ties=ties)
    [finding] = examined(mechanism, grid, Truthful())
    assert finding.counterexample is not None
    small = shrink(finding.counterexample, mechanism)
    assert small.ties == ties and small.truth.shape == (1, 1)
    assert f"ties: {ties}" in str(small)
    again = Counterexample.from_json(small.to_json())
    assert again.to_json() == small.to_json() and again.replay(mechanism) == small.amount
    assert eval(small.expression("pay-as-bid")) == small.amount
    if ties == "all":
        with pytest.raises(AuditError, match="nothing fails now"):
            Counterexample.from_json(small.to_json().replace('"all"', '"first"')).replay(mechanism)


def test_a_file_from_before_ties_reads_as_first() -> None:
    found = Counterexample.of(
        Truthful(), Mechanism(MinCostFlow(), PayAsBid()), Market([[2]], [[0]], [1]), Misreport(0, ((1,),))
    )
    assert found is not None
    data = json.loads(found.to_json())
    del data["ties"]
    assert Counterexample.from_json(json.dumps(data)).ties == "first"
    with pytest.raises(AuditError, match="ties = 'some'; expected one of first, all, refuse"):
        Counterexample.from_json(json.dumps({**data, "ties": "some"}))


def test_reports_over_ties_replay_from_their_file(tmp_path: object) -> None:
    from pathlib import Path

    report = audit("posted-price", Grid(2, 1, range(2), ties="all"), ["truthful", "individually-rational"])
    file = Path(str(tmp_path)) / "report.json"
    file.write_text(report.to_json())
    assert main([str(file)]) == REPLAYED


def test_a_market_that_ties_is_no_counterexample_where_ties_are_refused() -> None:
    market = Market([[0], [1]], [[0], [0]], [1])
    misreport = Misreport(1, ((0,),))
    assert Counterexample.of(Truthful(), POSTED, market, misreport, "all") is not None
    assert Counterexample.of(Truthful(), POSTED, market, misreport, "refuse") is None


@pytest.mark.parametrize("prop", [GroupTruthful(2), BayesianTruthful(grid_prior(Grid(2, 1, range(2))))], ids=str)
def test_claims_without_a_meaning_over_ties_are_refused(prop: Property) -> None:
    with pytest.raises(AuditError, match="is not examined under other tie-breaks; audit it with ties='first'"):
        audit("vcg", Grid(2, 1, range(2), ties="all"), [prop])


def test_averages_are_not_replayed_over_ties() -> None:
    prop = BayesianTruthful(grid_prior(Grid(2, 1, range(2))))
    with pytest.raises(AuditError, match="averages over many markets"):
        Counterexample.of(
            prop, Mechanism(MinCostFlow(), VCG()), Grid(2, 1, range(2)).market(0), Misreport(0, ((1,),)), "all"
        )


@pytest.mark.parametrize(
    ("mechanism", "message"),
    [
        (Dice(1), r"Dice does not say how it might have broken ties; give it a method outcomes\(market\)"),
        (find_mechanism("vcg", "tests.proofs.allocators:MaxMin"), r"MaxMin does not say .* method ties\(market\)"),
        (Misordered(), "list that of run.market. first"),
        (Wavering(), "Wavering answers .* differently when asked again"),
    ],
)
def test_mechanisms_that_do_not_know_their_ties_are_told_what_to_say(mechanism: DirectMechanism, message: str) -> None:
    with pytest.raises(AuditError, match=message):
        audit(mechanism, Grid(2, 1, range(3), ties="all"))


def test_a_mechanism_that_lists_nothing_or_nonsense_is_refused() -> None:
    market = Market([[1]], [[0]], [1])

    @dataclass
    class Lister:
        listed: tuple[object, ...]

        def run(self, market: Market) -> Outcome:
            raise AssertionError

        def outcomes(self, market: Market) -> tuple[object, ...]:
            return self.listed

    twice = Outcome(market, Allocation([0]), Payments(np.array([0]), np.array([0])))
    assert len(outcomes_of(Lister((twice, twice)), market, "all")) == 1
    with pytest.raises(AuditError, match="lists no outcome"):
        outcomes_of(Lister(()), market, "all")
    with pytest.raises(AuditError, match="returned int"):
        outcomes_of(Lister((3,)), market, "all")


@pytest.mark.parametrize("ties", ["some", None, 1, ["all"]])
def test_unknown_ties_are_refused_by_name(ties: object) -> None:
    with pytest.raises(AuditError, match="expected one of first, all, refuse"):
        Grid(ties=ties)  # type: ignore[arg-type]


def test_options_that_would_be_ignored_are_refused() -> None:
    with pytest.raises(AuditError, match="for ties='first' alone"):
        audit("vcg", Grid(2, 1, range(2), ties="all"), workers=2)


def test_what_speaks_of_one_allocation_per_market_refuses_other_ties() -> None:
    grid = Grid(2, 1, range(2), ties="all")
    with pytest.raises(AuditError, match="give this grid ties='first'"):
        implementability("greedy", grid)
    with pytest.raises(AuditError, match="give this grid ties='first'"):
        design(grid, "revenue")
