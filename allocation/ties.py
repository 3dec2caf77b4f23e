"""Ties: every allocation that an allocator might have chosen, had it broken ties another way.

Which of several equally good allocations is chosen is no accident to build on: a claim that holds for one order among
equals may fail for another. An allocator with `exact = True` ties wherever several allocations have the greatest
welfare, and needs to say nothing; any other says what its ties are by a method `ties` (`TieAware`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from allocation.allocation import UNSERVED, Allocation, Mask
from allocation.allocator import Allocator, as_allocator, stands_for
from allocation.checks import integer_of
from allocation.errors import CertificateError, TieError
from allocation.exact.duals import minimal_prices
from allocation.exact.min_cost_flow import MinCostFlow
from allocation.market import FORBIDDEN, Market, as_market
from allocation.money import Money

#: More tied allocations than this are refused, unless asked for.
LIMIT = 100_000

#: Agents of the requests decided so far, and the slots that are left.
_State: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]


@runtime_checkable
class TieAware(Allocator, Protocol):
    """An allocator that knows its own ties."""

    def ties(self, market: Market) -> tuple[Allocation, ...]:
        """Every allocation that some tie-break would choose, each once; the first is what `allocate` chooses.

        Raises:
            TieError: there are too many to list.
        """
        ...


def tied_allocations(allocator: Allocator, market: Market) -> tuple[Allocation, ...]:
    """Every allocation that the allocator might choose in this market; the first is the one that it does choose.

    Args:
        allocator: a `TieAware` one, or one with `exact = True`, whose ties are all optimal allocations.
        market: N requests, M agents.

    Raises:
        TieError: the allocator is neither, or there are too many ties to list.
        CertificateError: it says that it is exact, and its allocation is not optimal.
    """
    as_market(market)
    as_allocator(allocator)
    if isinstance(allocator, TieAware) and stands_for(allocator, "ties", "allocate"):
        return allocator.ties(market)
    name = type(allocator).__name__
    if not getattr(allocator, "exact", False):
        raise TieError(
            f"{name} does not say how it might have broken ties; give it a method ties(market) that returns every "
            "allocation that some tie-break would choose, the one of allocate(market) first; or exact = True where it "
            "maximises welfare"
        )
    chosen = allocator.allocate(market)
    optima = [allocation.agents for allocation in optimal_allocations(market)]
    others = [agents for agents in optima if not np.array_equal(agents, chosen.agents)]
    if len(others) == len(optima):
        raise CertificateError(f"{name} says exact = True, and {chosen.agents.tolist()} is not optimal in {market}")
    # Whatever supports one optimal allocation supports all of them, so a rule finds the same prices in each.
    return (chosen, *(replace(chosen, agents=agents) for agents in others))


def optimal_allocations(market: Market, limit: int = LIMIT) -> tuple[Allocation, ...]:
    """Every allocation of greatest welfare, each with the lowest supporting prices.

    By complementary slackness with *one* optimal dual, prices q, an allocation is optimal exactly if every request has
    a pair of its greatest net worth `weight - q`, or nothing where that is not positive, and every agent with a
    positive price is full (Shapley and Shubik 1971). So the search runs through best pairs alone.

    Args:
        market: N requests, M agents.
        limit: how many allocations, complete or partial, may be held at once.

    Raises:
        TieError: there are more.

    Example:
        >>> from allocation import Market
        >>> market = Market(values=[[1, 1], [1, 0]], costs=[[0, 0], [0, 0]], capacities=[1, 1])
        >>> [allocation.agents.tolist() for allocation in optimal_allocations(market)]
        [[1, 0]]
    """
    integer_of(limit, "limit", 1)
    best = MinCostFlow().allocate(market)
    market.certify(best)
    n, m = market.shape
    prices, capacities = minimal_prices(market, best), np.minimum(market.capacities, n)
    net = np.where(market.weights == FORBIDDEN, FORBIDDEN, market.weights - prices)
    top = np.maximum(net.max(axis=1), 0)
    wanted = (net == top[:, None]) & (capacities > 0)
    # A slot with a price must be filled by one of the requests that are still to come.
    tight = np.flatnonzero(prices * capacities).tolist()
    coming = np.append(wanted[::-1].cumsum(axis=0)[::-1], np.zeros((1, m), np.int64), axis=0).tolist()
    states: list[_State] = [((), tuple(capacities.tolist()))]
    for request in range(n):
        choices = np.flatnonzero(wanted[request]).tolist()
        states = [
            state
            for before in states
            for state in _placed(before, choices, idle=bool(top[request] == 0))
            if all(state[1][agent] <= coming[request + 1][agent] for agent in tight)
        ]
        _within(len(states), limit, market)
    return tuple(replace(best, agents=np.array(agents, np.int64)) for agents, _ in states)


def greedy_allocations(market: Market, ranks: Money, eligible: Mask, limit: int = LIMIT) -> tuple[Allocation, ...]:
    """Every allocation of a greedy that takes eligible pairs by falling rank, equals in any order, while they fit.

    Args:
        market: N requests, M agents.
        ranks: (N, M) micro-units; pairs of one rank may be taken in any order.
        eligible: (N, M) which pairs may be taken at all.
        limit: how many allocations, complete or partial, may be held.

    Returns:
        the allocation of the order by request, then agent, first; without prices.

    Raises:
        TieError: there are more than `limit`.
    """
    n, _ = market.shape
    whole: dict[_State, None] = {((UNSERVED,) * n, tuple(market.capacities.tolist())): None}
    for rank in np.unique(ranks[eligible])[::-1].tolist():
        pairs = [(int(i), int(j)) for i, j in np.argwhere(eligible & (ranks == rank))]
        whole = _exhausted(whole, pairs, limit, market)
    return tuple(Allocation(np.array(agents, np.int64)) for agents, _ in whole)


def serial_allocations(
    market: Market, order: Sequence[int], offer: Callable[[NDArray[np.intp], NDArray[np.int64]], Market]
) -> tuple[Allocation, ...]:
    """Every allocation of bidders who choose one after another, each some bundle that is best for him.

    Args:
        market: N requests, M agents.
        order: the bidders, in turn.
        offer: from the requests of a bidder and the slots (M,) that are left, the market in which he chooses alone.

    Returns:
        the allocation in which each chooses as `MinCostFlow` does first; without prices.

    Raises:
        TieError: there are more than `LIMIT`.
    """
    states = [(np.full(market.shape[0], UNSERVED), market.capacities)]
    for bidder in order:
        mine = market.requests_of(bidder)
        after = []
        for agents, room in states:
            for bundle in tied_allocations(MinCostFlow(), offer(mine, room)):
                taken = agents.copy()
                taken[mine] = bundle.agents
                slots = bundle.agents[bundle.served]
                after.append((taken, room - np.bincount(slots, minlength=room.size)))
            _within(len(after), LIMIT, market)
        states = after
    return tuple(Allocation(agents) for agents, _ in states)


def _placed(state: _State, choices: Sequence[int], *, idle: bool) -> list[_State]:
    """The state with one more request decided."""
    agents, room = state
    placed = [
        ((*agents, agent), (*room[:agent], room[agent] - 1, *room[agent + 1 :])) for agent in choices if room[agent] > 0
    ]
    return [((*agents, UNSERVED), room), *placed] if idle else placed


def _exhausted(
    states: dict[_State, None], pairs: Sequence[tuple[int, int]], limit: int, market: Market
) -> dict[_State, None]:
    """Every state in which no pair is left to take, from these states by taking pairs in every order."""
    seen: set[_State] = set()
    whole: dict[_State, None] = {}
    stack = list(states)[::-1]
    while stack:
        state = stack.pop()
        if state in seen:
            continue
        seen.add(state)
        _within(len(seen), limit, market)
        agents, room = state
        open_pairs = [(i, j) for i, j in pairs if agents[i] == UNSERVED and room[j] > 0]
        if not open_pairs:
            whole[state] = None
        for i, j in reversed(open_pairs):
            taken = (*agents[:i], j, *agents[i + 1 :]), (*room[:j], room[j] - 1, *room[j + 1 :])
            stack.append(taken)
    return whole


def _within(count: int, limit: int, market: Market) -> None:
    if count > limit:
        raise TieError(
            f"more than {limit:,} allocations, complete or partial, tie in {market}; take fewer requests, agents or "
            "slots, or values that tie less often"
        )
