"""Fees that are one table for the round keep VCG truthful and rational; every way to break that rule breaks them."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocation import UNSERVED, Market, MarketError, MinCostFlow
from mechanisms import MechanismError, Outcome, Payments, find_mechanism
from mechanisms.rules.fees import WithFees
from proofs import Grid, audit

pytestmark = pytest.mark.usefixtures("replayed_here")

VCG = find_mechanism("vcg")
SCOPE = Grid(3, 2, range(4))


@pytest.mark.parametrize("seed", range(6))
def test_a_fixed_table_of_fees_keeps_every_promise(seed: int) -> None:
    fees = np.random.default_rng(seed).integers(0, 4, (3, 2))
    report = audit(WithFees(VCG, fees), SCOPE)
    for name in ("truthful", "individually-rational", "no-deficit"):
        assert report[name], name


def test_a_discount_is_a_deficit_and_no_more_than_the_discount() -> None:
    outcome = WithFees(VCG, [[-3]]).run(Market([[5]], [[4]], [1]))
    assert outcome.surplus == -3
    report = audit(WithFees(VCG, [[-2, -2]]), Grid(1, 2, range(4)))
    assert not report["no-deficit"]
    assert report["truthful"]


@dataclass(frozen=True)
class ByReport:
    """Half the bidder's own value as a fee: the very thing that must not be."""

    def run(self, market: Market) -> Outcome:
        return WithFees(VCG, np.maximum(market.values // 2, 0)).run(market)


@dataclass(frozen=True)
class Anew:
    """Charges VCG's externality with fees `each * (n - 1)` of whoever is left: a table for every counterfactual."""

    each: int = 3

    def run(self, market: Market) -> Outcome:
        def gain(present: list[int]) -> tuple[int, np.ndarray]:
            if not present:
                return 0, np.zeros(0, np.int64)
            part = Market(market.values[present], market.costs[present], market.capacities)
            fee = self.each * (len(present) - 1)
            found = MinCostFlow().allocate(part.replace(costs=part.costs + fee))
            return part.replace(costs=part.costs + fee).welfare(found), found.agents

        everyone = list(range(market.shape[0]))
        total, agents = gain(everyone)
        charges = np.zeros(len(everyone), np.int64)
        for i in np.flatnonzero(agents != UNSERVED):
            without, _ = gain([k for k in everyone if k != i])
            charges[i] = without - (total - int(market.values[i, agents[i]]))
        found = MinCostFlow().allocate(market.replace(costs=market.costs + self.each * (len(everyone) - 1)))
        return Outcome(market, found, Payments(charges, np.zeros(market.shape[1], np.int64)))


def test_a_fee_that_reads_the_report_it_is_charged_for_is_found_out() -> None:
    assert not audit(ByReport(), SCOPE)["truthful"]


def test_fees_computed_anew_in_counterfactuals_make_truthful_bidders_lose() -> None:
    outcome = Anew().run(Market([[5], [5]], [[0], [0]], [2]))
    assert outcome.payments.charges.tolist() == [6, 6]
    assert list(outcome.bidder_utilities().values()) == [-1, -1]
    kept = WithFees(VCG, [[3], [3]]).run(Market([[5], [5]], [[0], [0]], [2]))
    assert list(kept.bidder_utilities().values()) == [2, 2]


def test_a_row_less_its_least_fee_lets_in_who_costs_others_more_than_they_gain() -> None:
    """Two agents, both fees 10, net value 1: a social loss of 9 that only fees measured against declining prevent."""
    market = Market([[1, 1]], [[0, 0]], [1, 1])
    assert WithFees(VCG, [[10, 10]]).run(market).allocation.agents.tolist() == [UNSERVED]
    assert WithFees(VCG, [[0, 0]]).run(market).allocation.agents.tolist() != [UNSERVED]


def test_wrong_fees_are_refused() -> None:
    with pytest.raises(MarketError, match="fees"):
        WithFees(VCG, [[0.5]])
    with pytest.raises(MechanismError, match=r"fees have shape \(1, 1\); the market has \(1, 2\)"):
        WithFees(VCG, [[1]]).run(Market([[1, 1]], [[0, 0]], [1, 1]))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_charges_cover_cost_and_fee_of_whoever_is_served(data: st.DataObject) -> None:
    n, m = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    market = Market(rng.integers(-5, 30, (n, m)), rng.integers(0, 6, (n, m)), rng.integers(0, 3, m))
    fees = rng.integers(0, 9, (n, m))
    outcome = WithFees(VCG, fees).run(market)
    for i, j in enumerate(outcome.allocation.agents):
        if j != UNSERVED:
            assert market.costs[i, j] + fees[i, j] <= outcome.payments.charges[i] <= market.values[i, j]
    assert outcome.surplus >= sum(fees[i, j] for i, j in enumerate(outcome.allocation.agents) if j != UNSERVED)
