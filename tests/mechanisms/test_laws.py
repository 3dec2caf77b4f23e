"""Every rule that ships obeys every law; every law is broken by a mechanism made to break it."""

from collections.abc import Callable

import numpy as np
import pytest

from allocation import Greedy, LawError, Market, MinCostFlow
from allocation.laws import Law
from mechanisms import (
    VCG,
    DirectMechanism,
    Mechanism,
    MechanismError,
    Outcome,
    Payments,
    check_mechanism,
    check_rule,
    find_mechanism,
)
from mechanisms.catalogue import RULES, WHOLE
from mechanisms.laws import MECHANISM_LAWS
from mechanisms.outcome import Outcomes

EXACT = Mechanism(MinCostFlow(), VCG())


@pytest.mark.parametrize("law", MECHANISM_LAWS, ids=str)
@pytest.mark.parametrize("name", [*RULES, *WHOLE])
def test_every_rule_that_ships_obeys_every_law(name: str, law: Law[DirectMechanism]) -> None:
    mechanism = find_mechanism(name)
    assert law(mechanism) >= (2 if law.applies(mechanism) else 0)


class Ran:
    """A mechanism made of a function."""

    def __init__(self, run: Callable[[Market], object], **claims: object) -> None:
        self.run = run
        self.__dict__.update(claims)


def charged(market: Market, charges: object, receipts: object) -> Outcome:
    return Outcome(market, MinCostFlow().allocate(market), Payments(np.array(charges), np.array(receipts)))


BUFFER = np.zeros(64, np.int64)


def buffered(market: Market) -> Outcome:
    """Charges are a view of one buffer, which the next call fills with its own."""
    exact = EXACT.run(market)
    n = market.shape[0]
    BUFFER[:n] = exact.payments.charges
    return Outcome(market, exact.allocation, Payments.of_fresh(BUFFER[:n], exact.payments.receipts))


class Learning:
    """Charges a reserve that it learnt from the last market."""

    def __init__(self) -> None:
        self.reserve = 0

    def run(self, market: Market) -> Outcome:
        exact = EXACT.run(market)
        reserve, self.reserve = self.reserve, int(market.values.max(initial=0))
        charges = np.where(exact.allocation.served, exact.payments.charges + reserve, 0)
        return Outcome(market, exact.allocation, Payments(charges, exact.payments.receipts))


def nosy(market: Market) -> Outcome:
    """Charges by all values, forbidden pairs included."""
    n, m = market.shape
    return charged(market, np.full(n, market.values.sum()), np.zeros(m, np.int64))


class Hasty:
    def run(self, market: Market) -> Outcome:
        return EXACT.run(market)

    def run_many(self, values: np.ndarray, template: Market) -> Outcomes:
        n, m = template.shape
        return Outcomes(np.full((len(values), n), -1), np.zeros((len(values), n), int), np.zeros((len(values), m), int))


@pytest.mark.parametrize(
    ("law", "mechanism", "wrong"),
    [
        (0, Ran(lambda market: market), "returns Market, not an Outcome"),
        (0, Ran(lambda market: charged(market, [1], [2])), "1 charges and 1 receipts"),
        (0, Ran(lambda market: charged(market, [2**60] * market.shape[0], [0] * market.shape[1])), "could overflow"),
        (0, Ran(lambda market: market.nothing), "AttributeError"),
        (1, Ran(nosy), "if forbidden pairs have other"),
        (2, Learning(), "keep no memory"),
        (2, Ran(buffered), "arrays of its own"),
        (3, Hasty(), "run_many answers"),
        (4, Ran(EXACT.run, promises={"truthful": "everywhere"}), "promises 'truthful' on 'everywhere'"),
    ],
)
def test_every_law_is_broken_by_somebody(law: int, mechanism: DirectMechanism, wrong: str) -> None:
    with pytest.raises(LawError, match=wrong):
        MECHANISM_LAWS[law](mechanism)
    with pytest.raises(LawError):
        check_mechanism(mechanism)


def test_a_rule_is_checked_together_with_its_allocator() -> None:
    class Crowding:
        def allocate(self, market: Market) -> object:
            return market

    assert check_rule(VCG()) > check_rule(VCG(), Greedy())
    with pytest.raises(LawError, match="Crowding breaks"):
        check_rule(VCG(), Crowding())  # type: ignore[arg-type]


def test_a_mechanism_that_refuses_everything_passes_nothing() -> None:
    def refuse(market: Market) -> Outcome:
        raise MechanismError("not today")

    with pytest.raises(LawError, match="tried on none"):
        check_mechanism(Ran(refuse))  # type: ignore[arg-type]
