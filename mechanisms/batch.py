"""Many small markets that differ in values alone: what an audit over a grid of reports runs, millions at a time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from allocation import Market, MinCostFlow, allocate_many, externalities, stands_for
from allocation.exact.duals import Lowest
from allocation.money import Money, as_money

if TYPE_CHECKING:
    from mechanisms.mechanism import DirectMechanism


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Outcomes of B markets: who serves whom (B, N), what requests pay (B, N), what agents are paid (B, M)."""

    agents: NDArray[np.int64]
    charges: Money
    receipts: Money


@runtime_checkable
class BatchMechanism(Protocol):
    """A mechanism that can run many markets at once; it must decide each as it would alone."""

    def run_many(self, values: Money, template: Market) -> Outcomes:
        """Outcomes of the markets `template.replace(values=values[b])`."""
        ...


def run_many(mechanism: "DirectMechanism", values: Money, template: Market) -> Outcomes:
    """Outcomes of the markets `template.replace(values=values[b])`: one pass for VCG over `MinCostFlow`, else a loop.

    Args:
        mechanism: anything with `run`.
        values: (B, N, M) micro-units.
        template: costs, capacities, feasible pairs and owners that all of them share; its values are not read.
    """
    if _is_vcg(mechanism):
        return _vcg(values, template)
    amounts = as_money(values, name="values", ndim=3)
    n, m = template.shape
    agents, charges = (np.empty((amounts.shape[0], n), np.int64) for _ in range(2))
    receipts = np.empty((amounts.shape[0], m), np.int64)
    for b in range(amounts.shape[0]):
        outcome = mechanism.run(template.replace(values=amounts[b]))
        agents[b] = outcome.allocation.agents
        charges[b], receipts[b] = outcome.payments.charges, outcome.payments.receipts
    return Outcomes(agents, charges, receipts)


def has_batch_path(mechanism: "DirectMechanism") -> bool:
    """Whether `run_many` of the mechanism is faster than a loop over `run`."""
    from mechanisms.mechanism import Mechanism

    if _is_vcg(mechanism):
        return True
    own = isinstance(mechanism, BatchMechanism) and not isinstance(mechanism, Mechanism)
    return own and stands_for(mechanism, "run_many", "run")


def _is_vcg(mechanism: "DirectMechanism") -> bool:
    from mechanisms.mechanism import Mechanism
    from mechanisms.vcg import VCG

    if not isinstance(mechanism, Mechanism) or type(mechanism) is not Mechanism:  # a subclass may run otherwise
        return False
    return type(mechanism.rule) is VCG and type(mechanism.allocator) is MinCostFlow


def _vcg(values: Money, template: Market) -> Outcomes:
    from mechanisms._charges import charge_many

    agents, prices = allocate_many(values, template)
    requests, first = template.shared
    gains = np.zeros((agents.shape[0], first.size - 1), np.int64)
    for b in range(agents.shape[0] if first.size > 1 else 0):
        market = template.replace(values=values[b])
        gains[b] = externalities(market, Lowest.of(market, agents[b], prices[b]), requests, first)
    charges, receipts = charge_many(template.costs, agents, np.ascontiguousarray(prices), requests, first, gains)
    return Outcomes(agents, charges, receipts)
