"""`Guided`: markets and misreports that Hypothesis draws, drawn on towards those that almost violate a property.

Uniform markets seldom hold the coincidences that break a rule: equal values, a report one micro-unit past a rival's,
zeros.
Hypothesis favours such numbers, and climbs towards cases with a higher score (targeted property-based testing: Löscher
and Sagonas 2017); the score is what a misreport gains, be it a loss. It can refute, or it does not know.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from types import ModuleType
from typing import Any

import numpy as np

from allocation import Market
from mechanisms import DirectMechanism, Outcome
from proofs.claims.property import OutcomeProperty, Property, RegretProperty, gain_of
from proofs.errors import AuditError
from proofs.evidence.counterexample import Answer, Counterexample
from proofs.evidence.engine import Progress
from proofs.evidence.finding import Finding
from proofs.grids.table import unstable
from proofs.misreports.coalition import AgentMisreport, tempting_agent_misreports
from proofs.misreports.misreport import Misreport, tempting_misreports
from proofs.samples.random_search import RERUN_EVERY, sampled, sides
from proofs.scopes.grid import Sample, Scope
from proofs.subject.subject import outcome_of


@dataclass(frozen=True, slots=True)
class Guided:
    """An engine of `Sample`; each property gets as many markets as the sample has draws. Needs Hypothesis."""

    def accepts(self, prop: Property, scope: Scope) -> bool:
        """Properties of outcomes, and of a misreport of one bidder or agent, over samples."""
        return isinstance(scope, Sample) and isinstance(prop, RegretProperty | OutcomeProperty)

    def examine(
        self, mechanism: DirectMechanism, scope: Scope, properties: Sequence[Property], progress: Progress
    ) -> list[Finding]:
        """One finding per property, REFUTED or UNKNOWN.

        Raises:
            AuditError: Hypothesis is not installed, or the mechanism misbehaves or is not a function of the market.
        """
        if not isinstance(scope, Sample):
            raise AuditError(f"{type(scope).__name__} cannot be sampled; give a Sample")
        total = scope.draws * len(properties)
        findings = []
        for index, prop in enumerate(properties):
            begun = index * scope.draws
            candidate = _Candidate(prop, mechanism, scope, lambda done, begun=begun: progress(begun + done, total))  # type: ignore[misc]
            findings.append(candidate.finding())
        progress(total, total)
        return findings


class _EnoughError(Exception):
    """A case violates the property, or shows that the mechanism cannot be audited."""


@dataclass(slots=True)
class _Candidate:
    prop: Property
    mechanism: DirectMechanism
    sample: Sample
    progress: Callable[[int], None]
    cases: int = 0
    markets: int = 0
    caught: Counterexample | None = None
    broken: AuditError | None = None

    def finding(self) -> Finding:
        started = perf_counter()
        self._run(_hypothesis())
        if (
            self.caught is not None
            and Counterexample.of(self.prop, self.mechanism, self.caught.truth, self.caught.misreport) is None
        ):
            raise unstable(self.mechanism, self.caught.truth)
        seconds = perf_counter() - started
        return sampled(self.prop, self.sample, self.cases, seconds, self.caught, "guided by Hypothesis")

    def _run(self, hypothesis: ModuleType) -> None:
        """Try cases until one violates the property; Hypothesis need not shrink it, we do."""
        settings = hypothesis.settings(
            max_examples=self.sample.draws,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate, hypothesis.Phase.target],
            suppress_health_check=list(hypothesis.HealthCheck),
            report_multiple_bugs=False,
            verbosity=hypothesis.Verbosity.quiet,
        )

        def attempt(data: Any) -> None:
            try:
                score = self._case(_Draws(data, hypothesis.strategies, self.sample))
            except AuditError as error:
                self.broken = error
            if self.caught is not None or self.broken is not None:
                raise _EnoughError
            hypothesis.target(float(score))

        test = hypothesis.given(hypothesis.strategies.data())(attempt)
        try:
            hypothesis.seed(self.sample.seed)(settings(test))()
        except (_EnoughError, hypothesis.errors.Flaky):
            if self.broken is not None:
                raise self.broken from None

    def _case(self, draws: "_Draws") -> int:
        """One market, and misreports of one player if the property is about them: the best gain, or the violation."""
        self.markets += 1
        self.progress(min(self.markets, self.sample.draws))
        truth = draws.market()
        honest = outcome_of(self.mechanism, truth)
        if self.markets % RERUN_EVERY == 1 and Answer.of(outcome_of(self.mechanism, truth)) != Answer.of(honest):
            raise unstable(self.mechanism, truth)
        if isinstance(self.prop, RegretProperty):
            prop, players = self.prop, self.prop.players(self.sample)
            return max(self._gain(prop, truth, honest, misreport) for misreport in draws.misreports(truth, players))
        assert isinstance(self.prop, OutcomeProperty)
        self.cases += 1
        found = self.prop.check(honest, truth)
        if found is not None:
            self.caught = Counterexample.from_violation(self.prop, truth, None, found, honest, None)
        return 0 if found is None else found.amount

    def _gain(self, prop: RegretProperty, truth: Market, honest: Outcome, misreport: Misreport | AgentMisreport) -> int:
        self.cases += 1
        deviating = outcome_of(self.mechanism, misreport.applied(truth))
        broken = prop.compare(truth, misreport, honest, deviating)
        if broken is not None and (self.caught is None or broken.amount > self.caught.amount):
            self.caught = Counterexample.from_violation(self.prop, truth, misreport, broken, honest, deviating)
        return gain_of(truth, misreport, honest, deviating) or 0


@dataclass(frozen=True, slots=True)
class _Draws:
    """Markets and misreports of a sample, number by number."""

    data: Any
    strategies: Any
    sample: Sample

    def market(self) -> Market:
        sample, (n, m) = self.sample, self.sample.template.shape
        values = self._numbers(n * m, sample.values).reshape(n, m)
        costs = capacities = None
        if sample.private_costs is not None:
            rows = n if sample.costs_per_pair else 1
            costs = np.repeat(self._numbers(rows * m, sample.private_costs).reshape(rows, m), n // rows, axis=0)
        if sample.private_capacities is not None:
            capacities = self._numbers(m, sample.private_capacities)
        return sample.template.replace(values=values, costs=costs, capacities=capacities)

    def misreports(self, truth: Market, players: Sequence[int]) -> Iterator[Misreport | AgentMisreport]:
        """A misreport of one of these players drawn number by number, and then those that random search tries."""
        bidders, agents = sides(truth, players, self.sample.bidders)
        drawn = self._number((0, len(players) - 1))
        rng = np.random.default_rng(self._number((0, 2**32)))
        values = self.sample.values
        if drawn < len(bidders):
            bidder = bidders[drawn]
            true = truth.values[truth.requests_of(bidder)]
            yield Misreport.of(bidder, self._near(true.ravel(), values).reshape(true.shape))
            yield from tempting_misreports(rng, truth, bidder, *values)
            return
        agent = agents[drawn - len(bidders)]
        column = truth.costs[:, agent]
        costs, rooms = self.sample.private_costs, self.sample.private_capacities
        said = column if costs is None else self._near(column if self.sample.costs_per_pair else column[:1], costs)
        room = int(truth.capacities[agent])
        yield AgentMisreport(
            agent, tuple(np.broadcast_to(said, column.shape).tolist()), room if rooms is None else self._number(rooms)
        )
        bounds = costs or (int(column.min()), int(column.max()))
        yield from tempting_agent_misreports(rng, truth, agent, bounds, rooms or (room, room))

    def _near(self, true: np.ndarray[Any, np.dtype[np.int64]], bounds: tuple[int, int]) -> np.ndarray[Any, Any]:
        """Some entries told as they are, the others anything within the bounds."""
        kept = self.data.draw(self.strategies.lists(self.strategies.booleans(), min_size=true.size, max_size=true.size))
        return np.where(kept, true, self._numbers(true.size, bounds))

    def _numbers(self, count: int, bounds: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Uniform, which Hypothesis can but draw again, or number by number, which it can bend."""
        if self.data.draw(self.strategies.booleans()):
            return np.random.default_rng(self._number((0, 2**32))).integers(*bounds, count, endpoint=True)
        strategy = self.strategies.lists(self.strategies.integers(*bounds), min_size=count, max_size=count)
        return np.array(self.data.draw(strategy), np.int64)

    def _number(self, bounds: tuple[int, int]) -> int:
        return int(self.data.draw(self.strategies.integers(*bounds)))


def _hypothesis() -> ModuleType:
    try:
        hypothesis = importlib.import_module("hypothesis")
        importlib.import_module("hypothesis.strategies")
    except ImportError as error:
        raise AuditError("a guided search needs Hypothesis: install it, or search without guidance") from error
    return hypothesis
