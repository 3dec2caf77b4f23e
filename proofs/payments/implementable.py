"""Is a bare allocator implementable: do *any* payments make it truthful?

Fix a bidder and what the others report. The options are the nodes of a graph, with an edge a -> b as long as the least
that b is worth more than a to a type who gets b. Payments that make the truth optimal are exactly the potentials of
this graph, and they exist exactly if no cycle is negative: cyclic monotonicity (Rochet 1987; option graphs: Gui, Müller
and Vohra 2004). No negative 2-cycle is weak monotonicity, which suffices on convex domains (Saks and Yu 2005) and, as
a grid is none, not here. All in integers, for any deterministic allocator.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from allocation import Allocator, Market
from allocation.money import Money
from mechanisms import Outcome, find_allocator
from proofs.arguments import of_kind, require_allocator, require_progress
from proofs.claims.property import Violation
from proofs.errors import AuditError
from proofs.evidence.evidence import replay_fresh, shrink
from proofs.evidence.finding import Status
from proofs.misreports.misreport import Misreport, spelled_rows
from proofs.payments import option_graphs
from proofs.payments.cycle import Cycle, allocated
from proofs.scopes.grid import Grid
from proofs.scopes.profiles import by_players


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """What one bidder gets, for every type of theirs and every report of the others; and what it is worth.

    Args:
        bidder: whose options these are.
        bundles: (O, K) agents of the bidder's requests, -1 where unserved: everything they can get on the grid.
        chosen: (Q, T) which bundle type t gets when the others report q.
        values: (T, O) micro-units.
        profiles: (Q, T) which profile of the grid this is.
    """

    bidder: int
    bundles: NDArray[np.int64]
    chosen: NDArray[np.intp]
    values: Money
    profiles: Money

    @classmethod
    def of(cls, agents: NDArray[np.int64], grid: Grid, bidder: int) -> "Options":
        """The options in a table of allocations (P, N), one row per profile."""
        mine = grid.template.requests_of(bidder)
        bundles, found = np.unique(agents[:, mine], axis=0, return_inverse=True)
        chosen = by_players(found.reshape(-1), grid, (bidder,))
        profiles = by_players(np.arange(grid.profiles), grid, (bidder,))
        return cls(bidder, bundles, chosen, grid.bundle_values(bidder, bundles), profiles)

    @property
    def broken(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(Q,) where weak, and where cyclic monotonicity fails."""
        lengths = option_graphs.option_lengths(self.chosen, self.values)
        back = lengths.swapaxes(1, 2)
        mutual = (lengths < option_graphs.NO_EDGE) & (back < option_graphs.NO_EDGE)
        weak = (mutual & (np.where(mutual, lengths, 0) + np.where(mutual, back, 0) < 0)).any(axis=(1, 2))
        cyclic = (np.diagonal(option_graphs.distances(lengths), axis1=1, axis2=2) < 0).any(axis=1)
        return np.asarray(weak), np.asarray(cyclic)


@dataclass(frozen=True, slots=True, eq=False)
class Implementability:
    """Whether payments exist that make the allocator truthful on the grid. Truthy where they do.

    `graphs` option graphs were examined, one per bidder and report of the others; `weak` of them break weak
    monotonicity, `cyclic` of them cyclic monotonicity. The `cycle` was shrunk and replayed, as `note` says.
    """

    allocator: Allocator
    grid: Grid
    status: Status
    graphs: int
    weak: int
    cyclic: int
    seconds: float
    cycle: Cycle | None = None
    note: str = ""

    def __bool__(self) -> bool:
        return self.status is Status.VERIFIED

    def __str__(self) -> str:
        lines = [
            f"implementable  {self.status}  {type(self.allocator).__name__}  {self.graphs:,} option graphs, "
            f"{self.weak:,} break weak and {self.cyclic:,} cyclic monotonicity  {self.seconds:.2f} s",
            str(self.grid),
        ]
        return "\n".join(lines if self.cycle is None else [*lines, str(self.cycle), self.note])


def implementability(
    allocator: Allocator | str, grid: Grid, progress: Callable[[int, int], None] | None = None
) -> Implementability:
    """Examine every option graph of the grid.

    Args:
        allocator: an object with `allocate(market)`, or a name as `mechanisms.find_allocator` takes it.
        grid: the reports that exist.
        progress: called with (done, total) profiles.

    Raises:
        AuditError: the allocator is infeasible, or answers the same market differently twice.
        ReplayError: the cycle found does not happen again in a fresh process.
        MechanismError: the name stands for no allocator.

    Example:
        >>> found = implementability("greedy", Grid(bidders=2, agents=2, values=range(4)))
        >>> str(found.status), found.cyclic, found.graphs
        ('REFUTED', 7, 32)
    """
    started = perf_counter()
    chosen = find_allocator(allocator) if isinstance(allocator, str) else allocator
    agents = allocations(chosen, grid, progress)
    graphs = weak = cyclic = 0
    worst: tuple[int, int, Cycle] | None = None
    for bidder in range(grid.bidders):
        options = Options.of(agents, grid, bidder)
        twofold, cycles = options.broken
        graphs, weak, cyclic = graphs + len(cycles), weak + int(twofold.sum()), cyclic + int(cycles.sum())
        if not cycles.any():
            continue
        # A violation of weak monotonicity is the simplest evidence; where there is none, any negative cycle.
        cycle = _cycle(chosen, grid, options, int((twofold if twofold.any() else cycles).argmax()))
        rank = (len(cycle.types), -cycle.amount)
        if worst is None or rank < worst[:2]:
            worst = *rank, cycle
    if worst is None:
        seconds = perf_counter() - started
        return Implementability(chosen, grid, Status.VERIFIED, graphs, weak, cyclic, seconds)
    cycle = shrink(worst[2], chosen)
    note = replay_fresh(cycle, chosen)
    seconds = perf_counter() - started
    return Implementability(chosen, grid, Status.REFUTED, graphs, weak, cyclic, seconds, cycle, note)


def allocations(
    allocator: Allocator, grid: Grid, progress: Callable[[int, int], None] | None = None, reruns: int = 16
) -> NDArray[np.int64]:
    """(P, N) what the allocator decides in every profile of the grid.

    Args:
        reruns: profiles, evenly spread, that are asked again at the end.

    Raises:
        AuditError: it is infeasible, or answers a profile differently the second time, or the grid speaks of ties.
    """
    require_allocator(allocator)
    require_progress(progress)
    if of_kind(grid, Grid, "grid", "Grid(...)").ties != "first":
        raise AuditError(f"prices are made for one allocation per market; give this grid ties='first': {grid}")
    agents = np.empty((grid.profiles, grid.template.shape[0]), np.int64)
    for profile in range(grid.profiles):
        agents[profile] = allocated(allocator, grid.market(profile)).agents
        if progress is not None:
            progress(profile + 1, grid.profiles)
    for profile in np.linspace(0, grid.profiles - 1, reruns).astype(np.int64).tolist():
        market = grid.market(profile)
        if allocated(allocator, market).agents.tolist() != agents[profile].tolist():
            raise AuditError(
                f"{type(allocator).__name__} allocates {market} differently when asked again; give it a seed, and no "
                "memory of earlier rounds"
            )
    return agents


@dataclass(frozen=True, slots=True)
class WeaklyMonotone:
    """Swapping what two types of a bidder get never makes the two better off together (Bikhchandani et al. 2006).

    Necessary for truthfulness whatever is paid; payments are not looked at. The misreport is the second type. Over a
    `Sample` this looks far beyond any grid; on a `Grid`, `implementability` looks for longer cycles too.
    """

    name: ClassVar[str] = "weakly-monotone"

    def compare(self, truth: Market, misreport: Misreport, honest: Outcome, deviating: Outcome) -> Violation | None:
        """What true type and reported type gain together by swapping."""
        mine, said = truth.requests_of(misreport.bidder), misreport.applied(truth)
        gain = sum(
            int((market.take(market.values, there) - market.take(market.values, here))[mine].sum())
            for market, here, there in (
                (truth, honest.allocation, deviating.allocation),
                (said, deviating.allocation, honest.allocation),
            )
        )
        if gain <= 0:
            return None
        types = f"types {misreport.instead_of(truth)} and {spelled_rows(misreport.rows)}"
        return Violation(gain, f"{types} of bidder {misreport.bidder} gain {gain} together by swapping")


def _cycle(allocator: Allocator, grid: Grid, options: Options, others: int) -> Cycle:
    nodes = option_graphs.shortest_cycle(option_graphs.option_lengths(options.chosen[others, None], options.values)[0])
    types = []
    for before, node in zip((nodes[-1], *nodes[:-1]), nodes, strict=True):
        margins = options.values[:, node] - options.values[:, before]
        takers = options.chosen[others] == node
        types.append(int(np.where(takers, margins, option_graphs.NO_EDGE).argmin()))
    # An edge bounds a type by the option before its own, so it is the type before that it would rather report.
    rows = grid.types(options.bidder)[types[::-1]]
    market = grid.market(int(options.profiles[others, types[-1]]))
    found = Cycle.of(allocator, market, options.bidder, list(rows))
    if found is None:
        raise AuditError(f"{type(allocator).__name__} allocates {market} differently when asked again; give it a seed")
    return found
