"""Deviations and parameters of properties as plain JSON values, and back: nothing but what is listed here is built."""

import dataclasses
from collections.abc import Callable
from fractions import Fraction

from numpy.typing import ArrayLike

from allocation import Market, MinCostFlow
from mechanisms import Prior
from mechanisms.settlement import ExecutionContingent, OnDelivery, OnMeasurement, OnPrediction
from proofs.claims.execution_risk import ExecutionRisk
from proofs.errors import AuditError
from proofs.misreports.coalition import AgentMisreport, Coalition
from proofs.misreports.identity import FalseNames, OtherReports, Split, Swap
from proofs.misreports.misreport import Misreport
from proofs.moved import with_todays_names

_DEVIATIONS = (Misreport, AgentMisreport, Coalition, FalseNames, Swap, OtherReports, Split)
_SETTLEMENTS = (OnPrediction, OnMeasurement, OnDelivery, ExecutionContingent, MinCostFlow)

_KINDS: dict[str, Callable[..., object]] = {
    kind.__name__: kind for kind in (*_DEVIATIONS, *_SETTLEMENTS, ExecutionRisk, Prior, Fraction)
}


def plain(value: object) -> object:
    """Numbers, strings, lists and dictionaries that stand for the value.

    Raises:
        AuditError: it is, or contains, something that JSON cannot carry.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    if isinstance(value, Fraction):
        return {"kind": "Fraction", "numerator": value.numerator, "denominator": value.denominator}
    if dataclasses.is_dataclass(value) and type(value).__name__ in _KINDS:
        fields = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
        return {"kind": type(value).__name__, **fields}
    raise AuditError(f"{value!r} cannot be written as JSON; a property's parameters are numbers, strings and tuples")


def built(data: object) -> object:
    """What `plain` wrote; lists come back as tuples.

    Raises:
        AuditError: an object of an unknown kind.
    """
    if isinstance(data, list):
        return tuple(built(item) for item in data)
    if not isinstance(data, dict):
        return data
    data = with_todays_names(data)
    fields = {str(name): built(value) for name, value in data.items() if name != "kind"}
    kind = str(data.get("kind", "Misreport"))
    if kind not in _KINDS:
        raise AuditError(f"nothing of kind {kind!r} is known; expected one of {', '.join(_KINDS)}")
    try:
        return _KINDS[kind](**fields)
    except TypeError as error:
        raise AuditError(f"no {kind}: {error}") from error


def market_as_dict(market: Market) -> dict[str, object]:
    """A market's parts as lists; None where every pair may be matched, and where request i is bidder i's."""
    return {
        "values": market.values.tolist(),
        "costs": market.costs.tolist(),
        "capacities": market.capacities.tolist(),
        "feasible": None if market.feasible is None else market.feasible.tolist(),
        "owners": None if market.players == tuple(range(market.shape[0])) else market.bidders.tolist(),
    }


def market_from(
    values: ArrayLike,
    costs: ArrayLike,
    capacities: ArrayLike,
    feasible: ArrayLike | None = None,
    owners: ArrayLike | None = None,
) -> Market:
    """The market of what `market_as_dict` wrote."""
    return Market(values, costs, capacities, feasible, owners)
