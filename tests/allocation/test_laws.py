"""Every allocator that ships obeys every law; every law is broken by an allocator made to break it."""

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from allocation import Allocation, Allocator, Greedy, LawError, Market, MarketError, MinCostFlow, check_allocator
from allocation.laws import ALLOCATOR_LAWS, Law
from mechanisms.catalogue import ALLOCATORS


@pytest.mark.parametrize("law", ALLOCATOR_LAWS, ids=str)
@pytest.mark.parametrize("name", ALLOCATORS)
def test_every_allocator_that_ships_obeys_every_law(name: str, law: Law[Allocator]) -> None:
    allocator = ALLOCATORS[name]()
    assert law(allocator) >= (10 if law.applies(allocator) else 0)


class Allocated:
    """An allocator made of a function."""

    def __init__(self, allocate: Callable[[Market], object], **claims: object) -> None:
        self.allocate = allocate
        self.__dict__.update(claims)


def crowded(market: Market) -> Allocation:
    return Allocation(np.zeros(market.shape[0], np.int64))


class Forgetful:
    """Serves nobody every second time."""

    def __init__(self) -> None:
        self.calls = 0

    def allocate(self, market: Market) -> Allocation:
        self.calls += 1
        return Allocation([-1] * market.shape[0]) if self.calls % 2 else MinCostFlow().allocate(market)


def priced(market: Market) -> Allocation:
    found = Greedy().allocate(market)
    return replace(found, prices=np.zeros(market.shape[1], np.int64))


def nosy(market: Market) -> Allocation:
    return Allocation([-1] * market.shape[0]) if market.values.sum() % 3 else MinCostFlow().allocate(market)


class Boastful:
    exact: ClassVar[bool] = True

    def allocate(self, market: Market) -> Allocation:
        return Greedy().allocate(market)


class Untied:
    def allocate(self, market: Market) -> Allocation:
        return MinCostFlow().allocate(market)

    def ties(self, market: Market) -> tuple[Allocation, ...]:
        return (Allocation([-1] * market.shape[0]),)


class Hasty:
    def allocate(self, market: Market) -> Allocation:
        return MinCostFlow().allocate(market)

    def allocate_many(self, values: np.ndarray, template: Market) -> tuple[np.ndarray, np.ndarray]:
        return np.full(values.shape[:2], -1), np.zeros((len(values), template.shape[1]), np.int64)


@pytest.mark.parametrize(
    ("law", "allocator", "wrong"),
    [
        (0, Allocated(crowded), "serves"),
        (0, Allocated(lambda market: market), "returns Market, not an Allocation"),
        (0, Allocated(lambda market: 1 // 0), "ZeroDivisionError"),
        (1, Forgetful(), "keep no memory"),
        (2, Allocated(nosy), "if forbidden pairs"),
        (3, Allocated(priced), "leave `prices` None"),
        (4, Boastful(), "exact and carries no prices"),
        (5, Untied(), "not among its ties"),
        (6, Hasty(), "allocate_many decides"),
    ],
)
def test_every_law_is_broken_by_somebody(law: int, allocator: Allocator, wrong: str) -> None:
    with pytest.raises(LawError, match=wrong):
        ALLOCATOR_LAWS[law](allocator)
    with pytest.raises(LawError):
        check_allocator(allocator)


def test_an_allocator_that_refuses_everything_passes_nothing() -> None:
    def refuse(market: Market) -> Allocation:
        raise MarketError("too large")

    with pytest.raises(LawError, match="tried on none"):
        check_allocator(Allocated(refuse))  # type: ignore[arg-type]
