"""The matrix of rules by properties: every shipped pair audited over a handful of small grids, against its promises."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from allocation.hubs import ByCost, ByOwner, Cheapest, FavouriteHub
from mechanisms import VCG, DirectMechanism, Mechanism, MechanismError
from mechanisms.catalogue import AWAY, HOME, RULES, WHOLE, find_mechanism, promised
from mechanisms.hubs import LocalVCG
from mechanisms.paper import PaperRouter
from mechanisms.promises import Domain, Promises, promises_of
from proofs import Counterexample, Finding, Grid, Property, Status, shrink
from proofs.menu import Exhaustive
from proofs.properties import Efficient, IndividuallyRational, NoDeficit, Truthful
from proofs.shrink import simplicity

PROPERTIES: tuple[Property, ...] = (Truthful(), IndividuallyRational(), NoDeficit(), Efficient())

#: Small enough for a second each, and together they break every rule here that can be broken on a grid of this size.
SPACES: tuple[Grid, ...] = (
    Grid(bidders=2, agents=2, values=range(3)),
    Grid(bidders=2, agents=2, values=(0, 2, 3), costs=(0, 2)),
    Grid(bidders=3, agents=1, values=range(4), costs=[[0], [1], [2]]),
    Grid(bidders=3, agents=1, values=range(4), costs=1, capacities=2),
    Grid(bidders=2, agents=1, values=range(3), costs=1, capacities=3, requests_per_bidder=2),
    Grid(bidders=2, agents=2, values=range(2), requests_per_bidder=2),
    Grid(bidders=2, agents=2, values=(-1, 1, 2)),
)

#: Agents that could take everybody, of which the router auctions one slot each.
ROOMY: tuple[Grid, ...] = (
    Grid(bidders=2, agents=2, values=range(4), costs=(0, 1), capacities=2),
    Grid(bidders=2, agents=1, values=range(4), costs=1, capacities=2),
)

#: For allocators that take milliseconds for a market of one pair: they are proved right elsewhere, by certificate.
TINY: tuple[Grid, ...] = (Grid(bidders=2, agents=1, values=range(2)),)

_SLOW = ("linear-program", "convex-program", "network-flow", "or-tools")


@dataclass(frozen=True)
class Row:
    """One mechanism of the matrix: its label, how it is built, what it promises, where it is tried."""

    rule: str
    allocator: str
    mechanism: DirectMechanism
    promises: Promises
    spaces: tuple[Grid, ...] = SPACES

    def __str__(self) -> str:
        return f"{self.rule} over {self.allocator}" if self.allocator else self.rule


@dataclass(frozen=True)
class Cell:
    """What the audits of one row say about one property: a finding per space that the mechanism did not refuse."""

    prop: Property
    promise: Domain | None
    findings: tuple[tuple[Grid, Finding], ...]

    @property
    def refuted(self) -> tuple[Finding, ...]:
        """The findings with a counterexample."""
        return tuple(finding for _, finding in self.findings if finding.status is Status.REFUTED)

    @property
    def broken(self) -> tuple[Finding, ...]:
        """The counterexamples inside the promised domain."""
        return tuple(finding for grid, finding in self.findings if finding.counterexample and self._inside(grid))

    @property
    def too_modest(self) -> bool:
        """Whether the property held in every space tried outside the promised domain."""
        if self.promise is Domain.EVERYWHERE:
            return False
        return not any(finding.counterexample for grid, finding in self.findings if not self._inside(grid))

    @property
    def untried(self) -> bool:
        """Whether there is a promise that no space has put to the test."""
        return self.promise is not None and not any(self._inside(grid) for grid, _ in self.findings)

    def _inside(self, grid: Grid) -> bool:
        return self.promise is not None and self.promise.covers(grid.template)


def rows(rule: str | None = None) -> tuple[Row, ...]:
    """Every meaningful pair, or those of one rule.

    Raises:
        MechanismError: no rule of that name is in the matrix.
    """
    chosen = tuple(row for row in _every_row() if rule in (None, row.rule))
    if not chosen:
        raise MechanismError(
            f"no rule {rule!r} in the matrix; it has {', '.join(dict.fromkeys(r.rule for r in _every_row()))}"
        )
    return chosen


def examine(row: Row, progress: Callable[[int], None] | None = None) -> tuple[Cell, ...]:
    """Audit one row over its spaces.

    Args:
        row: the mechanism.
        progress: called with the number of profiles after each space.

    Raises:
        AuditError: the mechanism misbehaves.
    """
    found: dict[str, list[tuple[Grid, Finding]]] = {prop.name: [] for prop in PROPERTIES}
    for grid in row.spaces:
        try:
            findings = Exhaustive().examine(row.mechanism, grid, PROPERTIES, lambda done, total: None)
        except MechanismError:
            # A typed refusal is an answer too: the rule makes no claim about such markets.
            findings = []
        for finding in findings:
            found[finding.property.name].append((grid, finding))
        if progress is not None:
            progress(grid.profiles)
    return tuple(Cell(prop, row.promises.get(prop.name), tuple(found[prop.name])) for prop in PROPERTIES)


def smallest(cell: Cell, mechanism: DirectMechanism) -> Counterexample | None:
    """The simplest shrunk counterexample of a cell, computed once more from scratch; None where nothing is refuted.

    Raises:
        ReplayError: it does not happen again.
    """
    shrunk = [
        shrink(finding.counterexample, mechanism) for finding in cell.refuted if finding.counterexample is not None
    ]
    if not shrunk:
        return None
    best = min(shrunk, key=lambda found: simplicity(found.truth, found.lie))
    best.replay(mechanism)
    return best


@cache
def _every_row() -> tuple[Row, ...]:
    return tuple(_rows())


def _rows() -> Iterator[Row]:
    for rule in RULES:
        at_home = HOME.get(rule, "min-cost-flow")
        for allocator in (at_home, *(other for owner, other in AWAY if owner == rule)):
            yield _named(rule, allocator)
    for allocator in ("brute-force", *_SLOW):
        yield _named("vcg", allocator, TINY if allocator in _SLOW else SPACES)
    for rule in WHOLE:
        if rule != "paper-router":
            whole = find_mechanism(rule)
            allocator = "min-cost-flow" if hasattr(whole, "allocator") else ""
            yield Row(rule, allocator, whole, promised(rule))
    router = PaperRouter(slots=1, grain=1)
    yield Row("paper-router", "", router, promises_of(router), ROOMY)
    for hubs in (ByOwner((0, 1)), ByCost((0, 1)), Cheapest(1)):
        local = LocalVCG(hubs)
        yield Row("local-vcg", type(hubs).__name__, local, promises_of(local), _two_agents())
    by_bids = Mechanism(FavouriteHub((0, 1)), VCG())
    yield Row("local-vcg", "FavouriteHub", by_bids, _BY_BIDS, _two_agents())


#: Hubs chosen by bids are not truthful; each bidder's choice moves nobody else, so the other two promises stand.
_BY_BIDS: Promises = {"individually-rational": Domain.EVERYWHERE, "no-deficit": Domain.EVERYWHERE}


def _two_agents() -> tuple[Grid, ...]:
    return tuple(grid for grid in SPACES if grid.agents == 2)


def _named(rule: str, allocator: str, spaces: Iterable[Grid] = SPACES) -> Row:
    return Row(rule, allocator, find_mechanism(rule, allocator), promised(rule, allocator), tuple(spaces))
