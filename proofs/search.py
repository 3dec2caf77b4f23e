"""`Search`: random markets and cunning lies, for mechanisms beyond any grid. It refutes, or it does not know."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from allocation import Market
from mechanisms import DirectMechanism, Outcome
from proofs.counterexample import Answer, Counterexample
from proofs.engine import Progress
from proofs.errors import AuditError
from proofs.finding import Finding, Status
from proofs.lies import Deviation, misreports
from proofs.properties import Attempting, DeviationProperty, ExpectedProperty, OutcomeProperty, Property
from proofs.scope import Sample, Scope
from proofs.subject import outcome_of
from proofs.table import unstable


@dataclass(slots=True)
class _Hunt:
    """One property being hunted down: cases and seconds spent so far, and the first violation, which ends the hunt."""

    prop: Property
    cases: int = 0
    seconds: float = 0.0
    caught: Counterexample | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """The engine of `Sample`.

    Args:
        liars: bidders, drawn anew in each market, that try to lie.
        reruns: how many markets are asked twice, to catch mechanisms that are not deterministic.
    """

    liars: int = 3
    reruns: int = 8

    def accepts(self, prop: Property, scope: Scope) -> bool:
        """All properties of outcomes and of lies, over samples; others where they say which deviations to try."""
        if isinstance(prop, ExpectedProperty):
            return isinstance(scope, Sample) and isinstance(prop, Attempting)
        return isinstance(scope, Sample) and isinstance(prop, OutcomeProperty | DeviationProperty)

    def examine(
        self, mechanism: DirectMechanism, scope: Scope, properties: Sequence[Property], progress: Progress
    ) -> list[Finding]:
        """One finding per property, REFUTED or UNKNOWN; a property is left alone once refuted.

        Raises:
            AuditError: the mechanism misbehaves, or answers the same market differently twice.
        """
        if not isinstance(scope, Sample):
            raise AuditError(f"{type(scope).__name__} cannot be sampled; give a Sample")
        hunts = [_Hunt(prop) for prop in properties]
        for draw in range(scope.draws):
            if all(hunt.caught for hunt in hunts):
                break
            truth = scope.market(draw)
            honest = outcome_of(mechanism, truth)
            if draw < self.reruns and Answer.of(outcome_of(mechanism, truth)) != Answer.of(honest):
                raise unstable(mechanism, truth)
            for hunt in hunts:
                if hunt.caught is None:
                    started = perf_counter()
                    self._pursue(hunt, mechanism, scope, draw, truth, honest)
                    hunt.seconds += perf_counter() - started
            progress(draw + 1, scope.draws)
        progress(scope.draws, scope.draws)
        return [_finding(hunt, scope) for hunt in hunts]

    def _pursue(
        self, hunt: _Hunt, mechanism: DirectMechanism, sample: Sample, draw: int, truth: Market, honest: Outcome
    ) -> None:
        prop = hunt.prop
        if isinstance(prop, DeviationProperty):
            rng = np.random.default_rng([sample.seed, draw, 1])
            for lie in self._attempts(prop, rng, truth, sample):
                lying = outcome_of(mechanism, lie.applied(truth))
                found = prop.compare(truth, lie, honest, lying)
                hunt.cases += 1
                if found is not None:
                    hunt.caught = Counterexample.told(prop, truth, lie, found, honest, lying)
                    return
        elif isinstance(prop, ExpectedProperty):
            rng = np.random.default_rng([sample.seed, draw, 1])
            for lie in self._attempts(prop, rng, truth, sample):
                hunt.cases += 1
                hunt.caught = Counterexample.of(prop, mechanism, truth, lie)
                if hunt.caught is not None:
                    return
        elif isinstance(prop, OutcomeProperty):
            found = prop.check(honest, truth)
            hunt.cases += 1
            if found is not None:
                hunt.caught = Counterexample.told(prop, truth, None, found, honest, None)

    def _attempts(self, prop: Property, rng: np.random.Generator, truth: Market, sample: Sample) -> Iterator[Deviation]:
        if isinstance(prop, Attempting):
            costs = sample.private_costs or (int(truth.costs.min()), int(truth.costs.max()))
            capacities = sample.private_capacities or (0, int(truth.capacities.max()))
            yield from prop.attempts(rng, truth, (sample.values, costs, capacities))
            return
        for liar in rng.permutation(len(truth.players))[: self.liars].tolist():
            yield from misreports(rng, truth, truth.players[liar], *sample.values)


def _finding(hunt: _Hunt, sample: Sample) -> Finding:
    if hunt.caught is None:
        note = "no violation among the cases tried; that proves nothing beyond them"
        return Finding(hunt.prop, Status.UNKNOWN, sample, hunt.cases, hunt.seconds, note=note)
    return Finding(
        hunt.prop,
        Status.REFUTED,
        sample,
        hunt.cases,
        hunt.seconds,
        worst=hunt.caught.amount,
        counterexample=hunt.caught,
    )
