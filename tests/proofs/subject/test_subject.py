"""What a mechanism returns is copied at once: whatever it does with its arrays later changes no verdict."""

from dataclasses import dataclass

import numpy as np
import pytest

from allocation import Allocation, Market, MinCostFlow
from allocation.money import Money
from mechanisms import VCG, Mechanism, Outcome, PayAsBid, Payments
from mechanisms.outcome import Outcomes
from proofs import ALL, AuditError, Grid, Sample, Status, Truthful, audit, shrink
from proofs.properties.fairness import Anonymous
from proofs.samples.guided_search import Guided
from proofs.subject.subject import to_expression

pytestmark = pytest.mark.usefixtures("replayed_here")

EXACT = Mechanism(MinCostFlow(), VCG())


class Reusing:
    """Exact VCG, whose charges, receipts and allocation are views of one array that the next call fills anew."""

    def __init__(self) -> None:
        self.buffer = np.zeros(64, np.int64)

    def run(self, market: Market) -> Outcome:
        exact = EXACT.run(market)
        n, m = market.shape
        self.buffer[:n], self.buffer[n : n + m] = exact.payments.charges, exact.payments.receipts
        return Outcome(market, exact.allocation, Payments.of_fresh(self.buffer[:n], self.buffer[n : n + m]))


class ReusingMany(Reusing):
    """The same with a batch path that reuses its arrays too."""

    def run_many(self, values: Money, template: Market) -> Outcomes:
        found = EXACT.run_many(values, template)
        parts = (found.agents, found.charges, found.receipts)
        if not hasattr(self, "many") or self.many[0].shape != parts[0].shape:
            self.many = [np.zeros_like(part) for part in parts]
        for mine, part in zip(self.many, parts, strict=True):
            mine[:] = part
        return Outcomes(*self.many)


@pytest.mark.parametrize("kind", [Reusing, ReusingMany])
def test_a_reused_buffer_changes_no_verdict(kind: type[Reusing]) -> None:
    sample = Sample(3, 2, (0, 40), draws=60)
    for report in (
        audit(kind(), sample, ALL),
        audit(kind(), Grid(2, 2, range(4)), [*ALL, Anonymous()]),
        audit(kind(), sample, ALL, engines=[Guided()]),
    ):
        assert not report.refuted


def test_a_reused_buffer_hides_no_violation() -> None:
    class Cheap(Reusing):
        def run(self, market: Market) -> Outcome:
            outcome = super().run(market)
            self.buffer[: market.shape[0]] = market.take(market.values, outcome.allocation)
            return outcome

    found = audit(Cheap(), Sample(2, 1, (0, 9), draws=60), [Truthful()])["truthful"]
    assert found.status is Status.REFUTED and found.counterexample is not None
    assert shrink(found.counterexample, Cheap()).amount == 1


def test_an_allocation_is_copied_too() -> None:
    seats = np.zeros(1, np.int64)

    class Moving:
        def run(self, market: Market) -> Outcome:
            seats[0] = 0 if market.values[0, 0] > 1 else -1
            allocation = Allocation([0])
            object.__setattr__(allocation, "agents", seats)
            return Outcome(market, allocation, Payments(np.zeros(1, np.int64), np.zeros(1, np.int64)))

    # Free above 1: the report 2 of the value 1 gains 1, which is seen only if the two answers are kept apart.
    found = audit(Moving(), Grid(1, 1, range(3)), [Truthful()])["truthful"]
    assert found.status is Status.REFUTED and found.worst == 1


class Proud:
    """Optimal up to a value of 6, and says so everywhere."""

    exact = True

    def __init__(self, proof: bool) -> None:
        self.proof = proof

    def allocate(self, market: Market) -> Allocation:
        found = MinCostFlow().allocate(market)
        agents = found.agents if market.values.max() <= 6 else np.full(market.shape[0], -1)
        return Allocation(agents, found.prices if self.proof else None)


@pytest.mark.parametrize(("proof", "message"), [(False, "carries no prices"), (True, "calls itself exact and is not")])
def test_who_calls_itself_exact_is_held_to_it_on_every_market(proof: bool, message: str) -> None:
    mechanism = Mechanism(Proud(proof), PayAsBid())
    with pytest.raises(AuditError, match=message):
        audit(mechanism, Grid(2, 1, (0, 7)), [Truthful()])
    with pytest.raises(AuditError, match=message):
        audit(mechanism, Sample(2, 1, (7, 40), draws=5), [Truthful()])
    if proof:
        assert audit(mechanism, Grid(2, 1, (0, 6)), ALL[1:]).passed


def test_the_first_outcome_that_is_listed_is_that_of_run_in_every_market() -> None:
    class Sometimes:
        def run(self, market: Market) -> Outcome:
            return EXACT.run(market)

        def outcomes(self, market: Market) -> tuple[Outcome, ...]:
            exact = EXACT.outcomes(market)
            if market.values.tolist() != [[3], [1]]:
                return exact
            nobody = Payments(np.zeros(2, np.int64), np.zeros(1, np.int64))
            return (Outcome(market, Allocation([-1, -1]), nobody), *exact)

    with pytest.raises(AuditError, match="another outcome than the first that it lists"):
        audit(Sometimes(), Grid(2, 1, range(40), ties="all"), [Truthful()])


@dataclass(frozen=True)
class Tabled:
    table: np.ndarray

    def run(self, market: Market) -> Outcome:
        return EXACT.run(market)


def test_an_array_is_not_written_down_as_something_else() -> None:
    with pytest.raises(AuditError, match="an array cannot be written down"):
        to_expression(Tabled(np.zeros(3)))
