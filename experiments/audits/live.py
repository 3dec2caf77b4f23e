"""Misreports in live rounds: what would a bidder of a running world have gained in this very round?

A policy serves a simulated world. In each round that is probed it is asked again, with one bidder reporting something
else, and both decisions are scored by a second forecaster that saw the same events and belongs to nobody: what the
policy believes, or adds to values, does not enter the score. The probe changes nothing that is served.
"""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.audits.finding import Case, PolicyFinding
from experiments.audits.play import Decided
from experiments.audits.reference import MICROS
from experiments.audits.words import credits_of, of_type
from experiments.data import Corpus, arrivals, load, locate
from experiments.worlds.fleets import simulated_fleet
from experiments.worlds.running.run import run_policy
from experiments.worlds.traffic.dialogues import dialogue_traffic
from mechanisms import DirectMechanism, Preferences, find_mechanism
from proofs import AuditError, Status
from runtime import (
    Agent,
    Arrived,
    Auction,
    Decision,
    Declined,
    Event,
    Fleet,
    Job,
    Ledger,
    Offer,
    Policy,
    RoundRules,
    running,
)
from runtime.engines.simulated.virtual_time import run
from runtime.policies.auction import Terms


@dataclass(frozen=True, slots=True)
class LiveReport:
    """What live rounds showed: one finding for the policy, and one for each mechanism that was put in its place.

    A finding is UNKNOWN where no misreport gained, since rounds were drawn. `rounds` were probed; in `contested` of
    them somebody paid for displacing somebody else. `utility` is the least of a truthful bidder, 0 if nobody lost.
    """

    findings: tuple[PolicyFinding, ...]
    rounds: int
    contested: int
    error: float
    utility: int

    @property
    def passed(self) -> bool:
        """False: misreports that were drawn establish nothing."""
        return False

    @property
    def refuted(self) -> tuple[PolicyFinding, ...]:
        """The finding of the policy itself, if a misreport gained."""
        return tuple(one for one in self.findings[:1] if one.status is Status.REFUTED)

    def to_json(self) -> str:
        """The report as a JSON object."""
        return json.dumps(
            {
                "rounds": self.rounds,
                "contested": self.contested,
                "prediction_error": self.error,
                "least_utility": self.utility,
                "findings": [one.as_dict() for one in self.findings],
            },
            indent=2,
        )

    def __getitem__(self, name: str) -> PolicyFinding:
        return next(one for one in self.findings if one.name == name)

    def __str__(self) -> str:
        share = self.contested / max(self.rounds, 1)
        lines = [
            f"{self.rounds:,} rounds probed, capacity binds in {share:.0%}; stated prediction error {self.error:.6f} "
            f"credits at most; least utility of a truthful bidder {credits_of(self.utility)}"
        ]
        for one in self.findings:
            lines.append(f"{one.name}: {one.verdict}, {one.cases:,} (round, bidder, misreport), {one.said}")
            if one.case is not None:
                lines.append(one.case.text)
        return "\n".join(lines)


def hurried(rng: np.random.Generator) -> Preferences:
    """Bidders who differ: worth and delay cost log-uniform, one in four with a deadline."""
    worth, delay = np.exp(rng.uniform(np.log([2, 0.05]), np.log([500, 30])))
    return Preferences(float(worth), float(delay), float(rng.uniform(5, 40)) if rng.random() < 0.25 else inf)


def probe_live(
    policy: Policy,
    *,
    beside: Mapping[str, DirectMechanism] | None = None,
    triples: int = 5000,
    rate: float = 5.0,
    slots: int = 2,
    bidders: int = 30,
    copies: int = 3,
    preferences: Callable[[np.random.Generator], Preferences] | None = None,
    seeds: Sequence[int] = range(100),
    corpora: Sequence[Corpus] | None = None,
) -> LiveReport:
    """Serve simulated worlds under high load, and probe rounds until so many misreports were tried.

    Args:
        policy: serves; its decisions count.
        beside: mechanisms that are asked the same rounds in place of the policy's own `mechanism`; default pay-as-bid.
        triples: (round, bidder, misreport) to try.
        rate: dialogues that begin a second.
        slots: requests that an agent serves at once.
        bidders: how many.
        copies: how often every dialogue is held, by other bidders and at other times.
        preferences: draws a bidder's type; default worth and delay cost log-uniform, one in four with a deadline.
        seeds: worlds, one after the other until `triples` are reached.
        corpora: dialogues; default those that ship.

    Raises:
        AuditError: `beside` is given for a policy without a `mechanism`.
    """
    others = {"pay-as-bid": find_mechanism("pay-as-bid")} if beside is None else dict(beside)
    if others and not hasattr(policy, "mechanism"):
        others = {}
        if beside:
            raise AuditError(f"{policy.name} has no `mechanism` to put another in place of; leave `beside` out")
    probe = _Probe(policy, others, triples)
    texts = [*(corpora or [load(locate("shipped"))])] * copies
    for seed in seeds:
        if probe.tried >= triples:
            break
        count = sum(len(one.dialogues) for one in texts)
        world = dialogue_traffic(
            texts,
            arrivals(count, rate_per_s=rate, think_time_s=1.0, seed=seed),
            bidders=bidders,
            preferences=preferences or hurried,
            max_tokens=48,
            seed=seed,
        )
        run(_serve(probe, world, seed, slots), virtual=True)
    return probe.report()


async def _serve(probe: "_Probe", world: Any, seed: int, slots: int) -> None:
    engines, prices = simulated_fleet(world)
    async with running(engines):
        with Ledger() as ledger:
            await run_policy(
                probe, world, engines, prices, seed=seed, rounds=RoundRules(slots=slots, depth=1), ledger=ledger
            )


class _Probe:
    """Serves as the policy inside does, and asks it more than it serves."""

    def __init__(self, policy: Policy, others: Mapping[str, DirectMechanism], triples: int) -> None:
        self.name, self._inner, self._triples = policy.name, policy, triples
        self._others = others
        self._rng = np.random.default_rng(0)
        self.tried = self._rounds = self._contested = 0
        self._error, self._least = 0.0, 0
        self._cases: dict[str, list[Case]] = {name: [] for name in (policy.name, *others)}
        self._counts = dict.fromkeys(self._cases, 0)
        self._gains = dict.fromkeys(self._cases, 0)

    def attach(self, agents: Sequence[Agent]) -> None:
        """Both start afresh."""
        self._inner.attach(agents)
        self._shadow = Auction(find_mechanism("vcg"), name="reference")
        self._shadow.attach(agents)
        self._notes: dict[str, object] = {}
        self._known: dict[int, tuple[object, object]] = {}

    def ready(self, fleet: Fleet) -> bool:
        """As inside."""
        return self._inner.ready(fleet)

    def notice(self, event: Event) -> None:
        """To both, each with the notes of its own."""
        self._inner.notice(event)
        if not isinstance(event, Arrived | Declined):
            event = replace(event, note=self._notes.get(event.offer.request.id))
        self._shadow.notice(event)

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """As inside; and see what misreports would have got."""
        decision = self._inner.decide(offers, fleet)
        seen = replace(fleet, jobs=tuple(tuple(self._seen(job) for job in line) for line in fleet.jobs))
        terms = self._shadow.terms(offers, seen)
        for i, agent in enumerate(decision.agents.tolist()):
            if agent >= 0:
                note = self._shadow.forecaster.note(terms.outlook, i, agent)
                self._notes[offers[i].request.id] = note
                if len(decision.notes) and decision.notes[i] is not None:
                    self._known[id(decision.notes[i])] = decision.notes[i], note
        names = list(dict.fromkeys(offer.request.bidder for offer in offers))
        if self.tried < self._triples and len(names) > 1:
            self._rounds += 1
            self._contested += bool(decision.displaced is not None and decision.displaced.any())
            lies = {name: _lies(offers, name, self._rng) for name in names}
            self.tried += sum(map(len, lies.values()))
            self._ask(self.name, self._inner, decision, offers, fleet, terms, lies)
            for name, mechanism in self._others.items():
                twin = copy.copy(self._inner)
                twin.mechanism = mechanism  # type: ignore[attr-defined]
                self._ask(name, twin, twin.decide(offers, fleet), offers, fleet, terms, lies)
        return decision

    def _seen(self, job: Job) -> Job:
        return Job(self._known.get(id(job.note), (None, None))[1], job.sent_s, job.first_token_s)

    def _ask(
        self,
        name: str,
        policy: Policy,
        honest: Decision,
        offers: Sequence[Offer],
        fleet: Fleet,
        terms: Terms,
        lies: Mapping[str, list[dict[int, Preferences]]],
    ) -> None:
        truth = self._scored(honest, offers, fleet, terms, honest=True)
        for bidder, reports in lies.items():
            told, error = _of(truth, offers, bidder)
            if name == self.name:
                self._least = min(self._least, told + error)
            for report in reports:
                said = [
                    replace(offer, preferences=report[i]) if i in report else offer for i, offer in enumerate(offers)
                ]
                lying = policy.decide(said, fleet)
                got, other = _of(self._scored(lying, offers, fleet, terms), offers, bidder)
                self._counts[name] += 1
                if got - told > error + other:
                    self._gains[name] += 1
                    text = _text(offers, bidder, report, honest, lying, told, got)
                    self._cases[name].append(Case(got - told, text, (len(offers), got - told), "a live round"))

    def _scored(
        self, decision: Decision, offers: Sequence[Offer], fleet: Fleet, terms: Terms, *, honest: bool = False
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(N,) micro-units of true utility at the reference, and how far the policy's predictions are from it."""
        decided, outlook = Decided.of(decision), terms.outlook
        utility, error = -decided.charges.copy(), np.ones(len(offers), np.int64)
        for i in np.flatnonzero(decided.agents >= 0).tolist():
            j, k, true = int(decided.agents[i]), int(decided.places[i]), offers[i].preferences
            columns = np.flatnonzero(terms.places.agents == j)
            latency = float(terms.latency[i, columns[min(k, len(columns) - 1)]])
            left = true.deadline - (fleet.now_s - offers[i].arrived_s)

            def worth(quality: float, seconds: float, true: Preferences = true, left: float = left) -> float:
                chance = float(self._shadow.forecaster.intervals.chance_within(seconds, left)) if left < inf else 1.0
                credits = true.worth * quality - true.delay_cost * seconds
                return true.stake + (chance * credits if credits > 0 else credits)

            value = worth(float(outlook.quality[i, j]), latency)
            utility[i] += round(value * MICROS)
            stated = decided.stated[i]
            if np.isfinite(stated[0]):
                apart = abs(worth(float(stated[2]), float(stated[0])) - value)
                self._error = max(self._error, apart if honest else 0.0)
                error[i] += int(np.ceil(apart * MICROS - 1e-3))
        return utility, error

    def report(self) -> LiveReport:
        """What was found."""
        findings = []
        for name, cases in self._cases.items():
            found = PolicyFinding.over(name, self._counts[name], 0.0, cases)
            # They were drawn, so that none gains proves nothing.
            status = found.status if cases else Status.UNKNOWN
            note = f"{self._gains[name]:,} gain beyond the stated prediction error"
            findings.append(replace(found, status=status, note=note))
        return LiveReport(tuple(findings), self._rounds, self._contested, self._error, self._least)


def _of(scored: tuple[Any, Any], offers: Sequence[Offer], bidder: str) -> tuple[int, int]:
    owned = [i for i, offer in enumerate(offers) if offer.request.bidder == bidder]
    return int(scored[0][owned].sum()), int(scored[1][owned].sum())


def _lies(offers: Sequence[Offer], bidder: str, rng: np.random.Generator) -> list[dict[int, Preferences]]:
    """Untrue worths, delay costs, deadlines and stakes, one by one and all at once, of every request of a bidder."""
    up, slow = float(np.exp(rng.normal(0, 1))), float(np.exp(rng.normal(0, 1.5)))
    soon = float(rng.uniform(1, 30))
    made = []
    # Factors of worth and delay cost, another deadline, a factor of the stake.
    for worth, delay, deadline, stake in (
        (up, 1, None, 1), (1 / up, 1, None, 1), (1, slow, None, 1), (1, 0, None, 1), (1, 1, soon, 1), (1, 1, inf, 1),
        (1, 1, None, 0), (1, 1, None, slow), (up, slow, soon, 2),
    ):  # fmt: skip
        report = {}
        for i, offer in enumerate(offers):
            true = offer.preferences
            if offer.request.bidder == bidder:
                report[i] = Preferences(
                    true.worth * worth,
                    true.delay_cost * delay,
                    true.deadline if deadline is None else deadline,
                    true.stake * stake,
                )
        if any(report[i] != offers[i].preferences for i in report):
            made.append(report)
    return made


def _text(
    offers: Sequence[Offer],
    bidder: str,
    report: Mapping[int, Preferences],
    honest: Decision,
    lying: Decision,
    told: int,
    got: int,
) -> str:
    lines = [f"  {bidder}, in a round of {len(offers)} requests:"]
    for i, said in report.items():
        lines.append(f"    {of_type(offers[i].preferences)}, reports {of_type(said)}")
        for title, one in (("truth", honest), ("misreport", lying)):
            charge = credits_of(int(one.charges[i]))
            lines.append(f"      {title}: agent {int(one.agents[i])}, pays {charge}")
    return "\n".join([*lines, f"    utility {credits_of(got)} instead of {credits_of(told)}"])
