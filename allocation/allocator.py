"""What an allocator is: anything with `allocate(market) -> Allocation`; no base class, no registration."""

from reprlib import repr as shown
from typing import Protocol, runtime_checkable

from allocation.allocation import Agents, Allocation
from allocation.errors import MarketError
from allocation.market import Market
from allocation.money import Money


@runtime_checkable
class Allocator(Protocol):
    """Decides who serves whom.

    An allocator must return a feasible allocation and must be a function of the market alone, or no audit of it means
    anything. One that maximises welfare exactly attaches dual prices as its proof; `prices=None` claims nothing.
    """

    def allocate(self, market: Market) -> Allocation:
        """Serve requests of this market."""
        ...


@runtime_checkable
class BatchAllocator(Allocator, Protocol):
    """An allocator that can decide many markets at once; it must decide each as it would alone."""

    def allocate_many(self, values: Money, template: Market) -> tuple[Agents, Money]:
        """Agents (B, N) and lowest supporting prices (B, M) of the markets `template.replace(values=values[b])`."""
        ...


def as_allocator(given: object) -> Allocator:
    """The allocator, as it is.

    Raises:
        MarketError: it is a class, or has no `allocate`.
    """
    if isinstance(given, type):
        raise MarketError(f"{given.__name__} is a class; give an instance, {given.__name__}(...)")
    if not callable(getattr(given, "allocate", None)):
        raise MarketError(f"{shown(given)} has no allocate(market); give an allocator, such as MinCostFlow()")
    return given  # type: ignore[return-value]


def stands_for(thing: object, attribute: str, method: str) -> bool:
    """Whether what `thing` says of itself by an attribute was said of the method that it has.

    A subclass that overrides the method inherits the attribute, and with it a claim about code that no longer runs.

    Raises:
        MarketError: a name is no string.
    """
    for name in (attribute, method):
        if not isinstance(name, str):
            raise MarketError(f"{shown(name)} is no name of an attribute; give a string")
    own = getattr(thing, "__dict__", {})
    if attribute in own or method in own:
        return attribute in own
    for kind in type(thing).__mro__:
        if attribute in vars(kind) or method in vars(kind):
            return attribute in vars(kind)
    return False


@runtime_checkable
class WarmAllocator(Allocator, Protocol):
    """An allocator that can start from the prices of a similar market, and gives the same welfare whatever they are."""

    def allocate_from(self, market: Market, prices: Money) -> Allocation:
        """Serve requests of this market, starting from `prices` (M,)."""
        ...
