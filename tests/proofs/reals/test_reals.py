"""What is proved, refuted and left open over all real values, and what is refused."""

import itertools
import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
import pytest

from allocation import UNSERVED, Allocation, Allocator, Greedy, Market, MinCostFlow, Random
from mechanisms import VCG, FirstCome, Mechanism, Outcome, PayAsBid, Payments, PostedPrice, serving_costs
from mechanisms.rules.two_sided import ProcurementVCG, TwoSidedVCG
from proofs import AuditError, Finding, Grid, IndividuallyRational, Property, Reals, Status, Truthful, audit
from proofs.properties.fairness import Monotone
from proofs.reals.encoding import PROVABLE
from proofs.reals.max_regret import supremum
from proofs.reals.symbolic import Symbolic
from proofs.scopes.grid import Scope
from proofs.symbols.description import (
    ByWeight,
    Charges,
    Description,
    DescriptionError,
    InTurn,
    Optimal,
    Space,
    describe,
)
from proofs.symbols.linear import Linear, holds
from tests.proofs.helpers import examined
from tests.proofs.rules import EXACT, Nobody

pytestmark = pytest.mark.usefixtures("replayed_here")

FIRST_PRICE = Mechanism(MinCostFlow(), PayAsBid())
GREEDY = Mechanism(Greedy(), VCG())


def found(mechanism: object, scope: Scope, *properties: Property, engine: Symbolic | None = None) -> dict[str, Finding]:
    asked = properties or PROVABLE
    findings = (engine or Symbolic()).examine(mechanism, scope, asked, lambda done, total: None)  # type: ignore[arg-type]
    return {finding.property.name: finding for finding in findings}


@pytest.mark.parametrize(
    "scope",
    [
        Reals(2, 2),
        pytest.param(Reals(3, 2, capacities=(2, 1), costs="any"), marks=pytest.mark.slow),
        Reals(2, 2, costs=((1, 0), (0, 2))),
        Reals(2, 2, capacities=(2, 1), owners=(0, 0, 1)),
        Reals(2, 2, box=(0, Fraction(1, 3))),
    ],
    ids=str,
)
def test_vcg_is_all_it_promises(scope: Reals) -> None:
    for name, finding in found(EXACT, scope).items():
        assert finding.status is Status.PROVED and finding, name
        assert (finding.certificate is None) == (name == "efficient")
        assert "tie-break" in str(finding.scope)


@pytest.mark.slow
def test_vcg_at_three_by_three() -> None:
    findings = found(EXACT, Reals(3, 3))
    assert all(findings.values())
    assert findings["truthful"].cases == 34**2


def test_pay_as_bid_is_refuted_in_whole_ticks() -> None:
    report = audit(FIRST_PRICE, Reals(3, 3), ["truthful"])
    finding = report["truthful"]
    assert finding.status is Status.REFUTED and report.refuted
    assert finding.counterexample is not None and finding.counterexample.replay(FIRST_PRICE) == 1
    assert finding.counterexample.text == "bidder 0 reports [1] instead of [2] and gains 1"
    assert "replayed in a fresh process" in finding.note


def test_clarke_does_not_rescue_greedy() -> None:
    finding = audit(GREEDY, Reals(2, 2), [Truthful()])["truthful"]
    assert finding.counterexample is not None
    assert finding.counterexample.replay(GREEDY) == finding.counterexample.amount == 1


@pytest.mark.slow
def test_greedy_may_lose_an_honest_bidder_only_by_ties_it_does_not_have() -> None:
    finding = found(GREEDY, Reals(3, 2))["individually-rational"]
    assert finding.status is Status.UNKNOWN and not finding
    assert "another tie-break than the object's" in finding.note


@dataclass(frozen=True)
class Fickle:
    """Greedy that breaks ties one way among an odd number of requests, and the other way among an even one."""

    symbolic: ClassVar[ByWeight] = ByWeight()

    def allocate(self, market: Market) -> Allocation:
        if market.shape[0] % 2:
            return Greedy().allocate(market)
        turned = Market(market.values[::-1], market.costs[::-1], market.capacities, None, market.bidders[::-1])
        return Allocation(Greedy().allocate(turned).agents[::-1])


@pytest.mark.slow
def test_an_object_that_has_such_ties_is_refuted() -> None:
    fickle = Mechanism(Fickle(), VCG())
    finding = found(fickle, Reals(3, 2), IndividuallyRational())["individually-rational"]
    assert finding.counterexample is not None and finding.counterexample.replay(fickle) > 0


@pytest.mark.parametrize("markup", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_posted_prices_are_truthful_and_solvent(markup: int) -> None:
    posted = Mechanism(FirstCome(markup), PostedPrice(markup))
    findings = found(posted, Reals(2, 2, costs=(0, 1)))
    assert [str(finding.status) for finding in findings.values()] == ["PROVED"] * 3 + ["REFUTED"]
    assert all(finding.certificate is None for finding in findings.values())


def test_prices_other_than_those_chosen_at_are_refuted_although_amounts_are_fixed_in_ticks() -> None:
    mispriced = Mechanism(FirstCome(0), PostedPrice(3))
    findings = found(mispriced, Reals(2, 1))
    assert findings["truthful"].status is findings["individually-rational"].status is Status.REFUTED
    witness = findings["truthful"].counterexample
    assert witness is not None and witness.replay(mispriced) > 0


@pytest.mark.parametrize(
    ("grid", "scope"),
    [
        pytest.param(Grid(2, 2, range(4)), Reals(2, 2), marks=pytest.mark.slow),
        pytest.param(
            Grid(2, 1, range(-1, 4), capacities=2, owners=(0, 0, 1)),
            Reals(2, 1, capacities=2, owners=(0, 0, 1)),
            marks=pytest.mark.slow,
        ),
        (Grid(2, 1, range(5), costs=((2,), (1,))), Reals(2, 1, costs=((2,), (1,)))),
    ],
)
def test_verdicts_agree_with_the_grid(grid: Grid, scope: Reals) -> None:
    for mechanism in (EXACT, FIRST_PRICE, GREEDY, Mechanism(FirstCome(1), PostedPrice(1))):
        finite, real = examined(mechanism, grid, PROVABLE), found(mechanism, scope)
        for name, finding in finite.items():
            assert bool(finding) == bool(real[name]), (mechanism, name)


def test_a_second_solver_agrees() -> None:
    pytest.importorskip("cvc5", reason="pip install cvc5 for the second opinion")
    findings = found(EXACT, Reals(2, 2), engine=Symbolic(second_opinion=True))
    assert all("z3 and cvc5 agree" in finding.note for finding in findings.values())


@pytest.mark.slow
def test_a_solver_without_time_leaves_the_question_open() -> None:
    finding = found(EXACT, Reals(4, 3), Truthful(), engine=Symbolic(timeout_s=0.02))["truthful"]
    assert finding.status is Status.UNKNOWN and "did not decide within 0.02 s" in finding.note


def test_without_a_solver_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "z3", None)
    with pytest.raises(AuditError, match="pip install z3-solver"):
        found(EXACT, Reals(1, 1), Truthful())


def test_only_what_is_asked_about_as_it_is_can_be_proved() -> None:
    assert not Symbolic().accepts(Monotone(), Reals(1, 1))
    assert not Symbolic().accepts(Truthful(), Grid(1, 1))
    with pytest.raises(AuditError, match="no engine examines 'monotone' over a Reals"):
        audit(EXACT, Reals(1, 1), [Monotone()])


@dataclass(frozen=True)
class HalfPrice:
    """Half the value, and half a micro-unit kept by the bidder where the value is odd: not quite what it says."""

    symbolic: ClassVar[Charges] = Charges(value=Fraction(1, 2))

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        return Payments(market.take(market.values, allocation) // 2, serving_costs(market, allocation))


@dataclass(frozen=True)
class Twice:
    """Charges the externality twice."""

    symbolic: ClassVar[Charges] = Charges(cost=1, externality=2)

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        once = VCG().charge(market, allocation, allocator)
        return Payments(2 * once.charges - market.take(market.costs, allocation), once.receipts)


@dataclass(frozen=True)
class First:
    """A whole mechanism of one agent that describes itself: in turn, each pays a micro-unit."""

    symbolic: ClassVar[Description] = Description(InTurn(1), Charges(cost=1, served=1))

    def run(self, market: Market) -> Outcome:
        return Mechanism(FirstCome(1), PostedPrice(1)).run(market)


def test_a_stranger_describes_his_rule_himself() -> None:
    findings = found(Mechanism(MinCostFlow(), Twice()), Reals(2, 1))
    assert findings["truthful"].status is Status.REFUTED and findings["efficient"]
    assert found(First(), Reals(2, 1), Truthful())["truthful"]


@pytest.mark.parametrize(
    ("mechanism", "why"),
    [
        (
            Mechanism(MinCostFlow(), HalfPrice()),
            r"not what its description says .*charges 1/2 x value.*bidder 1 pays 0",
        ),
        (Nobody(), "Nobody does not say in symbols"),
        (Mechanism(Random(), VCG()), "Random does not say in symbols"),
    ],
)
def test_what_is_not_described_or_not_as_described_is_refused(mechanism: object, why: str) -> None:
    with pytest.raises(DescriptionError, match=why):
        found(mechanism, Reals(2, 1), Truthful())


class Liar(Greedy):
    """Greedy that claims to be optimal."""

    exact: ClassVar[bool] = True


def test_an_allocator_that_claims_to_be_exact_is_caught() -> None:
    assert describe(Mechanism(Liar(), VCG())).choice == Optimal()
    with pytest.raises(AuditError, match="calls itself exact"):
        found(Mechanism(Liar(), VCG()), Reals(2, 2), Truthful())


class HighBids(Mechanism):
    """The inherited mechanism, save where the comparison with a description never looks."""

    def run(self, market: Market) -> Outcome:
        return Mechanism(self.allocator, PayAsBid() if market.values.max() > 100 else self.rule).run(market)


class HighGreedy(MinCostFlow):
    """Inherits that it is exact, and is not."""

    def allocate(self, market: Market) -> Allocation:
        return (Greedy() if market.values.max() > 100 else MinCostFlow()).allocate(market)


class TwiceOver(Twice):
    """Inherits a description of the method that it overrides."""

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        return (VCG() if market.values.max() > 100 else Twice()).charge(market, allocation, allocator)


@pytest.mark.parametrize(
    "mechanism",
    [HighBids(MinCostFlow(), VCG()), Mechanism(HighGreedy(), VCG()), Mechanism(MinCostFlow(), TwiceOver())],
    ids=lambda mechanism: type(mechanism).__name__,
)
def test_a_description_is_not_inherited_by_other_code(mechanism: Mechanism) -> None:
    with pytest.raises(DescriptionError, match="does not say in symbols"):
        describe(mechanism)


def test_one_bidder_may_own_all_requests() -> None:
    findings = found(EXACT, Reals(1, 2, owners=(0, 0), costs=((0, 1), (2, 0))))
    assert {finding.status for finding in findings.values()} == {Status.PROVED}


def test_a_violation_between_ticks_alone_is_not_blamed_on_ties() -> None:
    note = found(Mechanism(Greedy(), PostedPrice(1)), Reals(1, 1, box=(0, 2)), IndividuallyRational())
    assert note["individually-rational"].status is Status.UNKNOWN
    assert "between micro-units" in note["individually-rational"].note


@pytest.mark.parametrize(("size", "gain"), [(2, 1), (3, 1)])
def test_the_supremum_of_gains_is_exact(size: int, gain: int) -> None:
    box = Reals(size, size).boxed(0, 1)
    assert supremum(GREEDY, box).gain == supremum(FIRST_PRICE, box).gain == gain
    assert supremum(EXACT, box).gain == 0
    assert supremum(FIRST_PRICE, box.boxed(0, Fraction(5, 7))).gain == Fraction(5, 7)


def test_the_supremum_bounds_the_worst_gain_on_a_grid() -> None:
    worst = examined(GREEDY, Grid(2, 2, range(5)))["truthful"].worst
    assert 0 < worst <= supremum(GREEDY, Reals(2, 2, box=(0, 4))).gain == 4


def test_a_supremum_needs_a_box() -> None:
    with pytest.raises(AuditError, match="give a box"):
        supremum(EXACT, Reals(2, 2))


def test_scopes_print_themselves_exactly() -> None:
    assert str(Reals(2, 1, box=(0, 1))) == (
        "2 bidders x 1 agent, all real values in [0, 1], capacities 1, costs 0; every tie-break"
    )
    assert str(Reals(2, 2, (2, 1), costs="any", owners=(0, 1, 0))) == (
        "2 bidders owning requests [0, 1, 0] x 2 agents, all real values, capacities 2,1, any real costs >= 0; "
        "every tie-break"
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"bidders": 9, "agents": 9}, "limit 512"),
        ({"costs": "some"}, "costs = 'some'"),
        ({"box": (0, 0.5)}, "integers or Fractions"),
        ({"box": (1, 0)}, "low <= high"),
        ({"capacities": -1}, "negative"),
    ],
)
def test_malformed_scopes_are_refused(arguments: dict[str, object], why: str) -> None:
    with pytest.raises(AuditError, match=why):
        Reals(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("capacities", [(1, 1), (2, 1)])
def test_the_conditions_of_greedy_are_those_of_some_order_among_equals(capacities: tuple[int, ...]) -> None:
    space = Space((0, 1), capacities)
    weights = tuple(tuple(Linear.of(("value", i, j)) for j in range(2)) for i in range(2))
    conditions = ByWeight().conditions(space, weights, ())
    for row in itertools.product(range(-1, 3), repeat=4):
        point = {("value", k // 2, k % 2): weight for k, weight in enumerate(row)}
        allowed = {agents for agents, when in conditions.items() if holds(when, point)}
        assert allowed == set(_every_greedy(np.array(row).reshape(2, 2), capacities))


def _every_greedy(weights: np.ndarray, capacities: tuple[int, ...]) -> list[tuple[int, ...]]:  # type: ignore[type-arg]
    answers = []
    for order in itertools.permutations(itertools.product(range(2), range(2))):
        if any(weights[a] < weights[b] for a, b in itertools.pairwise(order)):
            continue
        agents, room = [UNSERVED, UNSERVED], list(capacities)
        for i, j in order:
            if weights[i, j] > 0 and agents[i] == UNSERVED and room[j] > 0:
                agents[i] = j
                room[j] -= 1
        answers.append(tuple(agents))
    return answers


@pytest.mark.slow
def test_two_sided_vcg_loses_money_on_a_single_trade() -> None:
    mechanism = Mechanism(MinCostFlow(), TwoSidedVCG())
    findings = found(mechanism, Reals(1, 1, costs="any"))
    assert [str(finding.status) for finding in findings.values()] == ["PROVED", "PROVED", "REFUTED", "PROVED"]
    witness = findings["no-deficit"].counterexample
    assert witness is not None and witness.replay(mechanism) == witness.amount > 0


@pytest.mark.slow
def test_bids_cover_what_agents_are_paid_by_their_contributions() -> None:
    findings = found(Mechanism(MinCostFlow(), ProcurementVCG()), Reals(2, 2, costs="any"))
    assert [str(finding.status) for finding in findings.values()] == ["REFUTED", "PROVED", "PROVED", "PROVED"]
