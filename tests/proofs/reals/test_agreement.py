"""Rules that are not what they say: found by comparing the object, whatever was proved of its description."""

from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np
import pytest

from allocation import Allocation, Allocator, Market, MinCostFlow
from allocation.money import Money
from mechanisms import VCG, Mechanism, Payments, find_mechanism, serving_costs
from proofs import Grid, Reals, Status, Truthful, audit
from proofs.reals.agreement import compare
from proofs.reals.constants import constants
from proofs.symbols.batch import Batch
from proofs.symbols.description import Assignment, Charges, DescriptionError, Space, Weights, describe
from proofs.symbols.linear import AtLeast, Condition, Every, Linear, holds


class Nearly:
    """VCG, and says so, but for what a change makes of its charges."""

    symbolic = Charges(cost=1, externality=1)

    def __init__(self, change: Callable[[Money, Market, Allocation], Money]) -> None:
        self.change = change

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        exact = VCG().charge(market, allocation, allocator)
        return Payments(np.asarray(self.change(exact.charges, market, allocation), np.int64), exact.receipts)


def half_from_three(charges: Money, market: Market, allocation: Allocation) -> Money:
    return np.where(market.take(market.costs, allocation) >= 3, charges // 2, charges)


WRONG: dict[str, tuple[Callable[[Money, Market, Allocation], Money], Reals]] = {
    "at most 6": (lambda charges, market, allocation: np.minimum(charges, 6), Reals(2, 1)),
    "rounded to tens": (lambda charges, market, allocation: charges - charges % 10, Reals(2, 1)),
    "half price from cost 3": (half_from_three, Reals(2, 1, costs="any")),
    "through float32": (lambda charges, market, allocation: charges.astype(np.float32), Reals(2, 1)),
    "one off from 2^40 on": (lambda charges, market, allocation: charges - (charges >= 2**40), Reals(2, 1)),
    "free at 31337": (lambda charges, market, allocation: charges * (charges != 31337), Reals(3, 1)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_its_description_is_not_proved(name: str) -> None:
    change, scope = WRONG[name]
    with pytest.raises(DescriptionError, match="is not what its description says"):
        audit(Mechanism(MinCostFlow(), Nearly(change)), scope, [Truthful()])


def test_the_instance_of_six_gains_two() -> None:
    rule = Mechanism(MinCostFlow(), Nearly(WRONG["at most 6"][0]))
    assert audit(rule, Grid(2, 1, (0, 5, 8, 9)), [Truthful()])["truthful"].worst == 2


def test_agreement_says_on_what() -> None:
    for scope in (Reals(2, 1), Reals(3, 2, costs="any"), Reals(2, 2, box=(0, 7))):
        mechanism = find_mechanism("vcg")
        agreed = compare(mechanism, describe(mechanism), scope)
        assert agreed.markets >= 1_000
        assert agreed.magnitude >= (7 if scope.box else 2**40)
    finding = audit("vcg", Reals(2, 1), [Truthful()])["truthful"]
    assert finding.status is Status.PROVED and finding.agrees >= 1_000
    assert finding.verdict.startswith("PROVED of the description, the object AGREES (")
    assert finding.as_dict()["agrees"] == finding.agrees
    assert "audited on" in finding.note


class Favouring:
    """Serves the higher of two bids, but the second bidder at values up to 2 alone; says that it is anonymous."""

    class Symbolic:
        anonymous = True

        def conditions(self, space: Space, weights: Weights, absent: tuple[int, ...]) -> Mapping[Assignment, Condition]:
            if space.owners != (0, 1):
                return {agents: Every(()) for agents in space.assignments(absent)}
            first, second = weights[0][0], weights[1][0]
            low = AtLeast(Linear({}, 2) - second)
            found: dict[Assignment, Condition] = {
                (-1, 0): Every((low, AtLeast(second - first), AtLeast(second))),
                (0, -1): Every((AtLeast(first - second), AtLeast(first))),
                (-1, -1): AtLeast(Linear({}, 0)),
            }
            return {agents: when for agents, when in found.items() if all(agents[i] < 0 for i in absent)}

        def settled(self, space: Space, bidder: int, agents: Assignment) -> Assignment:
            return agents

        def __str__(self) -> str:
            return "the second bidder only at values up to 2"

    symbolic = Symbolic()

    def allocate(self, market: Market) -> Allocation:
        if market.shape != (2, 1):
            return Allocation([-1] * market.shape[0])
        first, second = market.weights[:, 0].tolist()
        if second <= 2 and second >= max(first, 0):
            return Allocation([-1, 0])
        return Allocation([0, -1] if first >= max(second, 0) else [-1, -1])


class Free:
    symbolic = Charges(receipts=1)

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        return Payments(np.zeros(market.shape[0], np.int64), serving_costs(market, allocation))


def test_a_flag_of_a_stranger_is_a_claim() -> None:
    rule = Mechanism(Favouring(), Free())
    # The second bidder, at value 3 against 0, gets nothing, and by reporting 2 the slot for nothing: a gain of 3.
    on_grid = audit(rule, Grid(2, 1, range(4)), [Truthful()])["truthful"]
    assert on_grid.status is Status.REFUTED and on_grid.worst == 3
    assert audit(rule, Reals(2, 1), [Truthful()])["truthful"].status is Status.REFUTED


def test_numbers_of_the_source_are_looked_beside() -> None:
    marks = constants(Mechanism(MinCostFlow(), Nearly(lambda charges, market, allocation: charges)))
    assert {6, 10, 31337, 2**40} <= set(marks)
    assert constants(find_mechanism("vcg")) == ()


def test_a_batch_of_conditions_is_one_after_the_other() -> None:
    rng = np.random.default_rng(0)
    for bound in (5, 2**40):
        values, costs = rng.integers(-bound, bound, (40, 2, 2)), rng.integers(0, bound, (2, 2))
        batch = Batch(values, costs)
        third = Linear({("value", 0, 1): Fraction(1, 3), ("cost", 1, 0): -2}, Fraction(5, 2))
        mechanism = describe(find_mechanism("vcg"))
        weights = tuple(
            tuple(Linear.of(("value", i, j)) - Linear.of(("cost", i, j)) for j in range(2)) for i in range(2)
        )
        conditions = [
            *mechanism.choice.conditions(Space((0, 1), (1, 1)), weights, ()).values(),
            AtLeast(third),
            AtLeast(third, strict=True),
        ]
        for condition in conditions:
            found = batch.holds(condition)
            for place in range(40):
                point = {("value", i, j): int(values[place, i, j]) for i in range(2) for j in range(2)}
                point |= {("cost", i, j): int(costs[i, j]) for i in range(2) for j in range(2)}
                assert bool(found[place]) == holds(condition, point)
        amounts = np.array(
            [int(6 * third.at({("value", 0, 1): int(v[0, 1]), ("cost", 1, 0): int(costs[1, 0])})) for v in values]
        )
        assert batch.equal(6 * third, amounts).all() and not batch.equal(6 * third, amounts + 1).any()
