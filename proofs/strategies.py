"""Hypothesis strategies for markets, misreports and priors: `from proofs.strategies import markets`.

    @given(markets(values=range(6)))
    def test_nobody_pays_more_than_he_bids(market):
        ...

Sizes vary. A request's numbers are drawn together, and an agent is there or not by one draw of its own, so that a
failing example shrinks to fewer requests and agents, not merely to smaller numbers. What can only leave together, such
as a bidder and the unit of capacity that they fill, stays: `proofs.shrink` finishes the work on a `Counterexample`.
Amounts are micro-units; wherever they are asked for, give one integer, several, or a strategy.

Hypothesis is in the `test` extra; nothing else of this room needs it.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from allocation import Market
from allocation.money import Money
from mechanisms import Prior
from proofs.errors import AuditError
from proofs.misreports.misreport import Misreport
from proofs.scopes.grid import Grid

try:
    from hypothesis import assume
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("proofs.strategies needs Hypothesis; install it, or iemas[test]") from error

#: One integer, several to choose from, or a strategy.
Amounts: TypeAlias = int | Sequence[int] | st.SearchStrategy[int]

#: What the numbers of a pair are and which do not vary; those of each pair; the owner; whether they may deviate.
_Request: TypeAlias = tuple[tuple[tuple[str, ...], dict[str, int]], list[tuple[int, ...]], int | None, bool]


def markets(
    max_requests: int = 4,
    max_agents: int = 3,
    *,
    min_requests: int = 1,
    bidders: int | None = None,
    values: Amounts = range(11),
    costs: Amounts = 0,
    capacities: Amounts = range(4),
    forbidden: bool = False,
) -> st.SearchStrategy[Market]:
    """Markets of varying size.

    Args:
        max_requests, max_agents: the largest size; the smallest is `min_requests` x 1.
        min_requests: 0 to include the empty market.
        bidders: each request belongs to one of so many bidders, who may own several or none; default: each to its own.
        values, costs, capacities: what the entries may be.
        forbidden: whether some pairs may not be matched.

    Raises:
        AuditError: amounts that are no integers, or none at all.
    """
    request = _request(max_agents, bidders, values, costs, forbidden, deviating=False)
    rows = st.lists(request, min_size=min_requests, max_size=max_requests)
    return _sized(rows, max_agents, _entries(capacities, "capacities")).map(lambda drawn: drawn[0])


@st.composite
def misreports(
    draw: st.DrawFn,
    max_requests: int = 4,
    max_agents: int = 3,
    *,
    bidders: int | None = None,
    values: Amounts = range(11),
    costs: Amounts = 0,
    capacities: Amounts = range(4),
    forbidden: bool = False,
) -> tuple[Market, Misreport]:
    """A true market and a misreport in it, drawn together, so that they shrink together.

    Args:
        max_requests, max_agents, bidders, values, costs, capacities, forbidden: as in `markets`; reported entries are
            drawn from `values` too.

    Raises:
        AuditError: as `markets`.
    """
    request = _request(max_agents, bidders, values, costs, forbidden, deviating=True)
    rows = st.lists(request, min_size=1, max_size=max_requests)
    market, said, deviator = draw(_sized(rows, max_agents, _entries(capacities, "capacities")))
    mine = market.requests_of(deviator)
    assume((said[mine] != market.values[mine]).any())
    return market, Misreport.of(deviator, said[mine])


def profiles(grid: Grid) -> st.SearchStrategy[Market]:
    """The markets of a grid; shrinks towards everybody's first type."""
    return st.tuples(*(st.integers(0, size - 1) for size in grid.sizes)).map(
        lambda rows: grid.market(grid.profile(rows))
    )


@st.composite
def misreports_of(draw: st.DrawFn, market: Market, values: Amounts | None = None) -> Misreport:
    """Misreports of the bidders of one market, never the truth.

    Args:
        market: the truth.
        values: what a reported entry may be; default: from the least true value or 0 to one above the greatest.

    Raises:
        AuditError: the market has no bidder, or `values` leaves them nothing but the truth to report.
    """
    if not market.players:
        raise AuditError("nobody can misreport in a market without requests; draw markets with min_requests >= 1")
    if values is None:
        values = range(min(0, int(market.values.min())), int(market.values.max()) + 2)
    bidder = draw(st.sampled_from(market.players))
    true = market.values[market.requests_of(bidder)]
    if isinstance(values, int) and (true == values).all():
        raise AuditError(f"bidder {bidder} can report nothing but {values}, which is true; give other values")
    size = true.shape[1]
    entries = st.lists(_entries(values, "values"), min_size=size, max_size=size)
    rows = st.lists(entries, min_size=true.shape[0], max_size=true.shape[0])
    return Misreport.of(bidder, draw(rows.filter(lambda said: said != true.tolist())))


@st.composite
def priors(draw: st.DrawFn, grid: Grid, max_states: int = 4, max_weight: int = 3) -> Prior:
    """Priors over markets of a grid, types correlated in whatever way.

    Args:
        grid: where the states come from.
        max_states: at most so many have a weight, at least one.
        max_weight: the greatest integer weight.
    """
    state = st.tuples(*(st.integers(0, size - 1) for size in grid.sizes)).map(grid.profile)
    chosen = draw(st.dictionaries(state, st.integers(1, max_weight), min_size=1, max_size=max_states))
    return Prior.over(map(grid.market, chosen), list(chosen.values()))


def _request(
    agents: int, bidders: int | None, values: Amounts, costs: Amounts, forbidden: bool, *, deviating: bool
) -> st.SearchStrategy[_Request]:
    """All that is drawn for one request; what cannot vary costs no draw."""
    worth, price = _entries(values, "values"), _entries(costs, "costs")
    parts = {"values": worth}
    if not isinstance(costs, int):
        parts["costs"] = price
    if forbidden:
        # False is the simpler boolean, and an open pair the simpler pair.
        parts["shut"] = st.booleans()
    if deviating:
        parts["said"] = worth
    pairs = st.lists(st.tuples(*parts.values()), min_size=agents, max_size=agents)
    fixed = {"costs": costs} if isinstance(costs, int) else {}
    owner = st.just(None) if bidders is None else st.integers(0, bidders - 1)
    deviator = st.booleans() if deviating else st.just(False)
    return st.tuples(st.just((tuple(parts), fixed)), pairs, owner, deviator)


@st.composite
def _sized(
    draw: st.DrawFn, requests: st.SearchStrategy[list[_Request]], max_agents: int, capacity: st.SearchStrategy[int]
) -> tuple[Market, Money, int]:
    """The market of the agents that are there, the (N, M) values that deviators report, and the deviator."""
    rows = draw(requests)
    there = draw(st.lists(st.tuples(st.booleans(), capacity), min_size=max_agents, max_size=max_agents))
    agents = [agent for agent, (here, _) in enumerate(there) if here] or [0]
    names, fixed = rows[0][0] if rows else ((), {})
    drawn = np.array([pairs for _, pairs, _, _ in rows], np.int64).reshape(len(rows), max_agents, -1 if rows else 1)

    def matrix(name: str) -> Money:
        if name in names:
            return drawn[:, agents, names.index(name)]
        return np.full((len(rows), len(agents)), fixed.get(name, 0), np.int64)

    shut = matrix("shut") == 1
    owners = [place if owner is None else owner for place, (_, _, owner, _) in enumerate(rows)]
    market = Market(
        matrix("values"),
        matrix("costs"),
        [there[agent][1] for agent in agents],
        ~shut if shut.any() else None,
        np.array(owners, np.int64),
    )
    deviators = [owner for owner, (_, _, _, deviator) in zip(owners, rows, strict=True) if deviator]
    return market, matrix("said"), (deviators or owners or [0])[0]


def _entries(amounts: Amounts, name: str) -> st.SearchStrategy[int]:
    if isinstance(amounts, st.SearchStrategy):
        return amounts
    choices = [amounts] if isinstance(amounts, int) else amounts
    if not isinstance(choices, Sequence) or not choices or not all(type(choice) is int for choice in choices):
        raise AuditError(
            f"{name} = {amounts!r}; expected an integer, several such as range(4), or a strategy of integers"
        )
    return st.sampled_from(choices)
