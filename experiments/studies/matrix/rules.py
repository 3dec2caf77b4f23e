"""Rows of the matrix that are auctions: every rule over every allocator, and every whole mechanism."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from allocation.heuristic.ranges import ByCost, ByOwner, Cheapest, FavouriteHub
from experiments.studies.matrix.cells import Cell, Progress, Trial, trial
from experiments.studies.matrix.refused import RefusedRow
from experiments.studies.matrix.scopes import (
    AMPLE,
    AMPLE_AVERAGE,
    AMPLE_TWO_SIDED,
    AVERAGE,
    ONE_GOOD,
    SCOPES,
    TINY,
    TINY_TWO_SIDED,
    TWO_SIDED,
)
from mechanisms import VCG, DirectMechanism, ExpectedExternality, Mechanism, MechanismError
from mechanisms.catalogue import ALLOCATORS, HOME, RULES, WHOLE, find_mechanism, promised, refuses
from mechanisms.promises import Domain, Promises, entailed, promises_of
from mechanisms.rules.hubs import LocalVCG
from mechanisms.rules.paper import PaperRouter
from proofs import Efficient, Grid, IndividuallyRational, NoDeficit, Property, Status, Truthful
from proofs.grids.exhaustive import Exhaustive
from proofs.properties.agents import AgentsRational, TruthfulAgents, TruthfulBoth
from proofs.properties.bayesian import BayesianTruthful, InterimRational, grid_prior
from proofs.properties.budget import Balanced
from proofs.subject.remembered import Remembered

#: About bidders, the auctioneer and welfare, whatever agents are.
OF_BIDDERS: tuple[Property, ...] = (Truthful(), IndividuallyRational(), NoDeficit(), Balanced(), Efficient())

#: About agents, where they are players.
OF_AGENTS: tuple[Property, ...] = (TruthfulAgents(), TruthfulBoth(), AgentsRational())

#: On average over a uniform prior, bidders and agents alike.
ON_AVERAGE = ("bayesian-truthful", "interim-rational")

#: Rules made for agents that misreport; all that they promise holds whatever agents report, and is tried there too.
_FOR_AGENTS = ("two-sided-vcg", "procurement-vcg", "trade-reduction", "expected-externality")

_SLOW = ("linear-program", "convex-program", "network-flow", "or-tools")

#: Pairs that are shown unasked, beside every rule at home and VCG over every exact allocator.
_SHOWN: Mapping[str, tuple[str, ...]] = {
    "vcg": ("greedy", "first-come", "brute-force", *_SLOW),
    "pay-as-bid": ("greedy", "by-value"),
    "posted-price": ("min-cost-flow", "greedy"),
    "second-price": ("greedy",),
    "proportional-share": ("greedy", "by-value"),
}


@dataclass(frozen=True)
class RuleRow:
    """One mechanism: its label, how it is built for a scope, what it promises, where it is tried.

    `scopes` have public terms, `two_sided` agents that misreport; on `average` a uniform prior is assumed. A row that
    is `brief` comes to the same verdicts with less work: small scopes first, what is not promised on a scope is asked
    until one refutes it, and few markets are asked twice.
    """

    rule: str
    beside: str
    build: Callable[[Grid], DirectMechanism]
    promises: Promises
    scopes: tuple[Grid, ...] = SCOPES
    two_sided: tuple[Grid, ...] = TWO_SIDED
    average: tuple[Grid, ...] = AVERAGE
    few: bool = False
    brief: bool = False

    @property
    def steps(self) -> int:
        """Profiles of all scopes."""
        return sum(grid.profiles for grid in (*self.scopes, *self.two_sided, *self.average))

    def examine(self, progress: Progress = lambda steps: None) -> tuple[Cell, ...]:
        """Audit it over its scopes; one that it refuses with a typed error is no trial of anything.

        Raises:
            AuditError: the mechanism misbehaves.
        """
        promises = entailed(self.promises)
        found: dict[str, list[Trial]] = {prop.name: [] for prop in (*OF_BIDDERS, *OF_AGENTS)}
        found |= {name: [] for name in ON_AVERAGE}
        remembered: dict[DirectMechanism, Remembered] = {}
        engine = Exhaustive(reruns=2) if self.brief else Exhaustive()
        for grid, properties in self._questions():
            inside = {name: name in promises and promises[name].covers(grid.template) for name in found}
            asked = [prop for prop in properties if inside[prop.name] or not self._settled(found[prop.name])]
            mechanism = self.build(grid)
            memory = remembered.setdefault(mechanism, Remembered(mechanism))
            try:
                findings = engine.examine(mechanism, grid, asked, lambda done, total: None) if asked else []
            except MechanismError:
                findings = []
            for finding in findings:
                name = finding.property.name
                found[name].append(trial(finding, str(grid), inside[name], memory))
            progress(grid.profiles)
        return tuple(Cell(name, promises.get(name), tuple(trials)) for name, trials in found.items())

    def _settled(self, trials: list[Trial]) -> bool:
        return self.brief and any(trial.status is Status.REFUTED and not trial.inside for trial in trials)

    def _questions(self) -> Iterator[tuple[Grid, tuple[Property, ...]]]:
        whatever = OF_BIDDERS if self.rule in _FOR_AGENTS else ()
        scopes, two_sided, average = map(self._in_order, (self.scopes, self.two_sided, self.average))
        for grid in scopes:
            yield grid, OF_BIDDERS
        for grid in two_sided:
            yield grid, (*whatever, *OF_AGENTS)
        for grid in average:
            prior = grid_prior(grid)
            agents = OF_AGENTS if grid.agent_types else ()
            yield grid, (*whatever, *agents, BayesianTruthful(prior), InterimRational(prior))

    def _in_order(self, grids: tuple[Grid, ...]) -> Sequence[Grid]:
        return sorted(grids, key=lambda grid: grid.profiles) if self.brief else grids

    def __str__(self) -> str:
        return f"{self.rule} over {self.beside}" if self.beside else self.rule


@cache
def auctions() -> tuple[RuleRow | RefusedRow, ...]:
    """The rows that are shown unasked: rules at home and over what is often put in its place, and whole mechanisms."""
    return tuple(_rows())


@cache
def pairs() -> tuple[RuleRow | RefusedRow, ...]:
    """Every rule over every allocator, and so every whole mechanism that takes one."""
    takers = [whole for whole in WHOLE if hasattr(find_mechanism(whole), "allocator")]
    return tuple(_pair(rule, allocator) for rule in (*RULES, *takers) for allocator in ALLOCATORS)


def _rows() -> Iterator[RuleRow | RefusedRow]:
    every = {(row.rule, row.beside): row for row in pairs()}
    for rule in RULES:
        for allocator in (HOME.get(rule, "min-cost-flow"), *_SHOWN.get(rule, ())):
            yield every[rule, allocator]
    for rule in WHOLE:
        if (rule, "min-cost-flow") in every:
            yield every[rule, "min-cost-flow"]
        elif rule == "trade-reduction":
            yield _whole(rule, "", find_mechanism(rule), promised(rule), two_sided=(*TWO_SIDED, *ONE_GOOD))
    yield RuleRow("expected-externality", "", _expected_externality, ExpectedExternality.promises, (), ())
    router = PaperRouter(slots=1, grain=1)
    yield _whole("paper-router", "", router, promises_of(router), AMPLE, AMPLE_TWO_SIDED, AMPLE_AVERAGE)
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
    scopes, two_sided, average = (
        tuple(grid for grid in grids if grid.agents == 2) for grids in (SCOPES, TWO_SIDED, AVERAGE)
    )
    return _whole("local-vcg", hubs, mechanism, promises, scopes, two_sided, average)


def _pair(rule: str, allocator: str) -> RuleRow | RefusedRow:
    mechanism = find_mechanism(rule, allocator)
    if refuses(rule, allocator):
        return RefusedRow(rule, allocator, mechanism)
    promises = promised(rule, allocator)
    if allocator in _SLOW:
        return RuleRow(rule, allocator, lambda grid: mechanism, promises, TINY, TINY_TWO_SIDED, (), few=True)
    return _whole(rule, allocator, mechanism, promises)


def _whole(
    rule: str,
    beside: str,
    mechanism: DirectMechanism,
    promises: Promises,
    scopes: tuple[Grid, ...] = SCOPES,
    two_sided: tuple[Grid, ...] = TWO_SIDED,
    average: tuple[Grid, ...] = AVERAGE,
) -> RuleRow:
    return RuleRow(rule, beside, lambda grid: mechanism, promises, scopes, two_sided, average)
