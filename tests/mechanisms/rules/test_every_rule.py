"""Every rule that ships, for bidders of one request and of several: an outcome that adds up, or a reasoned refusal."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from allocation import Market, MinCostFlow
from allocation.heuristic.ranges import ByCost, ByOwner, Cheapest, FavouriteHub
from mechanisms import (
    VCG,
    DirectMechanism,
    DynamicPivot,
    ExpectedExternality,
    Mechanism,
    MechanismError,
    Outcome,
    PastRound,
    PerRound,
    Prior,
    find_allocator,
    find_mechanism,
)
from mechanisms.catalogue import ALLOCATORS, HOME, RULES, WHOLE, refuses
from mechanisms.rules.hubs import LocalVCG
from mechanisms.rules.paper import PaperRouter
from mechanisms.settlement import (
    CERTAIN,
    Execution,
    ExecutionContingent,
    OnDelivery,
    OnMeasurement,
    OnPrediction,
    Settlement,
    balance,
)

MARKETS = {
    "one request each": Market([[5, 3], [4, 1], [2, 2]], [[1, 1], [0, 1], [1, 2]], [1, 2]),
    "several requests each": Market([[5, 3], [4, 1], [2, 2]], [[1, 1], [0, 1], [1, 2]], [1, 2], bidders=[0, 0, 1]),
    "one bidder with all": Market([[5, 3], [4, 1], [2, 2]], [[1, 1], [0, 1], [1, 2]], [3, 3], bidders=[7, 7, 7]),
    "one good": Market([[5, 5], [4, 4], [2, 2]], [[1, 2]] * 3, [1, 1]),
    "one good, several requests": Market([[5, 5], [4, 4], [2, 2]], [[1, 2]] * 3, [1, 1], bidders=[0, 1, 0]),
    "one agent each": Market([[5, 0], [0, 4]], [[1, 9], [9, 1]], [1, 1], [[True, False], [False, True]]),
    "one agent each, several requests": Market(
        [[5, 0], [0, 4]], [[1, 9], [9, 1]], [1, 1], [[True, False], [False, True]], bidders=[3, 3]
    ),
    "capacity for all": Market([[5, 3], [4, 1]], [[1, 1], [0, 1]], [2, 2], bidders=[1, 1]),
    "nobody": Market(np.zeros((0, 2), int), np.zeros((0, 2), int), [1, 1]),
}

#: Every rule over every allocator that is not its home; of the exact ones, which differ in speed alone, the simplest.
PAIRS = [
    (rule, allocator)
    for rule in (*RULES, "vcg-reserve", "affine")
    for allocator in ALLOCATORS
    if allocator != HOME.get(rule)
    and (allocator == "brute-force" or not getattr(find_allocator(allocator), "exact", False))
]

#: What a refusal has to offer: what to use, take or change in its place.
REMEDIES = ("use ", "take ", "give ", "write ")

#: Rules that some shape of market or of ownership is refused by, and which.
PICKY = {
    "critical-value": {"several requests each", "one bidder with all", "one good, several requests"}
    | {"one agent each, several requests", "capacity for all"},
    "vickrey": set(MARKETS) - {"one agent each", "nobody"},
    "trade-reduction": set(MARKETS) - {"one good", "nobody"},
    "paper-router": {"one request each", "several requests each", "one good", "one good, several requests"},
}


def average(market: Market) -> ExpectedExternality:
    """For a prior that holds this market possible, and no other."""
    return ExpectedExternality(Prior.over([market]))


def mechanisms() -> Iterator[tuple[str, Callable[[Market], DirectMechanism]]]:
    for rule in (*RULES, *WHOLE):
        if rule != "paper-router":
            yield rule, lambda market, rule=rule: find_mechanism(rule)  # type: ignore[misc]
    for rule, allocator in PAIRS:
        yield f"{rule} over {allocator}", lambda market, pair=(rule, allocator): find_mechanism(*pair)  # type: ignore[misc]
    yield "paper-router", lambda market: PaperRouter(slots=1, grain=1)
    yield "expected-externality", average
    for hubs in (ByOwner((0, 1)), ByCost((0, 1)), Cheapest(1)):
        yield f"local-vcg, {hubs}", lambda market, hubs=hubs: LocalVCG(hubs)  # type: ignore[misc]
    yield "local-vcg, favourite hub", lambda market: Mechanism(FavouriteHub((0, 1)), VCG())


NAMES = dict(mechanisms())


@pytest.mark.parametrize("name", NAMES)
def test_an_outcome_that_adds_up_or_a_refusal_that_says_why(name: str) -> None:
    refused = set()
    for kind, market in MARKETS.items():
        try:
            outcome = NAMES[name](market).run(market)
        except MechanismError as error:
            refused.add(kind)
            assert len(str(error)) > 40 and any(remedy in str(error) for remedy in REMEDIES), error
            continue
        adds_up(market, outcome)
    away = name.split(" over ")
    assert refused == (set(MARKETS) if len(away) == 2 and refuses(*away) else PICKY.get(name, set()))


def adds_up(market: Market, outcome: Outcome) -> None:
    """Feasible, integer, and what bidders, agents and the auctioneer end up with is the welfare."""
    market.check(outcome.allocation)
    assert (outcome.payments.charges.size, outcome.payments.receipts.size) == market.shape
    utilities = outcome.bidder_utilities()
    assert set(utilities) == set(market.players)
    assert sum(utilities.values()) + int(outcome.agent_utilities().sum()) + outcome.surplus == outcome.welfare


@pytest.mark.parametrize(
    "settlement",
    [OnPrediction(), OnMeasurement(), OnDelivery(), ExecutionContingent()],
    ids=lambda way: type(way).__name__,
)
def test_every_settlement_settles_what_every_rule_decides(settlement: Settlement) -> None:
    for build in NAMES.values():
        for market in MARKETS.values():
            try:
                outcome = build(market).run(market)
            except MechanismError:
                continue
            n = market.shape[0]
            ran = Execution(np.arange(n) + 1, np.arange(n) % 2 == 0, np.full(n, CERTAIN // 2))
            left = balance(outcome, ran, settlement.settle(outcome, ran))
            served = outcome.allocation.served & ran.succeeded
            value = 2 * int(market.take(market.values, outcome.allocation)[served].sum())
            measured = value - int(ran.costs[outcome.allocation.served].sum())
            assert left.auctioneer + sum(left.bidders.values()) + int(left.agents.sum()) == measured


class Repeated:
    """The same market in two rounds."""

    rounds = 2

    def __init__(self, market: Market) -> None:
        self._market = market

    def market(self, values: np.ndarray, history: object) -> Market:
        return self._market.replace(values=values)


@pytest.mark.parametrize("kind", MARKETS)
def test_dynamic_rules_decide_every_round_of_every_market(kind: str) -> None:
    market = MARKETS[kind]
    for mechanism in (PerRound(Mechanism(MinCostFlow(), VCG())), DynamicPivot()):
        outcome = mechanism.decide(Repeated(market), market.values, ())
        adds_up(market, outcome)
        again = mechanism.decide(Repeated(market), market.values, (PastRound.of(outcome),))
        assert again.welfare == outcome.welfare
