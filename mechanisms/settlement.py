"""From predicted to measured: final charges and receipts once the requests have run.

An auction prices predictions. When a request turns out dearer, or fails, somebody bears the difference; a `Settlement`
says who. It turns an outcome and its `Execution` into final `Payments`, and `balance` states what that leaves to whom,
measured.

| settlement | bidders pay | agents receive | who bears a wrong prediction |
|---|---|---|---|
| `OnPrediction` | as auctioned | measured cost | the auctioneer |
| `OnMeasurement` | measured cost plus the auction's price | measured cost | the bidders |
| `OnDelivery` | upon success, charge over its chance | upon success, predicted cost over its chance | the agents |
| `ExecutionContingent` | as auctioned | what all got, less what was possible without them | auctioneer, agents |
"""

from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from allocation import Allocator, MinCostFlow
from allocation.money import Money, as_money
from mechanisms.errors import MechanismError
from mechanisms.outcome import Outcome, Payments
from mechanisms.promises import Domain, Promises

#: Chances are integers in millionths, so that settled amounts are exact.
CERTAIN = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Execution:
    """What was measured, request by request; entries of unserved requests are not read.

    Args:
        costs: (N,) measured cost in micro-units.
        succeeded: (N,) bool; default: all did.
        chances: (N,) the probability of success that the auction's values were computed with, in millionths, 1 to
            `CERTAIN`; default: certain.

    Raises:
        MechanismError: shapes differ, or a chance is outside its range.
        MarketError: a cost is no integer amount.
    """

    costs: Money
    succeeded: NDArray[np.bool_]
    chances: NDArray[np.int64]

    def __init__(self, costs: ArrayLike, succeeded: ArrayLike | None = None, chances: ArrayLike | None = None) -> None:
        measured = as_money(costs, name="costs", ndim=1)
        done = np.ones(measured.size, bool) if succeeded is None else np.array(succeeded)
        odds = np.full(measured.size, CERTAIN) if chances is None else np.array(chances)
        if done.shape != measured.shape or done.dtype.kind != "b":
            raise MechanismError(
                f"succeeded has shape {done.shape}, type {done.dtype}; expected {measured.size} booleans"
            )
        if odds.shape != measured.shape or odds.dtype.kind not in "iu":
            raise MechanismError(
                f"chances has shape {odds.shape}, type {odds.dtype}; expected {measured.size} integers"
            )
        bad = (odds < 1) | (odds > CERTAIN)
        if bad.any():
            row = int(bad.argmax())
            raise MechanismError(f"chances[{row}] = {odds[row]}; expected millionths, 1 to {CERTAIN}")
        for name, array in (("costs", measured), ("succeeded", done), ("chances", odds.astype(np.int64))):
            array.setflags(write=False)
            object.__setattr__(self, name, array)


@runtime_checkable
class Settlement(Protocol):
    """Turns what was auctioned and what was measured into final charges and receipts.

    Those that look at each request alone set `per_request = True`; a router, whose requests end at different times,
    takes no other.
    """

    def settle(self, outcome: Outcome, execution: Execution) -> Payments:
        """Final charges (N,) and receipts (M,)."""
        ...


@dataclass(frozen=True, slots=True)
class OnPrediction:
    """Bidders pay what the auction charged; agents receive measured cost. The auctioneer insures both sides."""

    per_request: ClassVar[bool] = True
    promises: ClassVar[Promises] = dict.fromkeys(
        ("truthful-realised", "truthful-agents-realised", "agents-rational-realised"), Domain.EVERYWHERE
    )

    def settle(self, outcome: Outcome, execution: Execution) -> Payments:
        """Final charges (N,) and receipts (M,)."""
        return Payments(outcome.payments.charges, _per_agent(outcome, _measured(outcome, execution)))


@dataclass(frozen=True, slots=True)
class OnMeasurement:
    """Bidders pay measured cost plus the agent's price: the charge with the predicted cost replaced by the measured.

    The auctioneer keeps exactly what the auction promised it, whatever is measured. A bidder whose request runs dear
    can end below zero; truth-telling stays dominant in expectation where predictions are unbiased and read no report.
    """

    per_request: ClassVar[bool] = True
    promises: ClassVar[Promises] = dict.fromkeys(
        ("truthful-realised", "truthful-agents-realised", "agents-rational-realised", "no-deficit-in-any-run"),
        Domain.EVERYWHERE,
    )

    def settle(self, outcome: Outcome, execution: Execution) -> Payments:
        """Final charges (N,) and receipts (M,)."""
        measured = _measured(outcome, execution)
        correction = measured - outcome.reported.take(outcome.reported.costs, outcome.allocation)
        return Payments(
            outcome.payments.charges + correction, outcome.payments.receipts + _per_agent(outcome, correction)
        )


@dataclass(frozen=True, slots=True)
class OnDelivery:
    """No success, no payment, in either direction; success pays the predicted amounts over the chance of success.

    Expected charges are the auctioned ones where chances are calibrated, and in every realisation no bidder pays for a
    failure, none with a single request ends below zero (but for rounding), and the charges cover
    the receipts, if no charge was below its predicted cost. Agents bear the risk: one whose chance was overstated
    is paid too little on average. Charges round up, receipts down.
    """

    per_request: ClassVar[bool] = True
    promises: ClassVar[Promises] = {
        "truthful-realised": Domain.UNIT_ODDS,
        "individually-rational-realised": Domain.SINGLE_UNIT_ODDS,
        "no-deficit-in-any-run": Domain.EVERYWHERE,
    }

    def settle(self, outcome: Outcome, execution: Execution) -> Payments:
        """Final charges (N,) and receipts (M,)."""
        _measured(outcome, execution)
        served = outcome.allocation.served
        done = served & execution.succeeded
        costs = outcome.reported.take(outcome.reported.costs, outcome.allocation)
        charges, receipts = outcome.payments.charges.copy(), np.zeros(costs.size, np.int64)
        charges[served] = 0
        for request in np.flatnonzero(done).tolist():
            chance = int(execution.chances[request])
            charges[request] = _scaled(int(outcome.payments.charges[request]), chance, up=True)
            receipts[request] = _scaled(int(costs[request]), chance, up=False)
        return Payments(charges, _per_agent(outcome, receipts))


@dataclass(frozen=True, slots=True)
class ExecutionContingent:
    """Groves payments to agents on what was *executed*, not on what was announced (Porter et al. 2008).

    Agent j receives the measured welfare of everybody plus its own measured cost, less the welfare that was to be had
    without it. Its utility is total measured welfare minus a constant, so that announcing its true chance and cost is
    best for it, if the others announce theirs. Bidders pay as auctioned. The auctioneer can lose: no rule is efficient,
    truthful on both sides, voluntary and balanced (Myerson and Satterthwaite 1983).
    """

    allocator: Allocator = field(default_factory=MinCostFlow)

    per_request: ClassVar[bool] = False
    promises: ClassVar[Promises] = {
        "truthful-realised": Domain.EVERYWHERE,
        "truthful-agents-realised": Domain.UNIT_ODDS,
    }

    def settle(self, outcome: Outcome, execution: Execution) -> Payments:
        """Final charges (N,) and receipts (M,); a served success has its predicted value over its chance."""
        market, costs = outcome.reported, _measured(outcome, execution)
        values = market.take(market.values, outcome.allocation)
        value = sum(
            _scaled(int(predicted), int(chance), up=False)
            for predicted, chance, done in zip(values, execution.chances, execution.succeeded, strict=True)
            if done
        )
        own = _per_agent(outcome, costs)
        receipts = np.zeros(market.shape[1], np.int64)
        for agent in np.flatnonzero(market.loads(outcome.allocation)):
            rest = market.without_agent(int(agent))
            without = rest.welfare(self.allocator.allocate(rest))
            receipts[agent] = value - int(costs.sum()) + int(own[agent]) - without
        return Payments(outcome.payments.charges, receipts)


@dataclass(frozen=True, slots=True, eq=False)
class Balance:
    """What a settlement leaves, measured, in micro-units: to the auctioneer, to each bidder, to each agent (M,)."""

    auctioneer: int
    bidders: dict[int, int]
    agents: Money


def balance(outcome: Outcome, execution: Execution, payments: Payments) -> Balance:
    """The ex-post statement: everything in it is measured, and the three parts add up to the measured welfare.

    A served success has its predicted value over its chance (rounded down), a failure 0.
    """
    market, costs = outcome.reported, _measured(outcome, execution)
    values = market.take(market.values, outcome.allocation)
    bidders = dict.fromkeys(market.players, 0)
    rows = zip(market.bidders, values, execution.chances, execution.succeeded, payments.charges, strict=True)
    for bidder, value, chance, done, charge in rows:
        bidders[int(bidder)] += (_scaled(int(value), int(chance), up=False) if done else 0) - int(charge)
    return Balance(payments.surplus, bidders, payments.receipts - _per_agent(outcome, costs))


def _measured(outcome: Outcome, execution: Execution) -> Money:
    """(N,) measured costs, 0 where unserved."""
    n = outcome.allocation.agents.size
    if execution.costs.size != n:
        raise MechanismError(f"{execution.costs.size} measured costs for an outcome of {n} requests; give one each")
    measured: Money = np.where(outcome.allocation.served, execution.costs, 0)
    return measured


def _per_agent(outcome: Outcome, amounts: Money) -> Money:
    sums = np.zeros(outcome.reported.shape[1], np.int64)
    served = outcome.allocation.served
    np.add.at(sums, outcome.allocation.agents[served], amounts[served])
    return sums


def _scaled(amount: int, chance: int, *, up: bool) -> int:
    """`amount / chance`, rounded."""
    return -(-amount * CERTAIN // chance) if up else amount * CERTAIN // chance
