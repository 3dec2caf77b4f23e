"""A kept round, read strictly: whatever is not as `runtime.rounds.kept` writes it is an error that says where."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from allocation import Allocation, Market, MarketError
from allocation.money import Money
from runtime.errors import ServingError
from runtime.policies.basis import Basis
from runtime.rounds.kept import FORMAT

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class RecordError(ServingError):
    """A record that no gateway wrote."""


@dataclass(frozen=True, slots=True, eq=False)
class Auctioned:
    """The auction of a kept round: N requests, C columns.

    `market` is what was run, without fees; `fees` (N, C) come on top of its costs, None where the mechanism knows none.
    `receipts` are by column. `basis` is None where values are kept and not what they follow from.
    """

    market: Market
    fees: Money | None
    allocation: Allocation
    receipts: Money
    columns: Ints
    basis: Basis | None
    values_crc: int

    @property
    def priced(self) -> Market:
        """The market with fees in its costs, in which the allocation is optimal."""
        return self.market if self.fees is None else self.market.replace(costs=self.market.costs + self.fees)


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A round as it was kept; `stated` (N, 4): worth, delay cost, deadline (inf: none), stake."""

    round: int
    at_s: float
    rules: Mapping[str, Any]
    agents: tuple[str, ...]
    requests: tuple[str, ...]
    bidders: tuple[str, ...]
    stated: Floats
    placed: Ints
    positions: Ints | None
    charges: Money
    predicted: tuple[tuple[float, float, float] | None, ...]
    auction: Auctioned | None


def read(record: str) -> Kept:
    """A kept round.

    Raises:
        RecordError: what is wrong with it.
    """
    try:
        told = orjson.loads(record)
    except ValueError as error:
        raise RecordError(f"no JSON: {error}") from None
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise RecordError(f"its format is not {FORMAT!r}")
    try:
        return _kept(told)
    except KeyError as error:
        raise RecordError(f"{error.args[0]} is missing") from None
    except (MarketError, TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
        raise RecordError(f"it makes no round: {error}") from None


def _kept(told: dict[str, Any]) -> Kept:
    agents, requests, bidders = (_names(told[name], name) for name in ("agents", "requests", "bidders"))
    n = len(requests)
    if len(bidders) != n or len(told["predicted"]) != n:
        raise RecordError(f"{len(bidders)} bidders and {len(told['predicted'])} predictions of {n} requests")
    stated = [[np.inf if k == 2 and each is None else each for k, each in enumerate(row)] for row in told["stated"]]
    predicted = tuple(None if row is None else _triple(row) for row in told["predicted"])
    return Kept(
        _whole(told["round"], "round"),
        float(told["at_s"]),
        dict(told["rules"]),
        agents,
        requests,
        bidders,
        _floats(stated, "stated", (n, 4)),
        _ints(told["placed"], "placed", (n,)),
        None if told["positions"] is None else _ints(told["positions"], "positions", (n,)),
        _ints(told["charges"], "charges", (n,)),
        predicted,
        None if told["market"] is None else _auction(told, bidders, len(agents)),
    )


def _auction(told: dict[str, Any], bidders: tuple[str, ...], m: int) -> Auctioned:
    market, n = told["market"], len(bidders)
    capacities = _ints(market["capacities"], "capacities", None)
    c = capacities.size
    prices = market["prices"]
    allocation = Allocation(
        _ints(market["agents"], "market.agents", (n,)),
        None if prices is None else _ints(prices, "prices", (c,)),
    )
    receipts, crc = _ints(market["receipts"], "receipts", (c,)), _whole(market["values_crc"], "values_crc")
    numbers = {name: k for k, name in enumerate(dict.fromkeys(bidders))}
    players = np.array([numbers[name] for name in bidders], np.int64)
    if told["basis"] is None:
        if c != m:
            raise RecordError(f"{c} columns of {m} agents, and nothing says whose they are")
        feasible = market["feasible"]
        table = Market(
            _ints(market["values"], "values", (n, c)),
            _ints(market["costs"], "costs", (n, c)),
            capacities,
            None if feasible is None else _ints(feasible, "feasible", (n, c)) > 0,
            players,
        )
        return Auctioned(table, None, allocation, receipts, np.arange(c), None, crc)
    basis = _basis(told["basis"], n, m, c)
    worth, delay, _, stake = _floats(
        [[0.0 if each is None else each for each in row] for row in told["stated"]], "stated", (n, 4)
    ).T
    table = Market(
        basis.values(worth, delay, stake),
        basis.costs[:, basis.columns],
        capacities,
        basis.possible[:, basis.columns],
        players,
    )
    fees = None if basis.fees is None else basis.fees[:, basis.columns]
    return Auctioned(table, fees, allocation, receipts, basis.columns, basis, crc)


def _basis(told: dict[str, Any], n: int, m: int, c: int) -> Basis:
    columns = _ints(told["columns"], "columns", (c,))
    if c and not (columns.min() >= 0 and columns.max() < m):
        raise RecordError(f"columns are of agents {columns.min()} to {columns.max()}; there are {m}")
    chances = {_whole(int(i), "chances"): _floats(row, f"chances of {i}", (c,)) for i, row in told["chances"].items()}
    if any(not 0 <= i < n for i in chances):
        raise RecordError(f"chances are of requests {sorted(chances)}; there are {n}")
    return Basis(
        columns,
        _floats(told["quality"], "quality", (n, m)),
        _floats(told["service"], "service", (n, m)),
        _floats(told["start"], "start", (c,)),
        _ints(told["costs"], "costs", (n, m)),
        None if told["fees"] is None else _ints(told["fees"], "fees", (n, m)),
        _ints(told["possible"], "possible", (n, m)) > 0,
        chances,
    )


def _ints(raw: object, name: str, shape: tuple[int, ...] | None) -> Ints:
    found = np.array(raw)
    if not found.size and shape is not None and 0 in shape:
        return np.zeros(shape, np.int64)
    if found.dtype.kind != "i" or (found.shape != shape if shape is not None else found.ndim != 1):
        raise RecordError(f"{name} has shape {found.shape} of {found.dtype}; expected integers{_of(shape)}")
    return found


def _floats(raw: object, name: str, shape: tuple[int, ...]) -> Floats:
    found = np.array(raw)
    if not found.size and 0 in shape:
        return np.zeros(shape)
    if found.dtype.kind not in "if" or found.shape != shape:
        raise RecordError(f"{name} has shape {found.shape} of {found.dtype}; expected numbers{_of(shape)}")
    return found.astype(np.float64)


def _of(shape: tuple[int, ...] | None) -> str:
    return "" if shape is None else f" of shape {shape}"


def _whole(raw: object, name: str) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise RecordError(f"{name} = {raw!r}; expected an integer")
    return raw


def _names(raw: object, name: str) -> tuple[str, ...]:
    if not isinstance(raw, list) or not all(isinstance(each, str) for each in raw):
        raise RecordError(f"{name} are no names")
    return tuple(raw)


def _triple(raw: Any) -> tuple[float, float, float]:
    latency, cost, quality = raw
    return float(latency), float(cost), float(quality)
