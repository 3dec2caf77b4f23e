"""What is no market, no money or no part is refused where it comes in, by an error that names it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from allocation import Allocation, Market, MarketError, MinCostFlow, to_micros
from mechanisms import (
    VCG,
    Mechanism,
    MechanismError,
    Payments,
    Preferences,
    find_allocator,
    find_mechanism,
    find_settlement,
)

RAGGED = [[1], [1, 2]]
MASKED = np.ma.array([[5, 9]], mask=[[0, 1]])
ROW = np.ma.array([1, 1], mask=[0, 1])


def market(**parts: Any) -> Market:
    return Market(**{"values": [[5, 9]], "costs": [[0, 0]], "capacities": [1, 1], **parts})


MARKETS: list[tuple[dict[str, Any], str]] = [
    ({"values": RAGGED}, "values is ragged"),
    ({"costs": RAGGED}, "costs is ragged"),
    ({"capacities": RAGGED}, "capacities is ragged"),
    ({"feasible": RAGGED}, "feasible is ragged"),
    ({"values": MASKED}, "values is a masked array.*feasible="),
    ({"costs": MASKED}, "costs is a masked array"),
    ({"capacities": ROW}, "capacities is a masked array"),
    ({"feasible": np.ma.array([[True, True]], mask=[[0, 1]])}, "feasible is a masked array"),
    ({"bidders": np.ma.array([0], mask=[1])}, "bidders is a masked array"),
    ({"values": [["5", "9"]]}, "values holds '5'"),
    ({"values": [[5, None]]}, "values holds None"),
    ({"values": [[5, 10**30]]}, f"values holds {10**30}.*rescale"),
    ({"values": [[True, 9]]}, "values holds True"),
    ({"values": np.array([[True, False]])}, "values holds True"),
    ({"capacities": [True, 1]}, "capacities holds True"),
    ({"capacities": ["1", "2"]}, "capacities holds '1'"),
    ({"capacities": [1.0, 2.0]}, "capacities holds 1.0"),
    ({"bidders": ["a"]}, "bidders holds 'a'"),
    ({"feasible": [[1, 0]]}, r"feasible holds \[1\]"),
    ({"values": None}, "values"),
]


@pytest.mark.parametrize(("parts", "message"), MARKETS, ids=[message for _, message in MARKETS])
def test_no_market(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(MarketError, match=message):
        market(**parts)


OTHERS: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: Allocation(RAGGED), MarketError, "agents is ragged"),
    (lambda: Allocation(np.ma.array([0], mask=[1])), MarketError, "agents is a masked array"),
    (lambda: Allocation([True, 1]), MarketError, "agents holds True"),
    (lambda: Allocation([0], ["a"]), MarketError, "prices holds 'a'"),
    (lambda: Allocation([0], [1.5]), MarketError, "prices holds 1.5"),
    (lambda: Payments(RAGGED, [1]), MarketError, "charges is ragged"),
    (lambda: Payments(ROW, [1]), MarketError, "charges is a masked array"),
    (lambda: Payments([1], [True]), MarketError, "receipts holds True"),
    (lambda: to_micros("1"), MarketError, "amount holds '1'"),
    (lambda: to_micros(True), MarketError, "amount holds True"),
    (lambda: to_micros([1.0, True]), MarketError, "amount holds True"),
    (lambda: to_micros(MASKED), MarketError, "amount is a masked array"),
    (lambda: to_micros(RAGGED), MarketError, "amount is ragged"),
    (lambda: to_micros(None), MarketError, "amount"),
    (lambda: market().without(9), MarketError, r"no bidder 9; bidders here are \[0\]"),
    (lambda: market().requests_of("a"), MarketError, "no bidder 'a'"),  # type: ignore[arg-type]
    (lambda: find_mechanism(3), MechanismError, "3 is no name"),  # type: ignore[arg-type]
    (lambda: find_mechanism(None), MechanismError, "None is no name"),  # type: ignore[arg-type]
    (lambda: find_mechanism("vcg", MinCostFlow()), MechanismError, r"MinCostFlow\(\) is no name"),  # type: ignore[arg-type]
    (lambda: find_allocator(3), MechanismError, "3 is no name"),  # type: ignore[arg-type]
    (lambda: find_settlement(3), MechanismError, "3 is no name"),  # type: ignore[arg-type]
    (lambda: Preferences.paper("x"), MechanismError, "weight = 'x'"),  # type: ignore[arg-type]
    (lambda: Preferences("x", 1), MechanismError, "worth = 'x'"),  # type: ignore[arg-type]
    (lambda: Preferences(1, 1, "x"), MechanismError, "deadline = 'x'"),  # type: ignore[arg-type]
    (lambda: Preferences(1, True), MechanismError, "delay_cost = True"),
    (lambda: Mechanism(MinCostFlow, VCG()), MechanismError, "MinCostFlow is a class"),  # type: ignore[arg-type]
    (lambda: Mechanism(MinCostFlow(), VCG), MechanismError, "VCG is a class"),  # type: ignore[arg-type]
    (lambda: Mechanism(VCG(), MinCostFlow()), MechanismError, "VCG has no allocate"),  # type: ignore[arg-type]
    (lambda: Mechanism(MinCostFlow(), 3), MechanismError, "int has no charge"),  # type: ignore[arg-type]
    (lambda: Mechanism(MinCostFlow(), VCG()).run("x"), MarketError, "'x' is no Market"),  # type: ignore[arg-type]
    (lambda: market().welfare([0]), MarketError, "is no Allocation"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("build", "kind", "message"), OTHERS, ids=[message for _, _, message in OTHERS])
def test_nothing_else_either(build: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        build()
