"""A suite of scopes: each wrong rule is refuted somewhere, each right one is held to what it promises, nowhere else."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from allocation import Allocation, Allocator, Market, MinCostFlow
from mechanisms import VCG, DirectMechanism, Mechanism, MechanismError, PayAsBid, Payments
from mechanisms.promises import Domain, Promises
from proofs import SUITE, AuditError, Grid, Status, Suite, audit
from proofs.scopes.grid import Sample
from tests.proofs.mutants import Misread, Spoiled

pytestmark = pytest.mark.usefixtures("replayed_here")

Charge = Callable[[Market, Allocation, Allocator], Payments]


@dataclass(frozen=True)
class Wrong:
    """VCG with a fault that a market of equal costs, one request each and no forbidden pair does not show."""

    how: str

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        right = VCG().charge(market, allocation, allocator)
        served, costs = allocation.served, market.take(market.costs, allocation)
        beyond, charges = right.charges - costs, right.charges.copy()
        match self.how:
            case "cost of the first agent":
                charges = np.where(served, market.costs[:, 0], 0) + beyond
            case "cost of the first request":
                charges = np.where(served, market.costs[0, allocation.agents], 0) + beyond
            case "costs forgotten":
                charges = beyond
            case "each request a bidder":
                apart = Market(market.values, market.costs, market.capacities, market.feasible)
                charges = VCG().charge(apart, allocation, allocator).charges
            case "second request free":
                for bidder in market.players:
                    charges[market.requests_of(bidder)[1:]] = 0
            case "reads forbidden pairs":
                if market.feasible is not None:
                    charges = charges - np.where(served, np.where(market.feasible, 0, market.values).max(axis=1), 0)
            case "a float of 24 bits":
                charges = right.charges.astype(np.float32).astype(np.int64)
            case "at most ten":
                charges = np.minimum(charges, 10)
            case _:
                raise AssertionError(self.how)
        return Payments(charges, right.receipts)


#: A fault -> a property that it breaks, and a scope where it shows.
FAULTS = {
    "cost of the first agent": ("truthful", "costs"),
    "cost of the first request": ("truthful", "costs per request"),
    "costs forgotten": ("no-deficit", "costs"),
    "each request a bidder": ("truthful", "owners"),
    "second request free": ("no-deficit", "owners"),
    "reads forbidden pairs": ("truthful", "forbidden pairs"),
    "a float of 24 bits": ("individually-rational", "magnitudes"),
    "at most ten": ("truthful", "magnitudes"),
}


@pytest.mark.parametrize("how", FAULTS)
def test_each_fault_is_refuted_where_it_shows_and_not_on_the_kind_grid(how: str) -> None:
    prop, where = FAULTS[how]
    # The other nine scopes take four times as long, and nothing here looks at what they find.
    report = audit(Mechanism(MinCostFlow(), Wrong(how)), SUITE.only(["plain", where]))
    assert report[prop].status is Status.REFUTED and not report.passed
    parts = {name: {one.property.name: one.status for one in part} for name, part in report.parts}
    assert parts[where][prop] is Status.REFUTED
    assert set(parts["plain"].values()) == {Status.VERIFIED}
    found = report[prop].counterexample
    assert found is not None and found.replay(Mechanism(MinCostFlow(), Wrong(how))) > 0
    assert str(report[prop].scope) in {str(grid) for grid in SUITE.grids.values()}
    assert f"refuted on {', '.join(name for name in parts if parts[name].get(prop) is Status.REFUTED)}" in (
        report[prop].note
    )


@pytest.mark.parametrize(
    "mechanism",
    [
        *(
            Mechanism(MinCostFlow(), Spoiled(how))
            for how in ("missing cost", "cost counted twice", "one micro-unit less", "price of the next agent")
        ),
        *(
            pytest.param(Mechanism(Misread(how), VCG()), marks=pytest.mark.slow)
            for how in ("no costs", "last agent forgotten", "first request forgotten", "agents by index, not by worth")
        ),
    ],
    ids=lambda mechanism: getattr(mechanism.rule, "how", None) or mechanism.allocator.how,
)
def test_faults_as_people_make_them(mechanism: DirectMechanism) -> None:
    assert audit(mechanism, SUITE).refuted


def test_the_exact_rule_holds_everywhere_and_its_cases_are_counted() -> None:
    report = audit("vcg", SUITE)
    assert report.passed
    assert report["no-deficit"].cases == SUITE.profiles
    assert report["truthful"].cases == sum(grid.pairs for grid in SUITE.grids.values())
    assert [name for name, _ in report.parts] == list(SUITE.grids)
    data = json.loads(report.to_json())
    assert [part["name"] for part in data["scopes"]] == list(SUITE.grids)
    assert all(str(grid) in data["scope"] for grid in SUITE.grids.values())


def test_the_suite_has_what_one_grid_lacks() -> None:
    grids = SUITE.grids.values()
    assert any(np.unique(grid.template.costs).size > 1 for grid in grids)
    assert any((grid.template.costs != grid.template.costs[0]).any() for grid in grids)
    assert {int(room) for grid in grids for room in grid.template.capacities} >= {0, 1, 2}
    assert any(sorted(np.bincount(grid.template.bidders)) == [1, 2] for grid in grids)
    assert any(grid.template.feasible is not None for grid in grids)
    assert max(max(grid.values) for grid in grids) >= 2**39
    assert SUITE.profiles < 20_000


class Free(VCG):
    """Charges nothing; promises truthfulness nowhere but where serving is free."""

    promises: ClassVar[Promises] = {"no-deficit": Domain.FREE, "individually-rational": Domain.EVERYWHERE}

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        right = super().charge(market, allocation, allocator)
        return Payments(np.zeros_like(right.charges), right.receipts)


def test_a_promise_is_held_where_it_is_made() -> None:
    report = audit(Mechanism(MinCostFlow(), Free()), SUITE, ["no-deficit", "individually-rational"])
    assert report["no-deficit"].status is Status.VERIFIED
    assert report["no-deficit"].cases == SUITE.grids["plain"].profiles
    assert f"promised on {Domain.FREE}" in report["no-deficit"].note
    assert str(report["no-deficit"].scope).startswith("1 scope; plain: ")
    assert report["individually-rational"].cases == SUITE.profiles


def test_a_promise_about_no_market_of_the_suite_is_unknown() -> None:
    dear = Suite({"dear": Grid(2, 1, range(3), costs=1)})
    report = audit(Mechanism(MinCostFlow(), Free()), dear, ["no-deficit", "individually-rational"])
    assert report["no-deficit"].status is Status.UNKNOWN and report["no-deficit"].cases == 0 and not report.passed
    assert "no case was examined" in report["no-deficit"].note


class Picky(VCG):
    """Refuses bidders with several requests."""

    def charge(self, market: Market, allocation: Allocation, allocator: Allocator) -> Payments:
        if len(market.players) < market.shape[0]:
            raise MechanismError("one request each, please")
        return super().charge(market, allocation, allocator)


def test_a_scope_that_the_rule_refuses_is_said_to_be_refused() -> None:
    report = audit(Mechanism(MinCostFlow(), Picky()), SUITE)
    assert report.passed and "owners" not in dict(report.parts)
    assert "refused on owners, owners of all: one request each, please" in report["truthful"].note
    assert "owners" not in str(report["truthful"].scope).replace("owners of", "")


def test_a_rule_that_refuses_everything_is_no_verdict() -> None:
    with pytest.raises(MechanismError, match="one request each"):
        audit(Mechanism(MinCostFlow(), Picky()), Suite({"owners": SUITE.grids["owners"]}))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_suite_is_shared_out(workers: int) -> None:
    small = SUITE.only(["costs", "owners"])
    report = audit(Mechanism(MinCostFlow(), PayAsBid()), small, workers=workers)
    assert report["truthful"].status is Status.REFUTED and report["truthful"].cases == 625 * 48 + 729 * (80 + 8)


def test_progress_is_of_the_whole() -> None:
    seen: list[tuple[int, int]] = []
    audit("vcg", SUITE, "no-deficit", lambda done, total: seen.append((done, total)))
    assert seen[-1] == (SUITE.profiles, SUITE.profiles) and seen == sorted(seen)


def test_what_is_no_suite() -> None:
    with pytest.raises(AuditError, match="holds nothing"):
        Suite({})
    with pytest.raises(AuditError, match="give name: Grid"):
        Suite({"drawn": Sample()})  # type: ignore[dict-item]


def test_one_property_needs_no_list_and_none_is_nothing_to_check() -> None:
    assert list(audit("vcg", Grid(2, 1, range(2)), "truthful")) == ["truthful"]
    for scope in (Grid(2, 1, range(2)), SUITE):
        with pytest.raises(AuditError, match="nothing to check"):
            audit("vcg", scope, [])
