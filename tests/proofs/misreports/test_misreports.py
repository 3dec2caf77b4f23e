"""Sweeps of agents, coalitions, several names, priors: against their definitions, on mechanisms of every kind."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from allocation import Greedy, Market, MinCostFlow
from mechanisms import VCG, DirectMechanism, Mechanism, PayAsBid, Prior
from mechanisms.rules.two_sided import TwoSidedVCG
from proofs import (
    AuditError,
    Counterexample,
    Grid,
    Misreport,
    Property,
    Reals,
    Sample,
    Status,
    Truthful,
    audit,
    find_property,
    shrink,
)
from proofs.claims.property import property_name
from proofs.misreports.coalition import AgentMisreport, Coalition
from proofs.misreports.identity import FalseNames, OtherReports, Swap
from proofs.properties.agents import EpsilonTruthful, TruthfulAgents, TruthfulBoth
from proofs.properties.bayesian import BayesianTruthful, grid_prior
from proofs.properties.coalitions import GroupTruthful
from proofs.properties.false_names import FalseNameProof
from proofs.properties.obvious import ObviouslyTruthful
from tests.proofs.helpers import examined, worst_gain
from tests.proofs.naive import (
    worst_agent_gain,
    worst_coalition,
    worst_interim_gain,
    worst_names,
    worst_obvious,
)
from tests.proofs.rules import EXACT, Dice, Dictators

pytestmark = pytest.mark.usefixtures("replayed_here")

SQUARE = Grid(bidders=2, agents=2, values=range(3))
LINE = Grid(bidders=2, agents=1, values=range(3))
TWO_SIDED = Grid(2, 1, range(2), private_costs=range(3), private_capacities=range(3))
GREEDY = Mechanism(Greedy(), VCG())
FIRST_PRICE = Mechanism(MinCostFlow(), PayAsBid())
KINDS = [EXACT, FIRST_PRICE, GREEDY, Dictators(), *map(Dice, range(3))]


def worst(mechanism: DirectMechanism, grid: Grid, prop: Property) -> int:
    finding = examined(mechanism, grid, [prop])[prop.name]
    if finding.counterexample is not None:
        again = Counterexample.from_json(finding.counterexample.to_json())
        assert again.replay(mechanism) == finding.worst
    assert (finding.status is Status.REFUTED) == (finding.worst > 0)
    return finding.worst


@pytest.mark.parametrize("mechanism", [*KINDS, Mechanism(MinCostFlow(), TwoSidedVCG())], ids=str)
@pytest.mark.parametrize("per_pair", [False, True])
def test_agents_gain_what_the_definition_says(mechanism: DirectMechanism, per_pair: bool) -> None:
    grid = Grid(2, 1, range(2), private_costs=range(2), private_capacities=range(3), costs_per_pair=per_pair)
    gain, pairs = worst_agent_gain(mechanism, grid)
    assert worst(mechanism, grid, TruthfulAgents()) == gain
    assert examined(mechanism, grid, [TruthfulAgents()])["truthful-agents"].cases == pairs
    assert worst(mechanism, grid, TruthfulBoth()) == max(gain, worst_gain(mechanism, grid)[0])


@pytest.mark.parametrize("mechanism", KINDS, ids=str)
@pytest.mark.parametrize(
    ("prop", "how"),
    [
        (GroupTruthful(2), "no loser"),
        (GroupTruthful(2, transfers=True), "transfers"),
        (GroupTruthful(2, strict=True), "all gain"),
    ],
)
def test_coalitions_gain_what_the_definition_says(mechanism: DirectMechanism, prop: GroupTruthful, how: str) -> None:
    for grid in (Grid(3, 1, range(2)), Grid(1, 2, range(2), private_costs=range(2))):
        assert worst(mechanism, grid, prop) == worst_coalition(mechanism, grid, 2, how)


@pytest.mark.parametrize("mechanism", KINDS, ids=str)
def test_names_and_obvious_dominance_are_as_defined(mechanism: DirectMechanism) -> None:
    for grid in (LINE, Grid(2, 2, range(2))):
        assert worst(mechanism, grid, FalseNameProof()) == worst_names(mechanism, grid)
        assert worst(mechanism, grid, ObviouslyTruthful()) == worst_obvious(mechanism, grid)


@pytest.mark.parametrize("mechanism", KINDS, ids=str)
def test_expected_gains_are_as_defined(mechanism: DirectMechanism) -> None:
    aligned = Prior.over(
        [Market([[a], [b]], [[0], [0]], [1]) for a, b in ((0, 0), (1, 1), (2, 2), (2, 0))], (3, 2, 1, 1)
    )
    for prior in (grid_prior(LINE), grid_prior(LINE, (1, 5, 2)), aligned):
        gain = worst_interim_gain(mechanism, LINE, prior)
        assert Fraction(worst(mechanism, LINE, BayesianTruthful(prior)), prior.total) == gain


def test_agents_are_players_only_where_their_types_are_private() -> None:
    with pytest.raises(AuditError, match="give private_costs"):
        audit(EXACT, SQUARE, [TruthfulAgents()])
    assert TWO_SIDED.sizes == (2, 2, 9) and TWO_SIDED.profiles == 36 and TWO_SIDED.pairs == 36 * 2
    assert TWO_SIDED.misreport(2, 5) == AgentMisreport(0, (1, 1), 2)
    assert [TWO_SIDED.profile(TWO_SIDED.rows(profile)) for profile in range(36)] == list(range(36))
    assert "capacities private in {0..2}, costs private in {0..2} per agent" in str(TWO_SIDED)


def test_an_agent_that_cannot_deliver_gains_nothing() -> None:
    truth = Market([[5], [5]], [[0], [0]], [1])
    misreport, rule = AgentMisreport(0, (0, 0), 2), Mechanism(MinCostFlow(), TwoSidedVCG())
    assert rule.run(misreport.applied(truth)).agent_utilities(truth)[0] > rule.run(truth).agent_utilities(truth)[0]
    assert Counterexample.of(TruthfulAgents(), rule, truth, misreport) is None


def test_vcg_pays_agents_their_cost_and_so_invites_them_to_inflate_it() -> None:
    assert examined(EXACT, TWO_SIDED, [TruthfulAgents()])["truthful-agents"], "values 0 and 1 are too coarse to tell"
    grid = Grid(2, 1, range(3), private_costs=range(2))
    found = audit(EXACT, grid, [TruthfulAgents()])["truthful-agents"]
    assert found.counterexample is not None and found.note == "replayed in a fresh process"
    assert found.counterexample.text == "agent 0 reports costs [1] and capacity 1 instead of [0] and 1, and gains 1"


@pytest.mark.parametrize("transfers", [False, True])
def test_two_bidders_suffice_to_collude_against_vcg(transfers: bool) -> None:
    prop = GroupTruthful(2, transfers=transfers)
    found = audit(EXACT, SQUARE, [prop])[prop.name].counterexample
    assert found is not None and found.truth.values.tolist() == [[1], [1]]
    assert found.text == "bidder 0 reports [0] and bidder 1 reports [1], and they gain 0 + 1"
    assert eval(found.expression("vcg")) == 1


def test_no_pair_can_both_gain_against_vcg_with_one_slot() -> None:
    assert examined(EXACT, LINE, [GroupTruthful(2, strict=True)])


def test_unit_demand_makes_vcg_false_name_proof_even_for_owners_of_two() -> None:
    for grid in (SQUARE, Grid(3, 1, range(3), capacities=2), Grid(1, 2, range(2), requests_per_bidder=2)):
        assert examined(EXACT, grid, [FalseNameProof()])["false-name-proof(2)"]


def test_a_lottery_without_payments_is_won_by_buying_two_tickets() -> None:
    found = audit("vcg", SQUARE, [FalseNameProof()], allocator="random")["false-name-proof(2)"].counterexample
    assert found is not None and isinstance(found.misreport, FalseNames) and "appears as 2 bidders" in found.text
    assert eval(found.expression("vcg", "random")) == found.amount


def test_regret_is_reported_even_where_it_is_tolerated() -> None:
    finding = examined(FIRST_PRICE, SQUARE, [EpsilonTruthful(2)])["epsilon-truthful"]
    assert finding and finding.note.startswith("worst regret on the scope: 1;")
    refuted = audit(GREEDY, SQUARE, [EpsilonTruthful(1)])["epsilon-truthful"]
    assert refuted.worst == 2 and refuted.note == "worst regret on the scope: 2; replayed in a fresh process"


def test_second_prices_are_truthful_but_not_obviously() -> None:
    report = audit(EXACT, LINE, [Truthful(), ObviouslyTruthful()])
    assert report["truthful"] and report["obviously-truthful"].status is Status.REFUTED
    found = report["obviously-truthful"].counterexample
    assert found is not None and isinstance(found.misreport, OtherReports) and eval(found.expression("vcg")) == 1
    assert examined(EXACT, Grid(2, 1, range(3), capacities=2), [ObviouslyTruthful()])["obviously-truthful"]


@pytest.mark.parametrize("mechanism", [EXACT, Mechanism(Greedy(), PayAsBid())], ids=str)
def test_agents_with_private_terms_are_among_the_others_of_obvious_dominance(mechanism: DirectMechanism) -> None:
    grid = Grid(2, 1, range(3), private_costs=range(2), private_capacities=range(2))
    finding = examined(mechanism, grid, [ObviouslyTruthful()])["obviously-truthful"]
    assert finding.worst == worst_obvious(mechanism, grid) > 0
    assert finding.counterexample is not None
    small = shrink(finding.counterexample, mechanism)
    again = Counterexample.from_json(small.to_json())
    assert again.replay(mechanism) == small.amount == eval(small.expression(mechanism))


def test_samples_search_for_every_kind_of_deviation() -> None:
    sample = Sample(bidders=5, agents=2, draws=6, private_costs=(0, 50), private_capacities=(0, 2))
    found = examined(EXACT, sample, [TruthfulAgents(), TruthfulBoth(), GroupTruthful(), FalseNameProof()])
    assert [str(finding.status) for finding in found.values()] == ["REFUTED"] * 3 + ["UNKNOWN"]
    assert str(sample).count("private in {0..") == 2


@pytest.mark.parametrize(
    "deviation",
    [
        Misreport(0, ((1, 2),)),
        AgentMisreport(1, (1, 2), 1),
        Coalition((Misreport(0, ((1, 2),)), AgentMisreport(0, (1, 0), 1))),
        FalseNames(1, (((1, 2),), ((0, 1),))),
        Swap(0, 1),
        OtherReports(Misreport(0, ((1, 2),)), ((0, 0), (1, 1))),
    ],
    ids=lambda deviation: type(deviation).__name__,
)
def test_deviations_keep_their_meaning_in_smaller_markets(deviation: Misreport) -> None:
    truth = Market([[3, 1], [2, 4]], [[0, 1], [1, 0]], [1, 1])
    assert deviation.renumbered(deviation.numbers) == deviation
    assert deviation.restricted(truth, np.arange(2), {0: 0, 1: 1}) == deviation
    assert all(part.size < deviation.size for part in deviation.parts())
    narrow = deviation.without_agent(1)
    applied = deviation.applied(truth)
    assert applied.shape[1] == 2 and applied.shape[0] >= 2
    if narrow is not None:
        slim = Market(truth.values[:, :1], truth.costs[:, :1], [1])
        assert narrow.applied(slim).values.tolist() == applied.values[:, :1].tolist()


@pytest.mark.parametrize(
    ("deviation", "message"),
    [
        (AgentMisreport(2, (0, 0), 1), "agents here are 0..1"),
        (AgentMisreport(0, (0,), 1), "1 costs"),
        (AgentMisreport(0, (0, 0), -1), "capacity -1"),
        (Coalition(()), "needs members"),
        (Coalition((Misreport(0, ((0, 0),)), Misreport(0, ((1, 1),)))), "each once"),
        (FalseNames(0, ()), "under no name"),
        (Swap(0, 0), "change places"),
        (OtherReports(Misreport(0, ((0, 0),)), ((0, 0),)), "shape"),
    ],
)
def test_deviations_that_do_not_fit_are_refused(deviation: Misreport, message: str) -> None:
    with pytest.raises(AuditError, match=message):
        deviation.applied(Market([[3, 1], [2, 4]], [[0, 1], [1, 0]], [1, 1]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GroupTruthful(0), "at least one"),
        (lambda: GroupTruthful(2, transfers=True, strict=True), "drop strict"),
        (lambda: FalseNameProof(1), "use Truthful"),
        (lambda: EpsilonTruthful(-1), "expected an integer >= 0"),
        (lambda: EpsilonTruthful(0.5), "ticks holds 0.5"),  # type: ignore[arg-type]
        (lambda: find_property("no-deficit-realised(over=0.5)"), "over holds 0.5"),
        (lambda: find_property("group-truthful(members=2.5)"), "members holds 2.5"),
        (lambda: find_property("false-name-proof(identities=2.5)"), "identities holds 2.5"),
        (lambda: find_property("approximation(ratio='x')"), "ratio = 'x'; expected a fraction"),
        (lambda: find_property("approximation(ratio='1/0')"), "ratio = '1/0'; expected a fraction"),
        (lambda: find_property("truthful:"), "names no module or nothing in it"),
        (lambda: Grid(bidders=100, agents=100), r"about 10\^6020 profiles"),
        (lambda: Reals(10_000, 2), r"about 10\^4771 feasible"),
        (lambda: Grid(bidders=10**9), "pairs; use fewer"),
        (lambda: Grid(values=range(10**9)), "more than 4,194,304 micro-units"),
        (lambda: grid_prior(LINE, (1, 2)), "2 weights for the values"),
        (lambda: Grid(private_costs=()), "private_costs is empty"),
        (lambda: Grid(private_costs=range(2), costs=1), "both say"),
        (lambda: Grid(private_capacities=(-1, 0)), "expected integers >= 0"),
        (lambda: Sample(private_capacities=(-1, 0)), "private_capacities"),
        (lambda: audit(EXACT, LINE, [BayesianTruthful(grid_prior(SQUARE))]), "not on"),
        (lambda: find_property("bayesian-truthful"), "prior"),
    ],
)
def test_claims_that_make_no_sense_are_refused(build: object, message: str) -> None:
    with pytest.raises(AuditError, match=message):
        build()  # type: ignore[operator]


def test_every_shipped_claim_is_found_by_its_name() -> None:
    for prop in (GroupTruthful(3), FalseNameProof(), TruthfulBoth(), ObviouslyTruthful()):
        assert type(find_property(property_name(prop))) is type(prop)


def test_an_expected_gain_replays_in_a_fresh_interpreter() -> None:
    found = audit("pay-as-bid", LINE, [BayesianTruthful(grid_prior(LINE))])["bayesian-truthful"].counterexample
    assert found is not None and found.text == "bidder 0 reports [1] instead of [2] and gains 2/3 on average"
    code = f"assert {found.expression('pay-as-bid')} == {found.amount}"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert child.returncode == 0, child.stderr
