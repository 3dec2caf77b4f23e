"""Whoever calls this room with the wrong thing is told so: every public name, every argument."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import proofs
from allocation import CertificateError, LawError, Market, MarketError, MinCostFlow, SolverError, TieError
from mechanisms import VCG, DynamicPivot, Mechanism, MechanismError, Mixture, PayAsBid, PerRound, Prior
from proofs import (
    AuditError,
    Counterexample,
    Grid,
    Misreport,
    NoDeficit,
    Processes,
    Reals,
    ReplayError,
    Sample,
    Suite,
    Truthful,
    Violation,
    assert_holds,
    assert_truthful,
    audit,
    audit_lotteries,
    audit_plays,
    audit_rounds,
    cycle_gain,
    design,
    find_property,
    implementability,
    lottery_violation,
    multi_round_gain,
    rank,
    shrink,
    violation,
)
from proofs.audit import ENGINES
from proofs.rounds.conversations import Conversations
from tests.wrong_arguments import Call, untried

OURS = (AuditError, ReplayError, MechanismError, MarketError, CertificateError, SolverError, TieError, LawError)

EVERY, DEAR = Mechanism(MinCostFlow(), VCG()), Mechanism(MinCostFlow(), PayAsBid())
SMALL = Grid(2, 1, range(2))
LOTS = Mixture((EVERY,), (1,))
WORLD = Conversations(bidders=1)
MARKET = Market([[2]], [[0]], [1])
FOUND = Counterexample.of(Truthful(), DEAR, MARKET, Misreport(0, ((1,),)))
assert FOUND is not None
PUBLIC: dict[str, Any] = {"values": [[2]], "costs": [[0]], "capacities": [1]}
MISREPORT: dict[str, Any] = {**PUBLIC, "feasible": [[True]], "owners": [0], "bidder": 0, "misreport": [[1]]}
#: Other values and costs, every pair, and owners of their own are right as well.
RIGHT = {"values": ([[1]],), "costs": ([[1]],), "feasible": (None,), "owners": (None,)}


def scopes(kind: Callable[..., object], takes: dict[str, Any], **more: Any) -> Call:
    """A scope of one bidder and one agent."""
    public = {"costs": (3, [[1]]), "capacities": (3,), "owners": (None,), "feasible": (None,)}
    return Call(kind, {"bidders": 1, "agents": 1, "costs": 0, "capacities": 1, **more}, {**public, **takes})


CALLS: dict[str, Call] = {
    "Misreport": Call(Misreport, {"bidder": 0, "rows": ((1,),)}, {"bidder": (3,), "rows": ([[1]],)}),
    "Misreport.of": Call(Misreport.of, {"bidder": 0, "rows": [[1]]}, {"bidder": (3,), "rows": ([[1]],)}),
    "Misreport.applied": Call(Misreport(0, ((1,),)).applied, {"truth": MARKET}),
    "Truthful": Call(Truthful),
    "NoDeficit": Call(NoDeficit),
    "Efficient": Call(proofs.Efficient),
    "IndividuallyRational": Call(proofs.IndividuallyRational),
    "Violation": Call(Violation, {"amount": 1, "text": "why"}, {"amount": (3,), "text": ("x",)}),
    "Processes": Call(Processes, {"count": 1}, {"count": (3, None)}),
    "Grid": scopes(
        Grid,
        {"limit": (3,)},
        values=(0, 1),
        owners=(0,),
        feasible=((True,),),
        requests_per_bidder=1,
        limit=100,
        ties="first",
    ),
    "Grid, private": Call(
        lambda private_costs, private_capacities: Grid(
            1, 1, (0, 1), private_costs=private_costs, private_capacities=private_capacities
        ),
        {"private_costs": (0, 1), "private_capacities": (0, 1)},
        dict.fromkeys(("private_costs", "private_capacities"), (None,)),
    ),
    "Sample": scopes(
        Sample, {"draws": (3,), "seed": (3,)}, values=(0, 9), owners=(0,), feasible=((True,),), draws=3, seed=0
    ),
    "Reals": scopes(Reals, {"agents": (3,), "box": (None,), "limit": (3,)}, box=(0, 1), owners=(0,), limit=100),
    "Suite": Call(Suite, {"grids": {"one": SMALL}}),
    "Suite.only": Call(Suite({"one": SMALL}).only, {"names": ["one"]}),
    "Counterexample.of": Call(
        Counterexample.of,
        {"prop": Truthful(), "mechanism": DEAR, "truth": MARKET, "misreport": Misreport(0, ((1,),)), "ties": "first"},
    ),
    "Counterexample.from_json": Call(Counterexample.from_json, {"text": FOUND.to_json()}),
    "Counterexample.replay": Call(FOUND.replay, {"mechanism": DEAR}),
    "Counterexample.expression": Call(FOUND.expression, {"mechanism": DEAR}),
    "assert_holds": Call(assert_holds, {"mechanism": EVERY, "properties": ["truthful"], "scope": SMALL}),
    "assert_truthful": Call(assert_truthful, {"mechanism": EVERY, "scope": SMALL}),
    "audit": Call(
        lambda mechanism, scope, properties, progress, engines, workers, resume, symmetry: audit(
            mechanism,
            scope,
            properties,
            progress,
            engines=engines,
            workers=workers,
            resume=resume,
            symmetry=symmetry,
        ),
        {
            "mechanism": EVERY,
            "scope": SMALL,
            "properties": ["truthful"],
            "progress": lambda done, total: None,
            "engines": ENGINES,
            "workers": 1,
            "resume": None,
            "symmetry": False,
        },
        # Three workers are three processes.
        {"progress": (None,), "resume": (None,), "workers": "anything"},
    ),
    "audit, by name": Call(
        lambda mechanism, allocator: audit(mechanism, SMALL, ["truthful"], allocator=allocator),
        {"mechanism": "vcg", "allocator": "brute-force"},
        {"allocator": (None,)},
    ),
    "audit_lotteries": Call(audit_lotteries, {"mechanism": LOTS, "grid": SMALL, "claims": ["truthful-in-expectation"]}),
    "audit_plays": Call(audit_plays, {"mechanism": DynamicPivot(), "world": WORLD, "values": (0, 1)}),
    "audit_rounds": Call(
        audit_rounds,
        {"mechanism": PerRound(EVERY), "world": WORLD, "values": (0, 1), "progress": lambda done, total: None},
        {"progress": (None,)},
    ),
    "cycle_gain": Call(
        cycle_gain,
        {
            "allocator": MinCostFlow(),
            "bidder": 0,
            "types": [[[1]], [[0]]],
            **PUBLIC,
            "feasible": [[True]],
            "owners": [0],
        },
        RIGHT,
    ),
    "design": Call(
        design,
        {
            "grid": SMALL,
            "objective": "revenue",
            "allocator": MinCostFlow(),
            "no_deficit": False,
            "deterministic": False,
            "prior": None,
            "truthful": "dominant",
            "constraints": (),
            "solver": "pulp",
        },
        {"allocator": (None,), "prior": (None,)},
    ),
    "find_property": Call(find_property, {"name": "truthful"}),
    "implementability": Call(
        implementability,
        {"allocator": MinCostFlow(), "grid": SMALL, "progress": lambda done, total: None},
        {"progress": (None,)},
    ),
    "lottery_violation": Call(
        lottery_violation,
        {"claim": "truthful-in-expectation", "mechanism": LOTS, **MISREPORT},
        {**RIGHT, "misreport": ([[1]],)},
    ),
    "multi_round_gain": Call(
        multi_round_gain,
        {
            "mechanism": PerRound(EVERY),
            "world": WORLD,
            "values": ((1,),),
            "bidder": 0,
            "reports": ((0,),) * WORLD.rounds,
        },
        {"values": ([[1]],)},
    ),
    "rank": Call(
        rank,
        {"mechanisms": {"vcg": EVERY}, "prior": Prior.over([Market([[1], [0]], [[0], [0]], [1])]), "grid": SMALL},
        {"grid": (None,)},
    ),
    "shrink": Call(shrink, {"found": FOUND, "subject": DEAR, "budget": 10}, {"budget": (3,)}),
    "violation": Call(
        violation,
        {"prop": "truthful", "mechanism": DEAR, **MISREPORT, "ties": "first"},
        {**RIGHT, "misreport": ([[1]],)},
    ),
}


#: What an audit makes, and a word for what it found.
MADE_BY_US = {"Finding", "Report", "Status"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", CALLS)
def test_the_wrong_thing_is_named(name: str) -> None:
    CALLS[name].valid()
    assert list(CALLS[name].faults(OURS)) == []


def test_nothing_public_is_left_out() -> None:
    assert set(untried(proofs, CALLS)) == MADE_BY_US


@pytest.mark.parametrize("workers", ["x", [[1]], object(), 0, True])
def test_workers_are_a_number_or_a_pool(workers: Any) -> None:
    with pytest.raises(AuditError, match="workers"):
        audit(EVERY, SMALL, workers=workers)


@pytest.mark.parametrize("bidder", [-1, 1])
def test_a_bidder_over_rounds_is_one_of_the_world(bidder: int) -> None:
    with pytest.raises(AuditError, match="bidder = "):
        multi_round_gain(PerRound(EVERY), WORLD, ((1,),), bidder, ((0,), (0,)))


def test_a_class_in_place_of_a_property_is_named() -> None:
    with pytest.raises(AuditError, match=r"Truthful.*give an object"):
        audit(EVERY, SMALL, [Truthful])  # type: ignore[list-item]
