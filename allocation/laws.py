"""`check_allocator`: what every allocator owes, whoever wrote it, as small laws over small markets.

    check_allocator(MyAllocator())                                # raises LawError with the market that breaks a law

    @pytest.mark.parametrize("law", ALLOCATOR_LAWS, ids=str)      # or one test per law
    def test_mine(law):
        law(MyAllocator())

In the spirit of the estimator checks of scikit-learn and river. Laws are necessary, not sufficient: `iemas audit` says
what an allocator does to incentives.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, TypeVar

import numpy as np

from allocation.allocation import Allocation
from allocation.allocator import Allocator, BatchAllocator, stands_for
from allocation.errors import CertificateError, LawError, MarketError, SolverError, TieError
from allocation.exact.duals import minimal_prices
from allocation.heuristic.simple import BruteForce
from allocation.market import Market
from allocation.money import MAX_AMOUNT
from allocation.ties import TieAware, optimal_allocations

Part = TypeVar("Part")

#: What an allocator may raise on a market that is beyond its stated limits.
REFUSALS = (MarketError, SolverError, TieError)


def _drawn(n: int, m: int, seed: int, bound: int = 20, bidders: int | None = None) -> Market:
    rng = np.random.default_rng(seed)
    feasible = rng.random((n, m)) < 0.8
    owners = None if bidders is None else rng.integers(0, bidders, n)
    values, costs = rng.integers(0, bound, (n, m)), rng.integers(0, bound // 2, (n, m))
    return Market(values, costs, rng.integers(0, 3, m), feasible, owners)


#: Small markets at the edges of what a market may be, and a few drawn at random.
EXAMPLES: Mapping[str, Market] = MappingProxyType(
    {
        "no requests": Market(np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int64), [1, 1]),
        "one agent": Market([[3], [5], [4]], [[1], [1], [1]], [2]),
        "no capacity at one agent": Market([[3, 9], [5, 9]], [[1, 1], [1, 1]], [2, 0]),
        "no capacity at all": Market([[3, 9]], [[1, 1]], [0, 0]),
        "spare capacity": Market([[3, 9], [5, 9]], [[1, 1], [1, 1]], [50, 50]),
        "all equal": Market(np.full((4, 3), 2), np.ones((4, 3), np.int64), [1, 1, 1]),
        "nothing pays": Market([[1, 2]], [[3, 3]], [1, 1]),
        "exactly nothing": Market([[3, 3]], [[3, 3]], [1, 1]),
        "negative values and costs": Market([[-3, 2], [4, -1]], [[-5, 1], [1, -2]], [1, 1]),
        "all forbidden": Market([[5, 5]], [[0, 0]], [1, 1], feasible=[[False, False]]),
        "a chain of displacements": Market([[9, 8, 0], [9, 0, 7], [9, 8, 7]], np.zeros((3, 3), np.int64), [1, 1, 1]),
        "one bidder with several requests": Market(
            [[5, 3], [4, 1], [2, 2]], [[1, 1], [0, 1], [1, 2]], [1, 2], bidders=[7, 3, 7]
        ),
        "amounts of the greatest size": Market(
            [[MAX_AMOUNT, 1], [MAX_AMOUNT - 1, MAX_AMOUNT]], [[0, 0], [MAX_AMOUNT, 1]], [1, 1]
        ),
        "drawn, 4 x 3": _drawn(4, 3, seed=1),
        "drawn, 5 x 2, ties": _drawn(5, 2, seed=2, bound=4),
        "drawn, 6 x 2, three bidders": _drawn(6, 2, seed=3, bidders=3),
    }
)


@dataclass(frozen=True, slots=True)
class Law(Generic[Part]):
    """One law: calling it with an allocator, or another part, tries it on every market.

    Args:
        name: the law in words.
        broken: (part, market) -> what is wrong there, or None.
        applies: whether the law is about this part, by what it says of itself.
        markets: on which it is tried, by what they are like.
        refusals: errors by which a part may decline a market.
    """

    name: str
    broken: Callable[[Part, Market], str | None]
    applies: Callable[[Part], bool] = lambda part: True
    markets: Mapping[str, Market] = field(default_factory=lambda: EXAMPLES)
    refusals: tuple[type[Exception], ...] = REFUSALS

    def __call__(self, part: Part) -> int:
        """How many markets obeyed the law; none that is refused with a typed error, 0 if the law does not apply.

        Raises:
            LawError: the law is broken somewhere, or every market was refused.
        """
        if not self.applies(part):
            return 0
        cases, kind = 0, type(part)
        called = kind.__name__ if kind.__str__ is object.__str__ else str(part)
        for like, market in self.markets.items():
            try:
                wrong = self.broken(part, market)
            except CertificateError as error:
                wrong = str(error)
            except self.refusals:
                continue
            except Exception as error:
                errors = " or ".join(refusal.__name__ for refusal in self.refusals[:1])
                wrong = f"{type(error).__name__}: {error}; let it answer, or raise a {errors} that says why"
            if wrong is not None:
                raise LawError(f"{called} breaks «{self.name}» where {like}: {wrong}; {market}")
            cases += 1
        if cases == 0:
            raise LawError(f"{called} refuses every market, so «{self.name}» was tried on none")
        return cases

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def check_allocator(allocator: Allocator) -> int:
    """Hold an allocator to every law; returns how many cases (laws times markets) were tried.

    Raises:
        LawError: it breaks one; the message has the law, the market and what is wrong.

    Example:
        >>> from allocation import Greedy
        >>> check_allocator(Greedy()) > 50
        True
    """
    if isinstance(allocator, type) or not callable(getattr(allocator, "allocate", None)):
        raise LawError(f"{allocator!r} is no allocator: an object with allocate(market) is one")
    return sum(law(allocator) for law in ALLOCATOR_LAWS)


def _infeasible(allocator: Allocator, market: Market) -> str | None:
    allocation = allocator.allocate(market)
    if not isinstance(allocation, Allocation):
        return f"it returns {type(allocation).__name__}, not an Allocation"
    market.check(allocation)
    return None


def _changeable(allocator: Allocator, market: Market) -> str | None:
    first = allocator.allocate(market)
    agents = first.agents.tolist()
    allocator.allocate(market.replace(values=market.values + (market.values < MAX_AMOUNT)))
    if first.agents.tolist() != agents:
        return "a later call changes what an earlier one returned; return arrays of its own each time"
    same = Market(market.values, market.costs, market.capacities, market.feasible, market.bidders)
    # An even and an odd number of calls later: a memory may have any period, two is the likeliest.
    for again in (allocator.allocate(same), allocator.allocate(market)):
        if again.agents.tolist() != agents:
            return f"the same market gets {agents}, then {again.agents.tolist()}; draw from a seed, and keep no memory"
    return None


def with_other_forbidden(market: Market) -> Market:
    """The market with other values and costs at its forbidden pairs, which nobody has reason to read."""
    if market.feasible is None:
        return market
    values, costs = np.where(market.feasible, market.values, 17), np.where(market.feasible, market.costs, -3)
    return market.replace(values=values, costs=costs)


def _leaking(allocator: Allocator, market: Market) -> str | None:
    found, other = (allocator.allocate(each).agents.tolist() for each in (market, with_other_forbidden(market)))
    return None if found == other else f"the agents are {found}, and {other} if forbidden pairs have other amounts"


def _uncertified(allocator: Allocator, market: Market) -> str | None:
    allocation = allocator.allocate(market)
    if allocation.prices is None:
        return None
    try:
        market.certify(allocation)
    except CertificateError as error:
        return f"{error}; leave `prices` None where nothing is proved"
    return None


def _exact(allocator: Allocator) -> bool:
    return bool(getattr(allocator, "exact", False))


def _inexact(allocator: Allocator, market: Market) -> str | None:
    allocation = allocator.allocate(market)
    if allocation.prices is None:
        return "it calls itself exact and carries no prices, the proof"
    welfare, best = market.welfare(allocation), market.welfare(BruteForce().allocate(market))
    return None if welfare == best else f"it calls itself exact; its welfare is {welfare}, the optimum {best}"


def _has_ties(allocator: Allocator) -> bool:
    return isinstance(allocator, TieAware) or _exact(allocator)


def _untied(allocator: Allocator, market: Market) -> str | None:
    found = allocator.ties(market) if isinstance(allocator, TieAware) else optimal_allocations(market)
    for each in found:
        market.check(each)
    tied = [tuple(each.agents.tolist()) for each in found]
    chosen = tuple(allocator.allocate(market).agents.tolist())
    if chosen not in tied:
        return f"it chooses {chosen}, which is not among its ties {tied}"
    if len(set(tied)) < len(tied):
        return f"it lists a tie twice: {tied}"
    return None


def _has_batch_path(allocator: Allocator) -> bool:
    return isinstance(allocator, BatchAllocator) and stands_for(allocator, "allocate_many", "allocate")


def _unlike_alone(allocator: Allocator, market: Market) -> str | None:
    assert isinstance(allocator, BatchAllocator)
    lower = np.maximum(market.values - 1, np.minimum(market.values, 0))
    agents, prices = allocator.allocate_many(np.stack([market.values, lower]), market)
    for b, alone in enumerate((market, market.replace(values=lower))):
        found = allocator.allocate(alone)
        if agents[b].tolist() != found.agents.tolist():
            return f"allocate_many decides {agents[b].tolist()}, allocate {found.agents.tolist()}"
        lowest = minimal_prices(alone, found)
        if prices[b].tolist() != lowest.tolist():
            return f"allocate_many gives prices {prices[b].tolist()}; the lowest are {lowest.tolist()}"
    return None


ALLOCATOR_LAWS: tuple[Law[Allocator], ...] = (
    Law("an allocation fits the market", _infeasible),
    Law("the same market gets the same allocation", _changeable),
    Law("what is forbidden is not read", _leaking),
    Law("prices prove the allocation optimal", _uncertified),
    Law("what calls itself exact is", _inexact, _exact),
    Law("the choice is among the ties", _untied, _has_ties),
    Law("many at once is one by one", _unlike_alone, _has_batch_path),
)
