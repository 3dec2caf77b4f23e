"""Every named fault is caught, where the unmutated original passes on the very same scope."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from allocation import Allocator, CertificateError, MinCostFlow
from mechanisms import (
    VCG,
    DirectMechanism,
    ExpectedExternality,
    FirstCome,
    Mechanism,
    PaymentRule,
    PostedPrice,
    TradeReduction,
    TwoSidedVCG,
)
from mechanisms.rules.affine import AffineMaximizer, ReserveVCG
from mechanisms.rules.critical import ByValue, CriticalValue, Vickrey
from mechanisms.rules.pricing import SecondPrice
from mechanisms.rules.redistribution import Redistribution
from mechanisms.rules.sharing import Free, ProportionalShare, RandomPriority
from mechanisms.settlement import OnMeasurement
from proofs import ALL, AuditError, Counterexample, Grid, Property, Status, audit, find_property
from proofs.properties.agents import AgentsRational, TruthfulAgents, TruthfulBoth
from proofs.properties.bayesian import BayesianTruthful, grid_prior
from proofs.properties.budget import Balanced, NoDeficitRealised
from proofs.subject.subject import Subject
from tests.proofs import mutants as m
from tests.proofs.rules import PerRequest

EVERYTHING: tuple[Property, ...] = (*ALL, AgentsRational())
SAFE = ("individually-rational", "no-deficit")
TRUE_AND_RATIONAL = ("truthful", "individually-rational")

SQUARE = Grid(bidders=2, agents=2, values=range(4), costs=(0, 1))
ONE = Grid(bidders=2, agents=1, values=range(4), costs=1)
ROOMY = Grid(bidders=2, agents=2, values=range(3), costs=(0, 1), capacities=2)
FREE = Grid(bidders=2, agents=1, values=range(4))
THIRDS = Grid(bidders=3, agents=1, values=(0, 3, 6, 9))
CROWD = Grid(bidders=3, agents=1, values=range(4), costs=1)
OWNERS = Grid(bidders=2, agents=1, values=range(3), requests_per_bidder=2, capacities=2)
APART = Grid(bidders=3, agents=2, values=range(3), feasible=[[True, False], [True, False], [False, True]])
UNEVEN = Grid(bidders=2, agents=1, values=range(4), costs=[[0], [2]])
MARKETPLACE = Grid(bidders=1, agents=2, values=range(3), private_costs=range(3))
ROOMY_MARKETPLACE = Grid(bidders=2, agents=1, values=range(3), private_costs=range(2), private_capacities=(1, 2))
ONE_GOOD = Grid(bidders=2, agents=2, values=range(4), private_costs=range(3), one_good=True)
BELIEFS = Grid(bidders=2, agents=1, values=(0, 8), private_costs=(0, 4))

CRITICAL = Mechanism(ByValue(), CriticalValue())
BOOSTED = AffineMaximizer(weights=(), boosts=(-1, 0))
POSTED = Mechanism(FirstCome(), PostedPrice())
LOTTERY = Mechanism(RandomPriority(), Free())


@dataclass(frozen=True)
class Mutant:
    """A fault, its original, the scope on which they are told apart, and by which properties; none: refused."""

    name: str
    mutant: DirectMechanism
    original: DirectMechanism
    scope: Grid
    killers: tuple[str, ...] = ()
    properties: Sequence[Property] = field(default=EVERYTHING)

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def vcg(how: str, scope: Grid, *killers: str) -> Mutant:
    return Mutant(how, Mechanism(MinCostFlow(), m.Spoiled(how)), m.EXACT, scope, killers)


def misread(how: str, scope: Grid, *killers: str) -> Mutant:
    return Mutant(how, Mechanism(m.Misread(how), VCG()), m.EXACT, scope, killers)


def whole(
    name: str,
    wrong: DirectMechanism,
    right: DirectMechanism,
    scope: Grid,
    *killers: str,
    promised: Sequence[str | Property] = ("truthful", *SAFE),
) -> Mutant:
    properties = [find_property(each) if isinstance(each, str) else each for each in promised]
    return Mutant(name, wrong, right, scope, killers, properties)


def rule(name: str, wrong: PaymentRule, right: PaymentRule, scope: Grid, *killers: str, over: Allocator) -> Mutant:
    return whole(name, Mechanism(over, wrong), Mechanism(over, right), scope, *killers)


def agents(how: str, scope: Grid, *killers: str) -> Mutant:
    wrong, right = (Mechanism(MinCostFlow(), rule) for rule in (m.AgentsWrong(how), TwoSidedVCG()))
    return whole(how, wrong, right, scope, *killers, promised=(TruthfulAgents(), AgentsRational()))


PRIOR = grid_prior(BELIEFS)
AVERAGE = ExpectedExternality(PRIOR)
BALANCED = (Balanced(), BayesianTruthful(PRIOR))

MUTANTS = (
    vcg("half the Clarke term", SQUARE, "truthful"),
    vcg("wrong sign", SQUARE, "truthful", "no-deficit"),
    vcg("missing cost", SQUARE, "truthful", "no-deficit"),
    vcg("cost counted twice", SQUARE, "truthful", "individually-rational"),
    vcg("receipts without cost", SQUARE, "agents-rational"),
    vcg("charging the unserved", ONE, "truthful", "individually-rational"),
    vcg("price of the next agent", SQUARE, "truthful", "individually-rational"),
    vcg("price before the last bidder came", ONE, "truthful"),
    vcg("one micro-unit less", ONE, "truthful", "no-deficit"),
    vcg("one price for all, the highest", SQUARE, "truthful", "individually-rational"),
    vcg("between the lowest and the highest clearing price", SQUARE, "truthful"),
    Mutant("price of the round before", Mechanism(MinCostFlow(), m.Remembering()), m.EXACT, ONE),
    Mutant("Clarke per request", Mechanism(MinCostFlow(), PerRequest()), m.EXACT, OWNERS, ("truthful",)),
    misread("capacity plus one", ONE),
    misread("capacity minus one", ROOMY, "efficient"),
    misread("no costs", UNEVEN, "truthful", *SAFE, "efficient"),
    misread("costs added", SQUARE, *SAFE, "efficient"),
    misread("forbidden pairs allowed", APART),
    misread("last agent forgotten", SQUARE, "efficient"),
    misread("first request forgotten", SQUARE, "no-deficit", "efficient"),
    misread("agents by index, not by worth", SQUARE, "truthful", *SAFE, "efficient"),
    rule("Vickrey: ties do not count", m.VickreyWrong("ties"), Vickrey(), ONE, "truthful", over=ByValue()),
    rule("Vickrey: forbidden pairs", m.VickreyWrong("forbidden"), Vickrey(), APART, *TRUE_AND_RATIONAL, over=ByValue()),
    rule("Vickrey: winners count", m.VickreyWrong("winners"), Vickrey(), APART, *TRUE_AND_RATIONAL, over=ByValue()),
    rule("Vickrey: no reserve", m.VickreyWrong("reserve"), Vickrey(), ONE, "truthful", "no-deficit", over=ByValue()),
    whole("greedy by welfare", Mechanism(m.ByWelfare(), CriticalValue()), CRITICAL, UNEVEN, *TRUE_AND_RATIONAL),
    rule("critical value plus one", m.CriticalShifted(1), CriticalValue(), ONE, *TRUE_AND_RATIONAL, over=ByValue()),
    rule(
        "critical value minus one",
        m.CriticalShifted(-1),
        CriticalValue(),
        ONE,
        "truthful",
        "no-deficit",
        over=ByValue(),
    ),
    whole(
        "second price one slot up",
        Mechanism(MinCostFlow(), m.SecondPriceOneSlotUp()),
        Mechanism(MinCostFlow(), SecondPrice()),
        CROWD,
        "individually-rational",
        promised=SAFE,
    ),
    rule("rebate too large", m.Rebates(own_bid=False), Redistribution(), CROWD, "no-deficit", over=MinCostFlow()),
    rule("rebate counts own bid", m.Rebates(own_bid=True), Redistribution(), THIRDS, "truthful", over=MinCostFlow()),
    whole("reserve below cost", AffineMaximizer(weights=(), boosts=1), ReserveVCG(), SQUARE, "no-deficit"),
    whole("boost with the wrong sign", m.AffineWrong("boost"), BOOSTED, SQUARE, "truthful", "no-deficit"),
    whole(
        "weights not divided back", m.AffineWrong("weights"), AffineMaximizer(weights=(2,)), SQUARE, *TRUE_AND_RATIONAL
    ),
    rule("posted price that reports move", m.PriceByReports(), PostedPrice(), FREE, "truthful", over=FirstCome()),
    whole("queue ordered by reports", Mechanism(m.HighestFirst(), PostedPrice()), POSTED, ONE, "truthful"),
    whole("lottery seeded by reports", Mechanism(m.SeededByReports(), Free()), LOTTERY, ONE, "truthful"),
    whole(
        "shares rounded down",
        Mechanism(MinCostFlow(), m.SharesRoundedDown()),
        Mechanism(MinCostFlow(), ProportionalShare()),
        ROOMY,
        "no-deficit",
        promised=SAFE,
    ),
    agents("paid what they ask", MARKETPLACE, "truthful-agents"),
    agents("cost not returned", MARKETPLACE, "truthful-agents", "agents-rational"),
    agents("own cost in the Clarke term", MARKETPLACE, "truthful-agents"),
    agents("one slot fewer in place of none", ROOMY_MARKETPLACE, "truthful-agents"),
    whole(
        "nothing reduced", m.NothingReduced(), TradeReduction(), ONE_GOOD, "truthful-both", promised=[TruthfulBoth()]
    ),
    whole("a share off", m.ShareOff(AVERAGE), AVERAGE, BELIEFS, "balanced", promised=BALANCED),
)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay in this process: forty fresh ones would take a minute, and test_counterexample.py tries those."""

    def again(subject: Subject, found: Sequence[Counterexample]) -> str:
        for counterexample in found:
            counterexample.replay(subject.mechanism)
        return "replayed"

    monkeypatch.setattr("proofs.replay.replay_fresh", again)


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_mutant_is_caught_where_its_original_passes(mutant: Mutant) -> None:
    assert audit(mutant.original, mutant.scope, mutant.properties).passed
    if not mutant.killers:
        with pytest.raises((AuditError, CertificateError), match=r"capacity is 1|a forbidden pair|asked again"):
            audit(mutant.mutant, mutant.scope, mutant.properties)
        return
    report = audit(mutant.mutant, mutant.scope, mutant.properties)
    assert tuple(finding.property.name for finding in report.refuted) == mutant.killers
    for finding in report.refuted:
        assert finding.status is Status.REFUTED and finding.counterexample is not None
        assert len(finding.counterexample.truth.players) <= len(mutant.scope.template.players)


def test_a_settlement_that_pays_twice_is_caught() -> None:
    right, wrong = (NoDeficitRealised(over=1, under=1, settlement=each) for each in (OnMeasurement(), m.PaysTwice()))
    assert audit(m.EXACT, ONE, [right]).passed
    assert audit(m.EXACT, ONE, [wrong])["no-deficit-realised"].status is Status.REFUTED


def test_names_are_unique_and_many() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 24
