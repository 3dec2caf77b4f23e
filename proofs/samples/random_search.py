"""`Search`: random markets and cunning misreports, for mechanisms beyond any grid. It refutes, or it does not know."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from allocation import Market
from mechanisms import DirectMechanism, Outcome
from proofs.claims.property import (
    Attempting,
    DeviationProperty,
    ExpectedProperty,
    OutcomeProperty,
    Property,
    RegretProperty,
)
from proofs.errors import AuditError
from proofs.evidence.counterexample import Answer, Counterexample
from proofs.evidence.engine import Progress
from proofs.evidence.finding import Finding, Status
from proofs.grids.table import unstable
from proofs.misreports.coalition import tempting_agent_misreports
from proofs.misreports.misreport import Deviation, tempting_misreports
from proofs.scopes.grid import Sample, Scope
from proofs.scopes.served import Served
from proofs.subject.subject import outcome_of

#: Of the markets that are drawn, each one in so many is asked a second time.
RERUN_EVERY = 10


@dataclass(slots=True)
class _Candidate:
    """One property under search: cases and seconds spent so far, and the first violation, which ends the search."""

    prop: Property
    cases: int = 0
    seconds: float = 0.0
    caught: Counterexample | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """The engine of `Sample`, and of `Served`.

    Args:
        deviators: bidders, and agents where a claim is about them, drawn anew in each market, that try to misreport.
        reruns: how many of the first markets are asked twice, and then each tenth, to catch mechanisms that are not
            deterministic.
    """

    deviators: int = 3
    reruns: int = 8

    def accepts(self, prop: Property, scope: Scope) -> bool:
        """All properties of outcomes and of misreports, over samples; others where they say which deviations to try."""
        if isinstance(prop, ExpectedProperty):
            return isinstance(scope, Sample | Served) and isinstance(prop, Attempting)
        return isinstance(scope, Sample | Served) and isinstance(prop, OutcomeProperty | DeviationProperty)

    def examine(
        self, mechanism: DirectMechanism, scope: Scope, properties: Sequence[Property], progress: Progress
    ) -> list[Finding]:
        """One finding per property, REFUTED or UNKNOWN; a property is left alone once refuted.

        Raises:
            AuditError: the mechanism misbehaves, or answers the same market differently twice.
        """
        if not isinstance(scope, Sample | Served):
            raise AuditError(f"{type(scope).__name__} cannot be sampled; give a Sample")
        candidates = [_Candidate(prop) for prop in properties]
        for draw in range(scope.draws):
            if all(candidate.caught for candidate in candidates):
                break
            truth = scope.market(draw)
            honest = outcome_of(mechanism, truth)
            if (draw < self.reruns or draw % RERUN_EVERY == 0) and Answer.of(outcome_of(mechanism, truth)) != Answer.of(
                honest
            ):
                raise unstable(mechanism, truth)
            for candidate in candidates:
                if candidate.caught is None:
                    started = perf_counter()
                    self._pursue(candidate, mechanism, scope, draw, truth, honest)
                    candidate.seconds += perf_counter() - started
            progress(draw + 1, scope.draws)
        progress(scope.draws, scope.draws)
        return [sampled(one.prop, scope, one.cases, one.seconds, one.caught) for one in candidates]

    def _pursue(
        self,
        candidate: _Candidate,
        mechanism: DirectMechanism,
        sample: Sample | Served,
        draw: int,
        truth: Market,
        honest: Outcome,
    ) -> None:
        prop = candidate.prop
        if isinstance(prop, DeviationProperty):
            rng = np.random.default_rng([sample.seed, draw, 1])
            for misreport in self._attempts(prop, rng, truth, sample):
                deviating = outcome_of(mechanism, misreport.applied(truth))
                found = prop.compare(truth, misreport, honest, deviating)
                candidate.cases += 1
                if found is not None:
                    candidate.caught = Counterexample.from_violation(prop, truth, misreport, found, honest, deviating)
                    return
        elif isinstance(prop, ExpectedProperty):
            rng = np.random.default_rng([sample.seed, draw, 1])
            for misreport in self._attempts(prop, rng, truth, sample):
                candidate.cases += 1
                candidate.caught = Counterexample.of(prop, mechanism, truth, misreport)
                if candidate.caught is not None:
                    return
        elif isinstance(prop, OutcomeProperty):
            found = prop.check(honest, truth)
            candidate.cases += 1
            if found is not None:
                candidate.caught = Counterexample.from_violation(prop, truth, None, found, honest, None)

    def _attempts(
        self, prop: Property, rng: np.random.Generator, truth: Market, sample: Sample | Served
    ) -> Iterator[Deviation]:
        costs = sample.private_costs or (int(truth.costs.min()), int(truth.costs.max()))
        capacities = sample.private_capacities or (0, int(truth.capacities.max()))
        if isinstance(prop, Attempting):
            yield from prop.attempts(rng, truth, (sample.values, costs, capacities))
            return
        players = prop.players(sample) if isinstance(prop, RegretProperty) else range(sample.bidders)
        bidders, agents = sides(truth, players, sample.bidders)
        for place in rng.permutation(len(bidders))[: self.deviators].tolist() if bidders else ():
            yield from tempting_misreports(rng, truth, bidders[place], *sample.values)
        for place in rng.permutation(len(agents))[: self.deviators].tolist() if agents else ():
            yield from tempting_agent_misreports(rng, truth, agents[place], costs, capacities)


def sides(truth: Market, players: Sequence[int], most: int) -> tuple[list[int], list[int]]:
    """The bidders, in order of first request, and the agents of a market among the players of its scope.

    Args:
        most: bidders of the scope: player p < `most` is the p-th bidder of the market, if it has so many, whatever that
            bidder's number; player `most` + j is agent j.
    """
    numbered = sorted(truth.players)
    meant = {numbered[player] for player in players if player < min(most, len(numbered))}
    agents = [player - most for player in players if 0 <= player - most < truth.shape[1]]
    return [bidder for bidder in truth.players if bidder in meant], agents


def sampled(
    prop: Property, sample: Sample | Served, cases: int, seconds: float, caught: Counterexample | None, how: str = ""
) -> Finding:
    """What a search says: REFUTED by what it caught, or UNKNOWN."""
    if caught is not None:
        return Finding(prop, Status.REFUTED, sample, cases, seconds, caught.amount, caught, how)
    note = "no violation among the cases tried; that proves nothing beyond them"
    return Finding(prop, Status.UNKNOWN, sample, cases, seconds, note=f"{how}: {note}" if how else note)
