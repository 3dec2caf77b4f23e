"""Even-handedness: `EnvyFree`, `Anonymous`; and `Monotone`, without which no payments make an allocation truthful."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from allocation import Market
from mechanisms import Outcome
from proofs.claims.optimum import optimum
from proofs.claims.property import Violation
from proofs.grids.sweep import GridOutcomes, SweepResult, compared, tried
from proofs.misreports.identity import Swap
from proofs.misreports.misreport import Deviation, Misreport

_RAISES = 4


@dataclass(frozen=True, slots=True)
class EnvyFree:
    """No bidder would rather be served as another is at what that other pays for them (Foley 1967).

    What pairs cost is public and follows the pair: a bidder who takes another's place pays their own costs there, and
    what the other paid beyond these. With equal costs that is the other's charge. They use the capacity as well as
    their requests can and leave the rest idle.
    """

    name: ClassVar[str] = "envy-free"

    def check(self, outcome: Outcome, truth: Market) -> Violation | None:
        """The greatest envy; ties to the first."""
        utilities = outcome.bidder_utilities(truth)
        beyond = outcome.payments.charges - truth.take(truth.costs, outcome.allocation)
        worst: Violation | None = None
        for other in truth.players:
            theirs = truth.requests_of(other)
            agents = outcome.allocation.agents[theirs]
            slots = np.bincount(agents[agents >= 0], minlength=truth.shape[1])
            extra = int(beyond[theirs].sum())
            for bidder in truth.players:
                mine = truth.requests(truth.requests_of(bidder)).replace(capacities=slots)
                envy = optimum(mine) - extra - utilities[bidder] if bidder != other else 0
                if envy > (0 if worst is None else worst.amount):
                    worst = Violation(envy, f"bidder {bidder} would gain {envy} in the place of bidder {other}")
        return worst


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Utilities depend on what bidders report and not on who they are: change places, and utilities change places.

    Neighbours with equally many requests are exchanged, together with their costs and forbidden pairs. Neighbours
    generate every permutation, so on a scope that is closed under them the claim holds for all. Equal utilities, not
    equal allocations: a tie may be broken by name as long as nobody is worse off for it.
    """

    name: ClassVar[str] = "anonymous"

    def compare(self, truth: Market, misreport: Swap, honest: Outcome, deviating: Outcome) -> Violation | None:
        """The greatest change of a utility that went along with its bidder."""
        before, after = honest.bidder_utilities(truth), deviating.bidder_utilities(misreport.applied(truth))
        place = {bidder: bidder for bidder in truth.players} | {
            misreport.first: misreport.second,
            misreport.second: misreport.first,
        }
        bidder = max(truth.players, key=lambda one: abs(after[place[one]] - before[one]))
        now, was = after[place[bidder]], before[bidder]
        return (
            Violation(abs(now - was), f"{misreport}, and bidder {bidder} has {now}, not {was}") if now != was else None
        )

    def sweep(self, played: GridOutcomes) -> SweepResult:
        """Every exchange of neighbours in every profile."""
        swaps = list(_swaps(played.grid.template))
        return tried(played, lambda profile, truth, honest: swaps, compared(played, self))

    def attempts(
        self, rng: np.random.Generator, truth: Market, bounds: Sequence[tuple[int, int]]
    ) -> Iterator[Deviation]:
        """Every exchange of neighbours."""
        yield from _swaps(truth)


@dataclass(frozen=True, slots=True)
class Monotone:
    """A request that is served keeps its agent when its bidder reports more for that very pair (Myerson 1981).

    Necessary for truthfulness under any payments, and not sufficient where a bidder has a choice of agents.
    """

    name: ClassVar[str] = "monotone"

    def compare(self, truth: Market, misreport: Misreport, honest: Outcome, deviating: Outcome) -> Violation | None:
        """How much more was reported for a pair that was then lost."""
        mine = truth.requests_of(misreport.bidder)
        more = np.array(misreport.rows, np.int64) - truth.values[mine]
        changed = np.argwhere(more)
        if len(changed) != 1:
            return None
        row, agent = changed[0].tolist()
        request, rise = int(mine[row]), int(more[row, agent])
        if rise < 0 or honest.allocation.agents[request] != agent or deviating.allocation.agents[request] == agent:
            return None
        return Violation(rise, f"request {request} reports {rise} more for agent {agent}, where it is, and loses it")

    def sweep(self, played: GridOutcomes) -> SweepResult:
        """Every higher value for every pair that is matched, in every profile."""
        values = played.grid.values
        return tried(played, lambda profile, truth, honest: _raises(truth, honest, values), compared(played, self))

    def attempts(
        self, rng: np.random.Generator, truth: Market, bounds: Sequence[tuple[int, int]]
    ) -> Iterator[Deviation]:
        """A few requests report more for some agent."""
        for request in rng.permutation(truth.shape[0])[:_RAISES].tolist():
            bidder = int(truth.bidders[request])
            for agent in range(truth.shape[1]):
                yield _raised(truth, request, bidder, agent, int(truth.values[request, agent]) + 1)
                yield _raised(truth, request, bidder, agent, bounds[0][1])


def _swaps(truth: Market) -> Iterator[Swap]:
    owned: dict[int, list[int]] = {}
    for bidder in truth.players:
        owned.setdefault(truth.requests_of(bidder).size, []).append(bidder)
    for alike in owned.values():
        for first, second in pairwise(alike):
            yield Swap(first, second)


def _raises(truth: Market, honest: Outcome, values: Sequence[int]) -> Iterator[Misreport]:
    for request, agent in enumerate(honest.allocation.agents.tolist()):
        if agent >= 0:
            for value in values:
                if value > truth.values[request, agent]:
                    yield _raised(truth, request, int(truth.bidders[request]), agent, value)


def _raised(truth: Market, request: int, bidder: int, agent: int, value: int) -> Misreport:
    values = truth.values.copy()
    values[request, agent] = value
    return Misreport.of(bidder, values[truth.requests_of(bidder)])
