"""`Allocation`: who serves whom, with prices as proof."""

from dataclasses import dataclass, field
from reprlib import repr as shown

import numpy as np
from numpy.typing import NDArray

from allocation.errors import MarketError
from allocation.money import Money, as_array

UNSERVED = -1

Agents = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Allocation:
    """Who serves whom: `agents` (N,) holds an agent's index or `UNSERVED`.

    `prices` (M,) are micro-units per slot: a dual solution that proves the allocation optimal
    (`Market.certify`), or None where the allocator claims no optimality.
    """

    agents: Agents
    prices: Money | None = None
    #: (N,) True where a request is served.
    served: Mask = field(init=False)

    def __post_init__(self) -> None:
        raw = as_array(self.agents, "agents")
        if raw.size and raw.dtype.kind not in "iu":
            odd = raw.ravel().tolist()[0]
            raise MarketError(f"agents holds {odd!r} ({raw.dtype}); expected indices of agents, or {UNSERVED}")
        agents = np.array(raw, dtype=np.int64, copy=True)
        if agents.ndim != 1:
            raise MarketError(f"agents has shape {agents.shape}, expected one agent (or {UNSERVED}) per request")
        agents.setflags(write=False)
        object.__setattr__(self, "agents", agents)
        served = agents != UNSERVED
        served.setflags(write=False)
        object.__setattr__(self, "served", served)
        if self.prices is not None:
            given = as_array(self.prices, "prices")
            if given.size and given.dtype.kind not in "iu":
                raise MarketError(
                    f"prices holds {given.ravel().tolist()[0]!r}; expected integers, or None for no proof"
                )
            if given.ndim != 1:
                raise MarketError(f"prices has shape {given.shape}, expected one price per agent, or None for no proof")
            prices = np.array(given, dtype=np.int64, copy=True)
            prices.setflags(write=False)
            object.__setattr__(self, "prices", prices)

    def __repr__(self) -> str:
        prices = "" if self.prices is None else f", prices={self.prices.tolist()}"
        return f"Allocation({self.agents.tolist()}{prices})"


def as_allocation(given: object) -> Allocation:
    """The allocation, as it is.

    Raises:
        MarketError: it is something else.
    """
    if isinstance(given, Allocation):
        return given
    raise MarketError(f"{shown(given)} is no Allocation; write Allocation(agents)")
