"""`Auction`: one exact auction per round that prices the queue and the cache it leaves behind.

What is claimed: given the public state, no present report enters the terms that a bidder is judged by. A round is held
when the fleet allows, not when a report says so; forecasts, places and fees are computed before reports are read, once,
and kept in every counterfactual; each request is decided once: a place in an agent's line, or declined. So with an
exact allocator and VCG, reporting the truth is a dominant strategy of the round. Across rounds nothing is claimed: what
a bidder did before has moved queues, caches and what was learnt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from allocation import MICROS, UNSERVED, Market, to_micros
from mechanisms import DirectMechanism, Outcome
from mechanisms.positions import Positions
from mechanisms.rules.fees import WithFees
from runtime.errors import ServingError
from runtime.events import Decided, Declined, Event, Offer, Prediction
from runtime.policies.basis import Basis
from runtime.policies.fees import Others, TrafficMeter, against_unserved, congestion, future
from runtime.policies.forecast import DEAREST, Forecaster, Noted, Outlook
from runtime.policies.policy import Agent, Decision, Fleet, Job
from runtime.policies.refusals import refusals

Floats = NDArray[np.float64]

#: What can be left out by name.
TERMS = ("congestion", "continuation", "exploration", "gathering")

#: Places in an agent's line that a round of N requests on M agents may give: this many, or two shares of N.
_PLACES = 16


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What every bidder of a round faces, computed before any report is read.

    `latency` (N, C) is in seconds from now to the first token, by column of `places`, of which `start` (C,) pass before
    the request is computed; `fees` (N, M) in credits.
    """

    outlook: Outlook
    places: Positions
    start: Floats
    latency: Floats
    fees: Floats


#: Times the others' median delay cost, beyond which a bidder's own adds nothing to what later ones are charged.
_LOUDEST = 30.0
#: A prompt that takes so many times what was forecast, and so many seconds, is not waited for.
_OVERDUE, _OVERDUE_S = 3.0, 0.1


class Auction:
    """The far-sighted auction: VCG on costs plus fees over places in lines (an affine maximiser).

    Args:
        mechanism: decides and charges; the very object that was audited.
        forecaster: makes what it knows of requests on agents.
        name: what reports call the policy.
        without: names of `TERMS` to leave out, for ablations.
        budget: credits that exploration may cost the auctioneer in all: on predictions, the only deficit there can be;
            none by default, for what it found in our worlds was worth no more than it cost.

    | term | credits, per request i and agent j | reads |
    |---|---|---|
    | congestion | s_ij * flow_j * (B_j + s_ij / 2), what later arrivals wait (`congestion`) | others' past reports |
    | continuation | what the conversation's future loses at j (`future`) | others' past reports, caches |
    | exploration | less half a deviation of doubt about j, at the others' median worth | others' past reports, grades |
    | gathering | none: a round waits until some agent has no prompt to compute | the fleet alone |

    Fees are measured against declining (`fees.against_unserved`) and are never negative but for exploration. A bidder
    with several requests in a round is one player.

    Raises:
        ServingError: an unknown term, or a negative budget.
    """

    def __init__(
        self,
        mechanism: DirectMechanism,
        forecaster: Callable[[], Forecaster] = Forecaster,
        name: str = "iemas",
        *,
        without: Sequence[str] = (),
        budget: float = 0.0,
    ) -> None:
        unknown = set(without) - set(TERMS)
        if unknown:
            raise ServingError(f"no term {', '.join(sorted(unknown))}; there are: {', '.join(TERMS)}")
        if not budget >= 0:
            raise ServingError(f"budget = {budget!r}; expected credits >= 0")
        self.name, self.mechanism = name, mechanism
        self.without, self.budget = frozenset(without), budget
        self._make_forecaster = forecaster

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start with empty caches and nothing learnt."""
        self.forecaster = self._make_forecaster()
        self.forecaster.attach(agents)
        self._others = Others()
        self._traffic = TrafficMeter(len(agents))
        self.spent = 0.0

    def join(self, agent: Agent) -> None:
        """One agent more, the last; all that was learnt is kept.

        Raises:
            ServingError: a part of the forecast takes no agent more.
        """
        if not hasattr(self.forecaster, "join"):
            raise ServingError(f"{type(self.forecaster).__name__} takes no agent more while it serves")
        self.forecaster.join(agent)
        self._traffic.join()

    def ready(self, fleet: Fleet) -> bool:
        """Whether some agent that is up has no prompt left to compute, or none but what takes far too long."""
        return "gathering" in self.without or any(
            alive and not any(job.computing and not _overdue(job, fleet.now_s) for job in jobs)
            for alive, jobs in zip(fleet.alive, fleet.jobs, strict=True)
        )

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Run the mechanism on the market of places."""
        terms = self.terms(offers, fleet)
        if not terms.places.agents.size:
            nobody = np.full(len(offers), UNSERVED)
            return Decision(nobody, np.zeros(len(offers), np.int64), notes=[None] * len(offers))
        basis = self._basis(offers, fleet, terms)
        assert basis.fees is not None
        fees = basis.fees[:, basis.columns]
        market = self._market(offers, basis)
        return self._decision(offers, terms, WithFees(self.mechanism, fees).run(market), fees, basis)

    def terms(self, offers: Sequence[Offer], fleet: Fleet) -> Terms:
        """Forecasts, places and fees of a round. Reads no preferences of `offers`."""
        outlook = self.forecaster.look(offers, fleet)
        n, m = outlook.service.shape
        able = np.add.reduce(outlook.possible, axis=0, dtype=np.int64)
        seconds = np.add.reduce(np.where(outlook.possible, outlook.service, 0.0), axis=0)
        mean = seconds / np.maximum(able, 1)
        places = Positions.of(np.minimum(able, max(_PLACES, -(-2 * n // m))))
        agents, ranks = places.agents, places.ranks
        start = np.maximum(outlook.start[agents] + ranks * mean[agents], outlook.slot_wait(agents, ranks))
        return Terms(outlook, places, start, start + outlook.service[:, agents], self._fees(offers, fleet, outlook))

    def notice(self, event: Event) -> None:
        """Learn. Reports become known to later rounds once their own has decided."""
        self.forecaster.notice(event)
        if isinstance(event, (Decided, Declined)):
            self._others.learn(event.offer.request.bidder, event.offer.preferences)
        if isinstance(event, Decided) and isinstance(event.note, Noted):
            note, offer = event.note, event.offer
            fresh, delay_cost = note.prompt - note.cached, offer.preferences.delay_cost
            # One bidder's claims must not price all others out: they count up to many times what others report.
            typical = self._others.typical_without(offer.request.bidder)[1]
            felt = min(delay_cost, _LOUDEST * typical) if typical else delay_cost
            self._traffic.arrived(event.agent, offer.request.bidder, felt, offer.turn, fresh, event.at_s)
            if event.predicted is not None:
                self.spent += max(event.predicted.cost - event.charge / MICROS, 0.0)

    def _basis(self, offers: Sequence[Offer], fleet: Fleet, terms: Terms) -> Basis:
        """What the market is made of. Of reports it reads the deadline alone: the odds of keeping it are in here.

        Time that has passed is lost whatever is decided, so it enters the deadline alone.
        """
        outlook = terms.outlook
        chances = {
            i: self.forecaster.intervals.chance_within(terms.latency[i], left)
            for i, offer in enumerate(offers)
            if isfinite(left := offer.preferences.deadline - (fleet.now_s - offer.arrived_s))
        }
        return Basis(
            terms.places.agents,
            outlook.quality,
            outlook.service,
            terms.start,
            to_micros(outlook.cost, name="cost"),
            to_micros(terms.fees, name="fee"),
            outlook.possible,
            chances,
        )

    def _market(self, offers: Sequence[Offer], basis: Basis) -> Market:
        """Values of places as bidders report them; the only place where reports are read.

        A value is expected: the chance to be on time, times worth of a right answer less the delay from now on. An
        answer that is a loss on time is the same loss when it is late: a later place is never worth more, as the order
        in a line requires.
        """
        reports = [offer.preferences for offer in offers]
        worth, delay, stake = np.array([(one.worth, one.delay_cost, one.stake) for one in reports]).T
        players = {name: k for k, name in enumerate(dict.fromkeys(offer.request.bidder for offer in offers))}
        return Market(
            basis.values(worth, delay, stake),
            basis.costs[:, basis.columns],
            np.ones(basis.columns.size, np.int64),
            feasible=basis.possible[:, basis.columns],
            bidders=np.array([players[offer.request.bidder] for offer in offers]),
        )

    def _fees(self, offers: Sequence[Offer], fleet: Fleet, outlook: Outlook) -> Floats:
        bidders = [offer.request.bidder for offer in offers]
        typical = np.array([self._others.typical_without(bidder) for bidder in bidders])
        loss = np.zeros(outlook.service.shape)
        if "congestion" not in self.without:
            loss = congestion(outlook, self._traffic.delay_flows(fleet.now_s, bidders))
        if "continuation" not in self.without:
            loss = loss - future(outlook, self._traffic.read(), typical, self.forecaster)
        fees = against_unserved(loss, outlook.possible)
        if "exploration" not in self.without and self.budget > self.spent:
            doubt = typical[:, :1] * self.forecaster.quality.doubt() / 2
            fees = fees - np.minimum(doubt, (self.budget - self.spent) / len(offers))
            # Nobody is paid to be served.
            fees = np.maximum(fees, -outlook.cost)
        # Forecasts have no bound and money has: a fee is as high as what serving may cost, and the round goes on.
        bounded: Floats = np.minimum(fees, DEAREST)
        return bounded

    def _decision(
        self, offers: Sequence[Offer], terms: Terms, outcome: Outcome, fees: NDArray[np.int64], basis: Basis
    ) -> Decision:
        columns = outcome.allocation.agents
        agents = terms.places.agent_of(columns)
        ranks = _without_gaps(agents, terms.places.rank_of(columns))
        chosen = agents.tolist()
        predicted: list[Prediction | None] = [None] * len(offers)
        notes: list[object] = [None] * len(offers)
        displaced = np.zeros(len(offers), bool)
        for i, j in enumerate(chosen):
            if j == UNSERVED:
                continue
            column = int(columns[i])
            # Its place once nobody stands behind an empty one.
            place = int(np.searchsorted(terms.places.agents, j)) + int(ranks[i])
            cost, quality = float(terms.outlook.cost[i, j]), float(terms.outlook.quality[i, j])
            predicted[i] = Prediction(float(terms.latency[i, place]), cost, quality)
            notes[i] = self.forecaster.note(terms.outlook, i, j)
            asked = outcome.reported.costs[i, column] + fees[i, column]
            displaced[i] = outcome.payments.charges[i] > asked
        return Decision(
            agents,
            outcome.payments.charges,
            predicted,
            outcome,
            positions=ranks,
            notes=notes,
            displaced=displaced,
            refusals=refusals(offers, agents, terms, outcome.reported, fees),
            basis=basis,
        )


def _without_gaps(agents: NDArray[np.int64], ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places that requests really have in each agent's line, in the same order.

    Who does not care when they are served may be matched to a place behind an empty one. Nobody stands there, and an
    empty place costs nothing, so moving up changes no charge.
    """
    closed = ranks.copy()
    if agents.size == 1:
        closed[:] = 0
        return closed
    for j in set(agents[agents != UNSERVED].tolist()):
        members = np.flatnonzero(agents == j)
        closed[members[np.argsort(ranks[members], kind="stable")]] = np.arange(members.size)
    return closed


def _overdue(job: Job, now_s: float) -> bool:
    """Whether its first token should have come long ago: who waits for an engine that hangs waits for ever."""
    if job.sent_s is None or not isinstance(job.note, Noted):
        return False
    return now_s - job.sent_s > _OVERDUE_S + _OVERDUE * job.note.service_s
