"""Whoever calls this room with the wrong thing is told so: every public name, every argument, every shipped rule."""

from dataclasses import dataclass

import numpy as np
import pytest

import mechanisms
from allocation import Allocation, CertificateError, LawError, Market, MarketError, MinCostFlow, SolverError, TieError
from allocation.money import Money
from mechanisms import (
    VCG,
    DynamicPivot,
    ExpectedExternality,
    FirstCome,
    Lottery,
    Mechanism,
    MechanismError,
    Mixture,
    Outcome,
    Outcomes,
    PastRound,
    PayAsBid,
    Payments,
    PerRound,
    PostedPrice,
    Preferences,
    Prior,
    check_mechanism,
    check_rule,
    find_allocator,
    find_mechanism,
    find_settlement,
    load_object,
    serving_costs,
)
from mechanisms.catalogue import ALLOCATORS, HOME, RULES, WHOLE
from mechanisms.rules.affine import AffineMaximizer, ReserveVCG
from mechanisms.rules.sharing import RandomPriority
from tests.wrong_arguments import Call, untried

OURS = (MechanismError, MarketError, CertificateError, SolverError, TieError, LawError)

MARKET = Market([[5, 5], [4, 4]], [[1, 1], [1, 1]], [1, 1])
ONE = MinCostFlow().allocate(MARKET)
PAID = Payments([1, 1], [1, 1])
OUTCOME = Outcome(MARKET, ONE, PAID)
VALUES = np.stack([MARKET.values, MARKET.values])
MANY = MinCostFlow().allocate_many(VALUES, MARKET)
EVERY = Mechanism(MinCostFlow(), VCG())
PRIOR = Prior.over([MARKET])
STATE = PRIOR.states[0]
LOTTERY = Lottery((OUTCOME,), (1,))


@dataclass(frozen=True)
class Twice:
    rounds: int = 2

    def market(self, values: Money, history: object) -> Market:
        return MARKET.replace(values=values)


ROUND = {"world": Twice(), "values": MARKET.values, "past": ()}

CALLS: dict[str, Call] = {
    "VCG": Call(VCG),
    "PayAsBid": Call(PayAsBid),
    "ProcurementVCG": Call(mechanisms.ProcurementVCG),
    "TwoSidedVCG": Call(mechanisms.TwoSidedVCG),
    "TradeReduction": Call(mechanisms.TradeReduction),
    "DynamicPivot": Call(DynamicPivot),
    "VCG.charge_many": Call(
        VCG().charge_many, {"values": VALUES, "template": MARKET, "agents": MANY[0], "prices": MANY[1]}
    ),
    "DynamicPivot.decide": Call(DynamicPivot().decide, ROUND),
    "PerRound": Call(PerRound, {"mechanism": EVERY}),
    "PerRound.decide": Call(PerRound(EVERY).decide, ROUND),
    "PastRound.of": Call(PastRound.of, {"outcome": OUTCOME}),
    "ExpectedExternality": Call(ExpectedExternality, {"prior": PRIOR, "allocator": MinCostFlow()}),
    "ExpectedExternality.run": Call(ExpectedExternality(PRIOR).run, {"market": MARKET}),
    "FirstCome": Call(FirstCome, {"markup": 0}, {"markup": (3,)}),
    "PostedPrice": Call(PostedPrice, {"markup": 0}, {"markup": (3,)}),
    "Lottery": Call(Lottery, {"outcomes": (OUTCOME,), "weights": (1,)}),
    "Lottery.bidder_utilities": Call(LOTTERY.bidder_utilities, {"truth": MARKET}, {"truth": (None,)}),
    "Mixture": Call(Mixture, {"mechanisms": (EVERY,), "weights": (1,)}),
    "Mixture.draw": Call(Mixture((EVERY,), (1,)).draw, {"market": MARKET}),
    "Mechanism": Call(Mechanism, {"allocator": MinCostFlow(), "rule": VCG()}),
    "Mechanism.run": Call(EVERY.run, {"market": MARKET}),
    "Mechanism.outcomes": Call(EVERY.outcomes, {"market": MARKET}),
    "Mechanism.run_many": Call(EVERY.run_many, {"values": VALUES, "template": MARKET}),
    "Mechanism.run_many, one by one": Call(
        Mechanism(MinCostFlow(), PayAsBid()).run_many, {"values": VALUES, "template": MARKET}
    ),
    "Outcome": Call(Outcome, {"reported": MARKET, "allocation": ONE, "payments": PAID}),
    "Outcome.bidder_utilities": Call(OUTCOME.bidder_utilities, {"truth": MARKET}, {"truth": (None,)}),
    "Outcome.agent_utilities": Call(OUTCOME.agent_utilities, {"truth": MARKET}, {"truth": (None,)}),
    "Outcomes": Call(
        Outcomes,
        {"agents": MANY[0], "charges": MANY[0], "receipts": MANY[1]},
        dict.fromkeys(("agents", "charges", "receipts"), ([[1]],)),
    ),
    "Payments": Call(Payments, {"charges": [1], "receipts": [1]}),
    "Preferences": Call(
        Preferences,
        {"worth": 1.0, "delay_cost": 1.0, "deadline": 1.0},
        dict.fromkeys(("worth", "delay_cost", "deadline"), (3,)),
    ),
    "Preferences.paper": Call(
        Preferences.paper,
        {"weight": 0.5, "worth": 1.0, "delay_cost": 1.0},
        dict.fromkeys(("worth", "delay_cost"), (3,)),
    ),
    "Preferences.value": Call(
        Preferences(1.0, 1.0).value,
        {"quality": [1.0], "latency_s": [1.0]},
        dict.fromkeys(("quality", "latency_s"), (3, [[1]])),
    ),
    "Prior": Call(Prior, {"states": (STATE,), "weights": (1,)}),
    "Prior.over": Call(Prior.over, {"markets": [MARKET], "weights": [1]}, {"weights": (None,)}),
    "Prior.weight": Call(PRIOR.weight, {"market": MARKET}),
    "Prior.markets": Call(lambda template: list(PRIOR.markets(template)), {"template": MARKET}),
    "check_mechanism": Call(check_mechanism, {"mechanism": EVERY}),
    "check_rule": Call(check_rule, {"rule": VCG(), "allocator": MinCostFlow()}, {"allocator": (None,)}),
    "find_allocator": Call(find_allocator, {"name": "greedy"}),
    "find_mechanism": Call(find_mechanism, {"name": "vcg", "allocator": "greedy"}, {"allocator": (None,)}),
    "find_settlement": Call(find_settlement, {"name": "on-prediction"}),
    "load_object": Call(load_object, {"name": "mechanisms:VCG"}),
    "serving_costs": Call(serving_costs, {"market": MARKET, "allocation": ONE}),
    "AffineMaximizer": Call(
        AffineMaximizer, {"allocator": MinCostFlow(), "weights": (2,), "boosts": 0}, {"boosts": (3,)}
    ),
    "ReserveVCG": Call(ReserveVCG, {"allocator": MinCostFlow(), "reserve": 1}, {"reserve": (3,)}),
    "RandomPriority": Call(RandomPriority, {"seed": 0}, {"seed": (3,)}),
    **{f"{name}, run": Call(WHOLE[name]().run, {"market": MARKET}) for name in WHOLE if name != "paper-router"},
    "paper-router, run": Call(WHOLE["paper-router"]().run, {"market": MARKET.replace(capacities=[9, 9])}),
    **{f"{name}, allocate": Call(ALLOCATORS[name]().allocate, {"market": MARKET}) for name in ALLOCATORS},
}


def charging(name: str) -> Call:
    allocator = find_allocator(HOME.get(name, "min-cost-flow"))
    # What a rule does not read may be anything.
    reads = name in ("redistribution", "two-sided-vcg", "procurement-vcg", "critical-value", "vickrey")
    market = Market([[5], [4]], [[1], [1]], [1])
    return Call(
        RULES[name]().charge,
        {"market": market, "allocation": allocator.allocate(market), "allocator": allocator},
        {} if reads else {"allocator": "anything"},
    )


CALLS |= {f"{name}, charge": charging(name) for name in RULES}


@pytest.mark.parametrize("name", CALLS)
def test_the_wrong_thing_is_named(name: str) -> None:
    CALLS[name].valid()
    assert list(CALLS[name].faults(OURS)) == []


def test_nothing_public_is_left_out() -> None:
    assert untried(mechanisms, CALLS) == []


@pytest.mark.parametrize("allocation", [Allocation([0]), Allocation([5, 0]), Allocation([-2, 0])])
@pytest.mark.parametrize("name", RULES)
def test_no_rule_charges_for_another_market(name: str, allocation: Allocation) -> None:
    if name == "free":
        pytest.skip("charges nothing, whoever serves")
    call = charging(name)
    with pytest.raises((CertificateError, MechanismError, MarketError), match=r"agent|request|allocat"):
        call.function(**{**call.arguments, "allocation": allocation})


@pytest.mark.parametrize(
    ("part", "wrong", "message"),
    [
        ("agents", [[9, 0], [0, 1]], "agents reach from 0 to 9"),
        ("agents", [[-2, 0], [0, 1]], "agents reach from -2"),
        ("agents", [[0, 1]], "agents has shape"),
        ("prices", [[0], [0]], "prices has shape"),
        ("values", [[[5, 5]]], r"values has shape|agents has shape"),
    ],
)
def test_a_batch_of_other_shapes_never_reaches_machine_code(part: str, wrong: object, message: str) -> None:
    call = CALLS["VCG.charge_many"]
    with pytest.raises(MarketError, match=message):
        call.function(**{**call.arguments, part: np.array(wrong)})


def test_a_rule_that_reruns_its_allocator_says_that_it_has_none() -> None:
    with pytest.raises(MarketError, match="'x' has no allocate"):
        VCG().charge(MARKET, Allocation([0, 1]), "x")  # type: ignore[arg-type]
