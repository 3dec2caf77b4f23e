"""Maximal-in-range allocators: exact, but only over the pairs that a bid-independent rule leaves open.

An allocator that maximises welfare over a fixed set of allocations is truthful with VCG payments, whatever the set
(Nisan and Ronen 2007; Dobzinski and Nisan 2010), as long as no report moves the set. A `Range` is therefore asked about
a market whose values are all zero. It must treat each request alone, so that the set without a bidder is the rest of
the set with him; then the payments are individually rational and cover costs as well.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from allocation.allocation import Allocation, Mask
from allocation.allocator import Allocator, as_allocator
from allocation.checks import integer_of
from allocation.errors import MarketError
from allocation.exact.min_cost_flow import MinCostFlow
from allocation.market import FORBIDDEN, Market, as_market
from allocation.money import Money, as_array
from allocation.ties import tied_allocations


@runtime_checkable
class Range(Protocol):
    """Which pairs stay open: a function of the public part of the market, request by request."""

    def pairs(self, market: Market) -> Mask:
        """(N, M) True where request i may still go to agent j; the market's values are all zero."""
        ...


@dataclass(frozen=True, slots=True)
class ByOwner:
    """Hub `bidder mod number of hubs`: a bidder's requests stay together, and nothing of his report counts.

    Args:
        hubs: (M,) the hub of each agent, 0, 1, ..., each hub at least once.

    Raises:
        MarketError: hubs are not numbered 0, 1, ... without gaps.
    """

    hubs: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_hubs(self.hubs)

    def pairs(self, market: Market) -> Mask:
        """(N, M) True inside the owner's hub."""
        return _inside(self.hubs, as_market(market).bidders % (max(self.hubs) + 1), market)


@dataclass(frozen=True, slots=True)
class ByCost:
    """The hub that holds the request's cheapest agent, ties to the lower agent: cache-aware, and still bid-independent.

    Args:
        hubs: as in `ByOwner`.
    """

    hubs: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_hubs(self.hubs)

    def pairs(self, market: Market) -> Mask:
        """(N, M) True inside the hub of the cheapest agent that may serve the request."""
        cheapest = _priced(market).argmin(axis=1)
        return _inside(self.hubs, np.asarray(self.hubs)[cheapest], market)


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The `k` cheapest agents of each request, ties to the lower agent: pruning that no bid can move.

    Raises:
        MarketError: k is no integer >= 1.
    """

    k: int

    def __post_init__(self) -> None:
        integer_of(self.k, "k", 1)

    def pairs(self, market: Market) -> Mask:
        """(N, M) True for the k cheapest agents of each row."""
        ranks = _priced(market).argsort(axis=1, kind="stable").argsort(axis=1)
        kept: Mask = ranks < self.k
        return kept


@dataclass(frozen=True, slots=True)
class MaximalInRange:
    """The inner allocator, on the pairs that the range leaves open.

    Its prices prove nothing about the pairs that were closed, so none are returned; `mechanisms.LocalVCG` uses them
    where they do count.
    """

    range: Range
    allocator: Allocator = field(default_factory=MinCostFlow)
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        as_allocator(self.allocator)
        _check_range(self.range)

    def allocate(self, market: Market) -> Allocation:
        """An allocation that is optimal in the range, without prices.

        Raises:
            MarketError: the range returned pairs of another shape or type.
        """
        return Allocation(self.allocator.allocate(within(market, self.range)).agents)

    def ties(self, market: Market) -> tuple[Allocation, ...]:
        """The ties of the inner allocator on these pairs.

        Raises:
            TieError: the inner allocator does not say, or there are too many to list.
            MarketError: as `allocate`.
        """
        tied = tied_allocations(self.allocator, within(market, self.range))
        return tuple(Allocation(allocation.agents) for allocation in tied)


@dataclass(frozen=True, slots=True)
class FavouriteHub:
    """Each request goes to the hub of its best pair *as bid*, then exact inside: no fixed range, and not truthful.

    A bidder who hides his favourite moves to a hub where he displaces nobody. Ships to be refuted.
    """

    hubs: tuple[int, ...]
    allocator: Allocator = field(default_factory=MinCostFlow)
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_hubs(self.hubs)
        as_allocator(self.allocator)

    def allocate(self, market: Market) -> Allocation:
        """A feasible allocation without prices."""
        chosen = np.asarray(self.hubs)[as_market(market).weights.argmax(axis=1)]
        return Allocation(self.allocator.allocate(_narrowed(market, _inside(self.hubs, chosen, market))).agents)


def within(market: Market, range_: Range) -> Market:
    """The market with every pair outside the range forbidden.

    Raises:
        MarketError: the range returned pairs of another shape or type.
    """
    as_market(market)
    _check_range(range_)
    return _narrowed(market, range_.pairs(market.replace(values=np.zeros_like(market.values))))


def welfare_bound(market: Market, prices: Money) -> int:
    """No allocation of the market has more welfare than this, whatever the prices (M,) >= 0 (weak LP duality).

    `sum_i max(0, max_j w_ij - q_j) + sum_j c_j q_j`, in micro-units. With the prices of a partitioned market it
    certifies how much the partition can have cost, without solving the whole; with optimal prices it is the optimum.

    Raises:
        MarketError: not one price per agent, or a negative one.
    """
    as_market(market)
    q = as_array(prices, "prices")
    if q.shape != (market.shape[1],) or q.dtype.kind not in "iu" or q.min(initial=0) < 0:
        raise MarketError(f"prices {q.tolist()}; expected {market.shape[1]} micro-units >= 0")
    # A slot beyond the number of requests is never the last, and its price would only loosen the bound.
    slots = np.minimum(market.capacities, market.shape[0])
    net = np.where(market.weights == FORBIDDEN, 0, market.weights - q)
    return int(np.maximum(net.max(axis=1, initial=0), 0).sum()) + int((slots * q).sum())


def _priced(market: Market) -> Money:
    priced: Money = np.where(as_market(market).weights == FORBIDDEN, np.iinfo(np.int64).max, market.costs)
    return priced


def _inside(hubs: tuple[int, ...], chosen: NDArray[np.int64], market: Market) -> Mask:
    if len(hubs) != market.shape[1]:
        raise MarketError(f"hubs {hubs} name {len(hubs)} agents, the market has {market.shape[1]}")
    inside: Mask = np.asarray(hubs)[None, :] == chosen[:, None]
    return inside


def _narrowed(market: Market, pairs: Mask) -> Market:
    if not isinstance(pairs, np.ndarray):
        raise MarketError(f"the range returned {pairs!r}; expected booleans {market.shape}")
    if pairs.shape != market.shape or pairs.dtype.kind != "b":
        raise MarketError(f"the range returned {pairs.dtype} of shape {pairs.shape}; expected booleans {market.shape}")
    feasible = pairs if market.feasible is None else pairs & market.feasible
    return Market(market.values, market.costs, market.capacities, feasible, market.bidders)


def _check_range(range_: Range) -> None:
    if not callable(getattr(range_, "pairs", None)):
        raise MarketError(f"{range_!r} has no pairs(market); give a range, such as Cheapest(2)")


def _check_hubs(hubs: tuple[int, ...]) -> None:
    if not isinstance(hubs, tuple | list) or any(type(hub) is not int for hub in hubs):
        raise MarketError(f"hubs = {hubs!r}; expected the hub of each agent, a tuple of integers")
    if not hubs or set(hubs) != set(range(max(hubs) + 1)):
        raise MarketError(f"hubs = {hubs}; expected the hub of each agent, numbered 0, 1, ... without gaps")
