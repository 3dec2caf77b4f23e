"""Rows of the matrix that are auctions: every shipped pair of allocator and rule, and every whole mechanism."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

from allocation.hubs import ByCost, ByOwner, Cheapest, FavouriteHub
from experiments.matrix.cells import Cell, Progress, Remembered, Trial, trial
from experiments.matrix.spaces import (
    AVERAGE,
    ONE_GOOD,
    ROOMY,
    ROOMY_AVERAGE,
    ROOMY_TWO_SIDED,
    SPACES,
    TINY,
    TWO_SIDED,
)
from mechanisms import VCG, DirectMechanism, ExpectedExternality, Mechanism, MechanismError
from mechanisms.catalogue import AWAY, HOME, RULES, WHOLE, find_mechanism, promised
from mechanisms.hubs import LocalVCG
from mechanisms.paper import PaperRouter
from mechanisms.promises import Domain, Promises, entailed, promises_of
from proofs import (
    AgentsRational,
    Balanced,
    BayesianTruthful,
    Efficient,
    Grid,
    IndividuallyRational,
    InterimRational,
    NoDeficit,
    Property,
    Truthful,
    TruthfulAgents,
    TruthfulBoth,
    grid_prior,
)
from proofs.menu import Exhaustive

#: About bidders, the house and welfare, whatever agents are.
OF_BIDDERS: tuple[Property, ...] = (Truthful(), IndividuallyRational(), NoDeficit(), Balanced(), Efficient())

#: About agents, where they are players.
OF_AGENTS: tuple[Property, ...] = (TruthfulAgents(), TruthfulBoth(), AgentsRational())

#: On average over a uniform prior, bidders and agents alike.
ON_AVERAGE = ("bayesian-truthful", "interim-rational")

#: Rules made for agents that lie; all that they promise holds whatever agents report, and is tried there too.
_FOR_AGENTS = ("two-sided-vcg", "procurement-vcg", "trade-reduction", "expected-externality")

_SLOW = ("linear-program", "convex-program", "network-flow", "or-tools")


@dataclass(frozen=True)
class RuleRow:
    """One mechanism: its label, how it is built for a space, what it promises, where it is tried.

    `spaces` have public terms, `two_sided` agents that lie; on `average` a uniform prior is assumed.
    """

    rule: str
    beside: str
    build: Callable[[Grid], DirectMechanism]
    promises: Promises
    spaces: tuple[Grid, ...] = SPACES
    two_sided: tuple[Grid, ...] = TWO_SIDED
    average: tuple[Grid, ...] = AVERAGE
    few: bool = False

    @property
    def steps(self) -> int:
        """Profiles of all spaces."""
        return sum(grid.profiles for grid in (*self.spaces, *self.two_sided, *self.average))

    def examine(self, progress: Progress = lambda steps: None) -> tuple[Cell, ...]:
        """Audit it over its spaces; one that it refuses with a typed error is no trial of anything.

        Raises:
            AuditError: the mechanism misbehaves.
        """
        promises = entailed(self.promises)
        found: dict[str, list[Trial]] = {prop.name: [] for prop in (*OF_BIDDERS, *OF_AGENTS)}
        found |= {name: [] for name in ON_AVERAGE}
        remembered: dict[DirectMechanism, Remembered] = {}
        for grid, properties in self._questions():
            mechanism = self.build(grid)
            memory = remembered.setdefault(mechanism, Remembered(mechanism))
            try:
                findings = Exhaustive().examine(mechanism, grid, properties, lambda done, total: None)
            except MechanismError:
                findings = []
            for finding in findings:
                name = finding.property.name
                inside = name in promises and promises[name].covers(grid.template)
                found[name].append(trial(finding, str(grid), inside, memory))
            progress(grid.profiles)
        return tuple(Cell(name, promises.get(name), tuple(trials)) for name, trials in found.items())

    def _questions(self) -> Iterator[tuple[Grid, tuple[Property, ...]]]:
        whatever = OF_BIDDERS if self.rule in _FOR_AGENTS else ()
        for grid in self.spaces:
            yield grid, OF_BIDDERS
        for grid in self.two_sided:
            yield grid, (*whatever, *OF_AGENTS)
        for grid in self.average:
            prior = grid_prior(grid)
            agents = OF_AGENTS if grid.agent_types else ()
            yield grid, (*whatever, *agents, BayesianTruthful(prior), InterimRational(prior))

    def __str__(self) -> str:
        return f"{self.rule} over {self.beside}" if self.beside else self.rule


@cache
def auctions() -> tuple[RuleRow, ...]:
    """Every meaningful pair, and every whole mechanism."""
    return tuple(_rows())


def _rows() -> Iterator[RuleRow]:
    for rule in RULES:
        at_home = HOME.get(rule, "min-cost-flow")
        for allocator in (at_home, *(other for owner, other in AWAY if owner == rule)):
            yield _named(rule, allocator)
    yield _named("vcg", "brute-force")
    for allocator in _SLOW:
        yield replace(_named("vcg", allocator), spaces=TINY, two_sided=(), average=(), few=True)
    for rule in WHOLE:
        if rule == "trade-reduction":
            yield _whole(rule, "", find_mechanism(rule), promised(rule), two_sided=(*TWO_SIDED, *ONE_GOOD))
        elif rule != "paper-router":
            whole = find_mechanism(rule)
            yield _whole(rule, "min-cost-flow" if hasattr(whole, "allocator") else "", whole, promised(rule))
    yield RuleRow("expected-externality", "", _expected_externality, ExpectedExternality.promises, (), ())
    router = PaperRouter(slots=1, grain=1)
    yield _whole("paper-router", "", router, promises_of(router), ROOMY, ROOMY_TWO_SIDED, ROOMY_AVERAGE)
    for hubs in (ByOwner((0, 1)), ByCost((0, 1)), Cheapest(1)):
        local = LocalVCG(hubs)
        yield _hubs(type(hubs).__name__, local, promises_of(local))
    by_bids = Mechanism(FavouriteHub((0, 1)), VCG())
    yield _hubs("FavouriteHub", by_bids, _BY_BIDS)


#: Hubs chosen by bids are not truthful; each bidder's choice moves nobody else, so the other promises stand.
_BY_BIDS: Promises = dict.fromkeys(("individually-rational", "agents-rational", "no-deficit"), Domain.EVERYWHERE)


def _expected_externality(grid: Grid) -> ExpectedExternality:
    return ExpectedExternality(grid_prior(grid))


def _hubs(hubs: str, mechanism: DirectMechanism, promises: Promises) -> RuleRow:
    """Hubs are of two agents, so they are tried where there are two."""
    spaces, two_sided, average = (
        tuple(grid for grid in grids if grid.agents == 2) for grids in (SPACES, TWO_SIDED, AVERAGE)
    )
    return _whole("local-vcg", hubs, mechanism, promises, spaces, two_sided, average)


def _named(rule: str, allocator: str) -> RuleRow:
    return _whole(rule, allocator, find_mechanism(rule, allocator), promised(rule, allocator))


def _whole(
    rule: str,
    beside: str,
    mechanism: DirectMechanism,
    promises: Promises,
    spaces: tuple[Grid, ...] = SPACES,
    two_sided: tuple[Grid, ...] = TWO_SIDED,
    average: tuple[Grid, ...] = AVERAGE,
) -> RuleRow:
    return RuleRow(rule, beside, lambda grid: mechanism, promises, spaces, two_sided, average)
