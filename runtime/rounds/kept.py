"""A round as it is kept: what was stated and predicted, what the market was, who got whom, at which prices; as JSON.

    format    "iemas round 1"
    round     the router's number of it; `at_s`, Unix time; `rules`, the names of what decided, and of which version
    agents    M names; `up`, which of them were
    requests  N ids; `bidders`, their accounts; `tries`, on how many agents each had failed; `waited_s`, since they came
    stated    N rows: worth, delay cost, deadline (null: none), stake; in credits and seconds, as reported
    basis     what values follow from (`runtime.policies.basis`): columns, quality, service, start, chances; costs, fees
              and possible by agent; null of a policy that brings none
    market    capacities and receipts by column, prices (null: none), `agents`, the column of each request, -1 for
              none, and `values_crc`, the CRC-32 of the values as little-endian int64, row by row; without a basis also
              columns, values, costs and feasible. null where there was no auction
    placed    N agents: -1 declined, -2 competes again; `positions`, their places in line; `charges`, in micro-units
    predicted N rows of the agent chosen: latency in seconds, cost in credits, quality; or null

Money is in micro-units, integers; what is a float is written so that the very same one is read.
"""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from mechanisms import Outcome
from runtime.events import Offer
from runtime.policies.basis import Basis
from runtime.policies.policy import Decision, Fleet

FORMAT = "iemas round 1"


@dataclass(frozen=True, slots=True, eq=False)
class RoundMade:
    """A round that was decided: the router's number of it, when (Unix time), for whom, among whom, and what.

    `record` is what the books keep of it, None where they do not.
    """

    number: int
    at_s: float
    offers: Sequence[Offer]
    tries: Sequence[int]
    fleet: Fleet
    decision: Decision
    record: str | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """What becomes of rounds.

    Args:
        rules: names of what decides and settles, for whoever audits: mechanism, allocator, settlement, version.
        in_books: whether rounds are kept in the ledger.
        told: sees every round as it was decided, before anything is dispatched.
    """

    rules: Mapping[str, object] = field(default_factory=dict)
    in_books: bool = True
    told: Callable[[RoundMade], None] = lambda made: None


def record_of(made: RoundMade, rules: Mapping[str, object]) -> str:
    """The JSON that is kept of a round."""
    decision, offers = made.decision, made.offers
    reports = [offer.preferences for offer in offers]
    return _text(
        {
            "format": FORMAT,
            "round": made.number,
            "at_s": made.at_s,
            "rules": dict(rules),
            "agents": [agent.name for agent in made.fleet.agents],
            "up": made.fleet.alive.astype(int).tolist(),
            "requests": [offer.request.id for offer in offers],
            "bidders": [offer.request.bidder for offer in offers],
            "tries": list(made.tries),
            "waited_s": [made.fleet.now_s - offer.arrived_s for offer in offers],
            "stated": [
                [
                    float(one.worth),
                    float(one.delay_cost),
                    float(one.deadline) if isfinite(one.deadline) else None,
                    float(one.stake),
                ]
                for one in reports
            ],
            "basis": None if decision.basis is None else _basis(decision.basis),
            "market": None if decision.outcome is None else _market(decision.outcome, decision.basis is None),
            "placed": np.asarray(decision.agents).tolist(),
            "positions": None if decision.positions is None else np.asarray(decision.positions).tolist(),
            "charges": np.asarray(decision.charges).tolist(),
            "predicted": [
                None if one is None else [one.latency_s, one.cost, one.quality]
                for one in decision.predicted or [None] * len(offers)
            ],
        }
    )


def _text(told: dict[str, Any]) -> str:
    """JSON, by whatever is quick and there: the same numbers either way."""
    try:
        import orjson
    except ImportError:
        return json.dumps(told, separators=(",", ":"), allow_nan=False)
    return orjson.dumps(told).decode()


def _basis(basis: Basis) -> dict[str, Any]:
    return {
        "columns": basis.columns.tolist(),
        "quality": basis.quality.tolist(),
        "service": basis.service.tolist(),
        "start": basis.start.tolist(),
        "chances": {str(i): chance.tolist() for i, chance in basis.chances.items()},
        "costs": basis.costs.tolist(),
        "fees": None if basis.fees is None else basis.fees.tolist(),
        "possible": basis.possible.astype(int).tolist(),
    }


def _market(outcome: Outcome, whole: bool) -> dict[str, Any]:
    market, allocation = outcome.reported, outcome.allocation
    told = {
        "capacities": market.capacities.tolist(),
        "agents": allocation.agents.tolist(),
        "prices": None if allocation.prices is None else allocation.prices.tolist(),
        "receipts": outcome.payments.receipts.tolist(),
        "values_crc": values_crc(market.values),
    }
    if whole:
        feasible = None if market.feasible is None else market.feasible.astype(int).tolist()
        told |= {"values": market.values.tolist(), "costs": market.costs.tolist(), "feasible": feasible}
    return told


def values_crc(values: np.ndarray[Any, np.dtype[np.int64]]) -> int:
    """CRC-32 of a table of int64, row by row, least byte first."""
    return zlib.crc32(np.ascontiguousarray(values, "<i8").tobytes())
