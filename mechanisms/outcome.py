"""`Payments` and `Outcome`: what a round decided, and everybody's utility under the *true* market."""

from dataclasses import dataclass, field
from reprlib import repr as shown
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from allocation import UNSERVED, Allocation, CertificateError, Market, MarketError
from allocation.allocation import as_allocation
from allocation.market import as_market
from allocation.money import Money, as_array
from allocation.notebook import MOST_COLUMNS, MOST_ROWS, Marked, html_line, html_table, marked, scrolling

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True, slots=True, eq=False)
class Payments:
    """Charges and receipts of one round, in micro-units.

    `charges` (N,) are paid to the auctioneer for each request; a bidder pays the sum over their requests, and how it
    is spread over them is bookkeeping. `receipts` (M,) are paid by the auctioneer to each agent.
    """

    charges: Money
    receipts: Money
    _surplus: int | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("charges", "receipts"):
            amounts = as_array(getattr(self, name), name)
            if amounts.size and amounts.dtype.kind not in "iu":
                odd = amounts.ravel().tolist()[0]
                raise MarketError(f"{name} holds {odd!r} ({amounts.dtype}); expected a row of int64 micro-units")
            if amounts.ndim != 1:
                raise MarketError(f"{name} has shape {amounts.shape}; expected a row of int64 micro-units")
            object.__setattr__(self, name, _frozen(amounts.astype(np.int64)))

    @classmethod
    def of_fresh(cls, charges: Money, receipts: Money) -> "Payments":
        """Payments in these very rows of int64, which nobody else may hold; they are frozen instead of copied."""
        payments = object.__new__(cls)
        object.__setattr__(payments, "charges", _frozen(charges))
        object.__setattr__(payments, "receipts", _frozen(receipts))
        object.__setattr__(payments, "_surplus", None)
        return payments

    @property
    def surplus(self) -> int:
        """What the auctioneer keeps: charges minus receipts."""
        if self._surplus is None:
            object.__setattr__(self, "_surplus", int(self.charges.sum()) - int(self.receipts.sum()))
        return self._surplus  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The result of one round on the `reported` market.

    Raises:
        MarketError: a part is of another type.
    """

    reported: Market
    allocation: Allocation
    payments: Payments
    _utilities: dict[int, int] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        asked(self.reported, self.allocation)
        if not isinstance(self.payments, Payments):
            raise MarketError(f"{shown(self.payments)} is no Payments; write Payments(charges, receipts)")

    @property
    def welfare(self) -> int:
        """Welfare of the allocation as reported, in micro-units."""
        return self.reported.welfare(self.allocation)

    @property
    def surplus(self) -> int:
        """What the auctioneer keeps, in micro-units; negative is a deficit."""
        return self.payments.surplus

    def bidder_utilities(self, truth: Market | None = None) -> dict[int, int]:
        """Value received minus charges for each bidder, in micro-units, under the true market.

        Args:
            truth: the market of true values; defaults to the reported one (everybody truthful).
        """
        if truth is not None and truth is not self.reported:
            return self._utilities_in(self._like_reported(truth))
        if self._utilities is None:
            object.__setattr__(self, "_utilities", self._utilities_in(self.reported))
        return dict(self._utilities or ())

    def _utilities_in(self, market: Market) -> dict[int, int]:
        gains = market.take(market.values, self.allocation) - self.payments.charges
        utilities = dict.fromkeys(market.players, 0)
        for bidder, gain in zip(market.bidders.tolist(), gains.tolist(), strict=True):
            utilities[bidder] += gain
        return utilities

    def agent_utilities(self, truth: Market | None = None) -> Money:
        """(M,) receipts minus the true cost of what each agent serves, in micro-units."""
        market = self.reported if truth is None else self._like_reported(truth)
        return self.payments.receipts - serving_costs(market, self.allocation)

    def frame(self) -> "polars.DataFrame":
        """One row a request: bidder, agent (null where unserved), value, cost and charge in micro-units."""
        import polars

        market, agents = self.reported, self.allocation.agents.tolist()
        return polars.DataFrame(
            {
                "request": range(len(agents)),
                "bidder": market.bidders.tolist(),
                "agent": [None if agent == UNSERVED else agent for agent in agents],
                "value": market.take(market.values, self.allocation).tolist(),
                "cost": market.take(market.costs, self.allocation).tolist(),
                "charge": self.payments.charges.tolist(),
            },
            schema=dict.fromkeys(("request", "bidder", "agent", "value", "cost", "charge"), polars.Int64),
        )

    def _repr_html_(self) -> str:
        try:
            self.reported.check(self.allocation)
            return scrolling(_requests_table(self), _agents_table(self), *_sums(self))
        except (MarketError, IndexError, ValueError) as error:
            # What a broken rule decided is looked at as well.
            return html_line(marked(f"no outcome of this market: {error}", "bad"))

    def _like_reported(self, truth: Market) -> Market:
        if as_market(truth).shape != self.reported.shape:
            raise MarketError(f"the true market has shape {truth.shape}, the reported one {self.reported.shape}")
        return truth


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Outcomes of B markets: who serves whom (B, N), charges (B, N) and receipts (B, M) in micro-units.

    Raises:
        MarketError: a part is no matrix of numbers; that they are int64 is for those to say who sum them.
    """

    agents: NDArray[np.int64]
    charges: Money
    receipts: Money

    def __post_init__(self) -> None:
        for name in ("agents", "charges", "receipts"):
            matrix = as_array(getattr(self, name), name)
            if matrix.ndim != 2 or (matrix.size and matrix.dtype.kind not in "iuf"):
                raise MarketError(f"{name} = {shown(matrix)}; expected integers, a row for each market")
            object.__setattr__(self, name, matrix)


def asked(market: Market, allocation: Allocation) -> None:
    """The door of a payment rule: what it is asked about is a market, and an allocation.

    Raises:
        MarketError: one of them is something else.
    """
    as_market(market)
    as_allocation(allocation)


def _frozen(amounts: Money) -> Money:
    amounts.setflags(write=False)
    return amounts


def serving_costs(market: Market, allocation: Allocation) -> Money:
    """(M,) cost of the requests that each agent serves, in micro-units."""
    each = as_market(market).take(market.costs, allocation)
    costs = np.zeros(market.shape[1], np.int64)
    served = allocation.served
    np.add.at(costs, allocation.agents[served], each[served])
    return costs


def _requests_table(outcome: Outcome) -> Marked:
    market, served = outcome.reported, outcome.allocation.served
    values, costs = (market.take(matrix, outcome.allocation) for matrix in (market.values, market.costs))
    rows: list[list[object]] = []
    for i in range(min(served.size, MOST_ROWS)):
        charge = int(outcome.payments.charges[i])
        row = [f"request {i}", f"bidder {market.bidders[i]}"]
        if served[i]:
            rows.append(
                [*row, f"agent {outcome.allocation.agents[i]}", f"{values[i]:,}", f"{costs[i]:,}", f"{charge:,}"]
            )
        else:
            rows.append([*row, marked("unserved", "aside"), "", "", f"{charge:,}" if charge else ""])
        gain = int(values[i]) - charge
        rows[-1].append(marked(f"{gain:,}", "bad") if gain < 0 else f"{gain:,}" if served[i] else "")
    if served.size > MOST_ROWS:
        rows.append([marked(f"… {served.size - MOST_ROWS:,} more", "aside"), *[""] * 6])
    heads = ("", "", "served by", "value", "cost", "charge", "value − charge")
    return html_table(heads, rows, "Outcome: who is served and who pays, micro-units")


def _agents_table(outcome: Outcome) -> Marked:
    market, prices = outcome.reported, outcome.allocation.prices
    m = market.shape[1]
    loads, receipts = market.loads(outcome.allocation), outcome.payments.receipts
    costs = serving_costs(market, outcome.allocation)
    rows = [
        [
            f"agent {j}",
            f"{loads[j]:,} of {market.capacities[j]:,}",
            "" if prices is None else f"{prices[j]:,}",
            f"{costs[j]:,}",
            f"{receipts[j]:,}",
        ]
        for j in range(min(m, MOST_COLUMNS))
    ]
    if m > MOST_COLUMNS:
        rows.append([marked(f"… {m - MOST_COLUMNS:,} more", "aside"), *[""] * 4])
    return html_table(("", "serves", "price of a place", "cost", "receipt"), rows)


def _sums(outcome: Outcome) -> tuple[Marked, Marked]:
    surplus = f"budget surplus {outcome.surplus:,}"
    said = marked(f"{surplus}: a deficit", "bad") if outcome.surplus < 0 else surplus
    try:
        proof = marked(f"✓ welfare {outcome.reported.certify(outcome.allocation):,} is optimal by these prices", "good")
    except CertificateError as error:
        proof = marked(f"welfare {outcome.welfare:,}; not certified: {error}", "aside")
    return html_line(proof), html_line(said)
