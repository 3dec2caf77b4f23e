"""`Suite`: several small grids at once. One grid is kind to some fault: without costs nobody sees a cost forgotten.

`SUITE` is what is audited where nobody says which markets. Each of its grids shows a kind of fault that the others
hide, and all of them together take a rule that is asked one market at a time a few seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from proofs.arguments import several
from proofs.errors import AuditError
from proofs.scopes.grid import Grid


@dataclass(frozen=True, eq=False)
class Suite:
    """Grids by name; a claim over it speaks of every one of them.

    Raises:
        AuditError: there is no grid in it, or something that is none.

    Example:
        >>> suite = Suite({"free": Grid(2, 1, range(3)), "dear": Grid(2, 1, range(3), costs=1)})
        >>> suite.profiles, list(suite.only(["dear"]).grids)
        (18, ['dear'])
    """

    grids: Mapping[str, Grid]

    def __post_init__(self) -> None:
        if not isinstance(self.grids, Mapping):
            raise AuditError(f"grids = {self.grids!r}; expected grids by name, {{'name': Grid(...)}}")
        grids = dict(self.grids)
        odd = [str(name) for name, grid in grids.items() if not isinstance(grid, Grid)]
        if not grids or odd:
            raise AuditError(
                f"a suite holds grids, and {', '.join(odd) or 'this one holds nothing'}; give name: Grid(...)"
            )
        object.__setattr__(self, "grids", MappingProxyType(grids))

    def __reduce__(self) -> tuple[object, ...]:
        # A read-only view of a mapping cannot be sent to another process.
        return type(self), (dict(self.grids),)

    @property
    def profiles(self) -> int:
        """Number of type profiles of all grids."""
        return sum(grid.profiles for grid in self.grids.values())

    def only(self, names: Iterable[str]) -> "Suite":
        """The suite of these grids."""
        wanted = several(names, "names", "names of grids")
        return Suite({name: grid for name, grid in self.grids.items() if name in wanted})

    @property
    def outline(self) -> str:
        """The names of the grids, and how many profiles they have, in one line."""
        many = f"{len(self.grids)} scope{'s' * (len(self.grids) > 1)}, {self.profiles:,} profiles"
        return f"{many}: {', '.join(self.grids)}"

    def __str__(self) -> str:
        grids = "; ".join(f"{name}: {grid}" for name, grid in self.grids.items())
        return f"{len(self.grids)} scope{'s' * (len(self.grids) > 1)}; {grids}"


#: Request 1 may go to one agent alone, request 2 to the other.
_LEFT_OUT = ((True, True), (True, False), (False, True))

SUITE = Suite(
    {
        "plain": Grid(bidders=3, agents=2, values=range(4)),
        # A cost forgotten, or read from the column of another agent.
        "costs": Grid(bidders=2, agents=2, values=range(5), costs=(1, 3)),
        # ... or from the row of another request.
        "costs per request": Grid(bidders=3, agents=2, values=(0, 2, 4), costs=((0, 1), (3, 1), (1, 2))),
        "capacities": Grid(bidders=3, agents=3, values=(0, 3), costs=(2, 1, 0), capacities=(2, 1, 0)),
        "many places": Grid(bidders=4, agents=2, values=range(5), costs=(0, 1), capacities=(1, 2), one_good=True),
        # Whoever owns several requests is one bidder, who may give up one to get another for less.
        "owners": Grid(bidders=2, agents=2, values=range(3), costs=(0, 1), owners=(0, 0, 1)),
        "owners of all": Grid(bidders=2, agents=1, values=range(4), costs=1, capacities=2, owners=(0, 1, 0)),
        # What is reported of a pair that may not be matched must move nothing.
        "forbidden pairs": Grid(bidders=3, agents=2, values=range(3), costs=(1, 0), feasible=_LEFT_OUT),
        # Where rules that sell the capacity of one agent alone keep their promises.
        "one agent": Grid(bidders=3, agents=1, values=range(4), costs=1),
        "one agent, costs per request": Grid(
            bidders=3, agents=1, values=range(5), costs=((0,), (1,), (2,)), capacities=2
        ),
        # What is right for small numbers only: floats, ceilings, overflows.
        "magnitudes": Grid(bidders=2, agents=2, values=(0, 10**6, 2**39 - 1, 2**39), costs=(3, 10**6 - 1)),
    }
)
