"""Final charges and receipts, request by request, and the same in the books."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocation import Market, MinCostFlow
from mechanisms import VCG, Mechanism, MechanismError, Preferences, find_mechanism, find_settlement
from mechanisms.settlement import (
    CERTAIN,
    Execution,
    ExecutionContingent,
    OnDelivery,
    OnMeasurement,
    OnPrediction,
    Settlement,
)
from prediction import QoS
from runtime import EngineError, PaperAuction, Router, Served, running
from runtime.accounts.settling import settled
from runtime.engines.simulated.virtual_time import run
from runtime.policies.policy import Agent
from tests.runtime.fleet import PRICES, engine, request

EACH: tuple[Settlement, ...] = (OnPrediction(), OnMeasurement(), OnDelivery())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_one_by_one_is_what_the_whole_round_settles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    market = Market(rng.integers(0, 50, (4, 2)), rng.integers(0, 20, (4, 2)), [1, 2], bidders=[0, 1, 2, 0])
    outcome = Mechanism(MinCostFlow(), VCG()).run(market)
    quality, chances = rng.integers(0, 2, 4), rng.integers(1, CERTAIN + 1, 4)
    ran = Execution(rng.integers(0, 40, 4), quality == 1, chances)
    for settlement in EACH:
        whole = settlement.settle(outcome, ran)
        receipts = np.zeros(2, np.int64)
        for i in np.flatnonzero(outcome.allocation.served).tolist():
            agent = int(outcome.allocation.agents[i])
            charge, receipt = settled(
                settlement,
                charge=int(outcome.payments.charges[i]),
                predicted=int(market.costs[i, agent]),
                measured=int(ran.costs[i]),
                chance=int(chances[i]) / CERTAIN,
                quality=float(quality[i]),
            )
            assert charge == whole.charges[i]
            receipts[agent] += receipt
        assert receipts.tolist() == whole.receipts.tolist()


def test_who_bears_what_in_one_request() -> None:
    terms = {"charge": 12, "predicted": 8, "measured": 11, "chance": 0.5}
    assert settled(OnPrediction(), **terms, quality=0.0) == (12, 11)  # type: ignore[arg-type]
    assert settled(OnMeasurement(), **terms, quality=0.0) == (15, 11)  # type: ignore[arg-type]
    assert settled(OnDelivery(), **terms, quality=0.0) == (0, 0)  # type: ignore[arg-type]
    assert settled(OnDelivery(), **terms, quality=1.0) == (24, 16)  # type: ignore[arg-type]
    # Nothing to grade by: it was served, and that was certain.
    assert settled(OnDelivery(), **terms, quality=None) == (12, 8)  # type: ignore[arg-type]


class Fixed:
    """Expects every request to cost 2 millicredits, and to be right half the time."""

    def predict(self, features: Any) -> QoS:
        n, m = features.shape
        return QoS(np.zeros((n, m)), np.full((n, m), 0.002), np.full((n, m), 0.5))

    def learn(self, agent: int, row: Any, measured: Any) -> None:
        """Nothing."""


def serve(settlement: Settlement, grades: Sequence[float | None]) -> tuple[list[Served], Router]:
    async def main() -> tuple[list[Served], Router]:
        fleet = [engine("a"), engine("b")]
        graded = dict(zip(("r0", "r1", "r2"), grades, strict=True))
        async with running(fleet):
            router = Router(
                fleet,
                PaperAuction(find_mechanism("vcg"), lambda agents: Fixed()),
                [PRICES] * 2,
                grade=lambda made, text: graded[made.id],
                settlement=settlement,
            )
            await router.start()
            try:
                keen = Preferences(10.0, 0.1)
                served = [await router.submit(request(name, "a question about ferries"), keen) for name in graded]
            finally:
                await router.stop()
            assert all(isinstance(one, Served) for one in served)
            return served, router  # type: ignore[return-value]

    return run(main(), virtual=True)


@pytest.mark.parametrize("settlement", EACH, ids=lambda way: type(way).__name__)
def test_the_books_hold_what_was_settled_and_nothing_else(settlement: Settlement) -> None:
    served, router = serve(settlement, (1.0, 0.0, None))
    totals = router.ledger.totals()
    assert router.ledger.held() == 0 and totals.entries == 3
    assert totals.charges == sum(one.charge for one in served)
    assert totals.receipts == sum(one.receipt for one in served)
    assert totals.costs == sum(one.cost for one in served)
    for one in served:
        # Nobody competes, so that the auction charged the predicted cost, 2000 micro-units.
        expected = settled(settlement, charge=2000, predicted=2000, measured=one.cost, chance=0.5, quality=one.quality)
        assert (one.charge, one.receipt) == expected
    assert [one.charge for one in served] == {
        OnPrediction: [2000] * 3,
        OnMeasurement: [one.cost for one in served],
        OnDelivery: [4000, 0, 2000],
    }[type(settlement)]


def test_settling_on_measurement_the_auctioneer_keeps_what_the_auction_promised() -> None:
    served, router = serve(OnMeasurement(), (1.0, 0.0, None))
    assert served[0].cost != 2000
    assert router.ledger.totals().surplus == router.statistics.predicted_surplus == 0
    assert serve(OnPrediction(), (1.0, 0.0, None))[1].ledger.totals().surplus != 0


class Refusing:
    """Settles nothing."""

    per_request = True

    def settle(self, outcome: object, execution: object) -> Any:
        raise MechanismError("not today")


def test_a_settlement_that_fails_charges_nobody() -> None:
    async def main() -> Router:
        fleet = [engine("a")]
        async with running(fleet):
            router = Router(fleet, PaperAuction(find_mechanism("vcg"), _fixed), [PRICES], settlement=Refusing())
            await router.start()
            with pytest.raises(MechanismError, match="not today"):
                await router.submit(request("r", "a question about ferries"), Preferences(10.0, 0.1))
            await router.stop()
            return router

    books = run(main(), virtual=True).ledger
    assert books.held() == books.totals().entries == 0


def _fixed(agents: Sequence[Agent]) -> Fixed:
    return Fixed()


def test_whole_rounds_cannot_be_settled_request_by_request() -> None:
    with pytest.raises(EngineError, match=r"ExecutionContingent settles whole rounds.*take OnPrediction"):
        Router([engine("a")], PaperAuction(find_mechanism("vcg")), [PRICES], settlement=ExecutionContingent())


def test_settlements_by_name() -> None:
    assert find_settlement("on-delivery") == OnDelivery()
    with pytest.raises(MechanismError, match="no 'on-time' here; shipped: on-prediction"):
        find_settlement("on-time")
    with pytest.raises(MechanismError, match="without settle"):
        find_settlement("mechanisms:VCG")
