"""Lotteries: averages are exact, a mutant that is truthful for some draws alone is refuted, chance is refused."""

import json
import sys
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocation import Allocation, Greedy, Market, MinCostFlow
from mechanisms import VCG, Lottery, Mechanism, MechanismError, Mixture, Outcome, PayAsBid, Payments
from proofs import AuditError, Grid, ReplayError, Status, audit, audit_lotteries, lottery_violation
from proofs.lotteries.counterexample import lottery_of

pytestmark = pytest.mark.usefixtures("replayed_here")

EXACT, PAID = Mechanism(MinCostFlow(), VCG()), Mechanism(MinCostFlow(), PayAsBid())
GRID = Grid(2, 1, range(4))


@dataclass(frozen=True)
class Coin:
    """Serves bidder 0 or nobody at the flip of a coin, and charges `price` only when they are served."""

    price: int = 0
    receipts: int = 0

    def draw(self, market: Market) -> Lottery:
        n, m = market.shape
        served = Outcome(
            market,
            Allocation(np.array([0] + [-1] * (n - 1))),
            Payments(np.array([self.price] + [0] * (n - 1)), np.full(m, self.receipts)),
        )
        idle = Outcome(market, Allocation(np.full(n, -1)), Payments(np.full(n, 0), np.zeros(m, np.int64)))
        return Lottery((served, idle), (1, 1))


@dataclass(frozen=True)
class Flipping:
    """Draws from another lottery every time."""

    calls: list[int] = field(default_factory=list)

    def draw(self, market: Market) -> Lottery:
        self.calls.append(1)
        return Mixture((EXACT, PAID), (1, len(self.calls))).draw(market)


def plain_worst(mechanism: Mixture, grid: Grid) -> Fraction:
    """The definition: every pair, drawn anew."""
    gains = [Fraction(0)]
    for profile in range(grid.profiles):
        truth = grid.market(profile)
        honest = mechanism.draw(truth).bidder_utilities(truth)
        for bidder in range(grid.bidders):
            for misreport in grid.misreports(profile, bidder):
                there = mechanism.draw(misreport.applied(truth)).bidder_utilities(truth)
                gains.append(there[bidder] - honest[bidder])
    return max(gains)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.integers(1, 5)] * 3), st.sampled_from([Grid(2, 1, (0, 1, 3)), Grid(1, 2, (0, 2, 3), costs=1)]))
def test_the_worst_gain_is_that_of_every_pair(weights: tuple[int, int, int], grid: Grid) -> None:
    mixed = Mixture((EXACT, PAID, Mechanism(Greedy(), VCG())), weights)
    assert audit_lotteries(mixed, grid, ["truthful-in-expectation"])["truthful-in-expectation"].worst == plain_worst(
        mixed, grid
    )


def test_a_mixture_of_truthful_mechanisms_is_verified() -> None:
    report = audit_lotteries(Mixture((EXACT, EXACT), (1, 2)), GRID)
    assert report.passed and report["truthful-in-expectation"].cases == GRID.pairs
    assert json.loads(report.to_json())["findings"][0]["status"] == "VERIFIED"


def test_truthful_for_some_draws_alone_is_refuted_in_the_smallest_market() -> None:
    report = audit_lotteries(Mixture((EXACT, PAID), (2, 1)), GRID)
    found = report["truthful-in-expectation"]
    assert found.status is Status.REFUTED and found.worst == Fraction(2, 3) and not report.passed
    small = found.counterexample
    assert small is not None and small.amount == Fraction(1, 3) and "fresh process" in found.note
    assert small.truth.values.tolist() == [[2]] and small.misreport is not None and small.misreport.rows == ((1,),)
    assert "gains 1/3 in expectation" in str(report) and small.as_dict()["amount"] == "1/3"
    assert eval(small.expression(Mixture((EXACT, PAID), (2, 1)))) == Fraction(1, 3)
    with pytest.raises(ReplayError, match="nothing fails now"):
        small.replay(Mixture((EXACT,), (1,)))


def test_what_holds_on_average_may_fail_in_a_draw() -> None:
    grid = Grid(1, 1, (2, 3))
    # Served half the time, and paid for then alone: nobody gains by a misreport, for none is read.
    assert audit_lotteries(Coin(2), grid).passed
    dear = audit_lotteries(Coin(3), grid)
    assert dear["individually-rational-in-expectation"].worst == Fraction(1, 2)
    assert dear["individually-rational-in-every-draw"].worst == 1 and dear["truthful-in-expectation"]
    short = audit_lotteries(Coin(2, 3), grid)
    assert short["no-deficit-in-expectation"].worst == Fraction(1, 2) and short["no-deficit-in-every-draw"].worst == 1

    paid_for_both = Mixture((PAID, Mechanism(MinCostFlow(), Subsidy())), (3, 1))
    report = audit_lotteries(paid_for_both, grid, ["no-deficit-in-expectation", "no-deficit-in-every-draw"])
    assert report["no-deficit-in-expectation"] and not report["no-deficit-in-every-draw"]


@dataclass(frozen=True)
class Subsidy:
    """Charges nothing and pays the agents 1."""

    def charge(self, market: Market, allocation: Allocation, allocator: object) -> Payments:
        return Payments(np.zeros(market.shape[0], np.int64), np.ones(market.shape[1], np.int64))


def test_one_sure_draw_is_audited_as_the_mechanism_is() -> None:
    for sure in (EXACT, PAID, Mechanism(Greedy(), VCG())):
        plain = audit(sure, GRID, ["truthful"])["truthful"]
        drawn = audit_lotteries(Mixture((sure,), (1,)), GRID)["truthful-in-expectation"]
        assert (plain.status, plain.worst, plain.cases) == (drawn.status, drawn.worst, drawn.cases)


def test_owners_of_two_requests_are_one_player() -> None:
    grid = Grid(2, 1, range(2), capacities=2, requests_per_bidder=2)
    assert audit_lotteries(Mixture((EXACT,), (1,)), grid).passed
    assert audit_lotteries(Mixture((PAID,), (1,)), Grid(1, 1, range(3), requests_per_bidder=2)).passed is False


def test_chance_outside_the_weights_and_zero_cases_are_no_pass() -> None:
    with pytest.raises(AuditError, match="two lotteries for the same market"):
        audit_lotteries(Flipping(), Grid(1, 1, range(3)))
    lone = audit_lotteries(Mixture((PAID,), (1,)), Grid(2, 2, [3]), ["truthful-in-expectation"])
    assert lone["truthful-in-expectation"].status is Status.UNKNOWN and not lone.passed
    assert not audit_lotteries(Mixture((EXACT,), (1,)), GRID, []).passed


def test_amounts_beyond_int64_stay_exact() -> None:
    big = 2**40
    grid = Grid(1, 1, (0, big - 1, big))
    found = audit_lotteries(Mixture((EXACT, PAID), (2**61 - 1, 1)), grid)["truthful-in-expectation"]
    assert found.worst == Fraction(big - (big - 1), 2**61)


def test_questions_without_sense_are_refused() -> None:
    with pytest.raises(AuditError, match="one string"):
        audit_lotteries(Mixture((EXACT,), (1,)), GRID, "truthful-in-expectation")
    with pytest.raises(AuditError, match="shipped: truthful-in-expectation"):
        audit_lotteries(Mixture((EXACT,), (1,)), GRID, ["truthful"])
    with pytest.raises(AuditError, match="has no draw"):
        audit_lotteries(EXACT, GRID)  # type: ignore[arg-type]
    with pytest.raises(AuditError, match="share a name"):
        audit_lotteries(Mixture((EXACT,), (1,)), GRID, ["no-deficit-in-expectation"] * 2)
    with pytest.raises(AuditError, match="ties='first'"):
        audit_lotteries(Mixture((EXACT,), (1,)), Grid(1, 1, range(2), ties="all"))
    for weights in ((), (0,), (True,), (1.5,), (1, 1)):
        with pytest.raises(MechanismError, match="weight"):
            Mixture((EXACT,), weights)  # type: ignore[arg-type]
        with pytest.raises(MechanismError, match="weight"):
            Lottery((EXACT.run(GRID.market(1)),), weights)  # type: ignore[arg-type]
    with pytest.raises(MechanismError, match="different markets"):
        Lottery((EXACT.run(GRID.market(1)), EXACT.run(GRID.market(2))), (1, 1))
    with pytest.raises(MechanismError, match="no run"):
        Mixture((VCG(),), (1,))  # type: ignore[arg-type]


def test_an_infeasible_draw_is_named() -> None:
    @dataclass(frozen=True)
    class Crowd:
        def draw(self, market: Market) -> Lottery:
            n, m = market.shape
            nothing = Payments(np.zeros(n, np.int64), np.zeros(m, np.int64))
            return Lottery((Outcome(market, Allocation(np.zeros(n, np.int64)), nothing),), (1,))

    with pytest.raises(AuditError, match="infeasible"):
        lottery_of(Crowd(), GRID.market(0))


def test_a_named_mechanism_is_found() -> None:
    values = {"values": [[2]], "costs": [[0]], "capacities": [1], "bidder": 0, "misreport": [[1]]}
    sys.modules["lots_of_mine"] = type(sys)("lots_of_mine")
    sys.modules["lots_of_mine"].mixed = Mixture((PAID,), (1,))  # type: ignore[attr-defined]
    try:
        assert lottery_violation("truthful-in-expectation", "lots_of_mine:mixed", **values) == 1  # type: ignore[arg-type]
    finally:
        del sys.modules["lots_of_mine"]
