"""`Auction`: one exact auction per round that prices the queue and the cache it leaves behind.

What is claimed: given the public state, no present report enters the terms that a bidder is judged by. A round is held
when the fleet allows, not when a report says so; forecasts and fees are computed before reports are read, once, and
kept in every counterfactual; each request is decided once: a place in an agent's line, or declined. So with an exact
allocator and VCG, reporting the truth is a dominant strategy of the round. Across rounds nothing is claimed: what a
bidder did before moved queues, caches and what was learnt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allocation import MAX_AMOUNT, MICROS, UNSERVED, Market, to_micros
from mechanisms import DirectMechanism, Outcome
from mechanisms.positions import Positions
from mechanisms.rules.fees import WithFees
from runtime.events import Decided, Declined, Event, Offer, Prediction
from runtime.policies.fees import Others, TrafficMeter, against_unserved, congestion, future, price_table
from runtime.policies.forecast import Forecaster, Noted, Outlook
from runtime.policies.policy import Agent, Decision, Fleet

Floats = NDArray[np.float64]

#: Fees by the name under which each can be left out.
TERMS = ("congestion", "continuation", "exploration")


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What every bidder of a round faces, in credits and seconds, computed before any report is read.

    `wait` (C,) is how much longer column c waits than the first place of its agent; `fees` (N, M).
    """

    outlook: Outlook
    places: Positions
    wait: Floats
    fees: Floats


class Auction:
    """The far-sighted auction: VCG on costs plus fees over positions (an affine maximiser).

    Args:
        mechanism: decides and charges; the very object that was audited.
        forecaster: what it knows of requests on agents; default a fresh one.
        name: what reports call the policy.
        without: names of `TERMS` to leave out, for ablations.
        budget: credits that exploration may cost the auctioneer in all, the only deficit there can be.
        gather: whether to gather requests while every agent has a prompt to compute.

    A bidder with several requests in a round is one player.
    """

    def __init__(
        self,
        mechanism: DirectMechanism,
        forecaster: Callable[[], Forecaster] = Forecaster,
        name: str = "iemas",
        *,
        without: Sequence[str] = (),
        budget: float = 100.0,
        gather: bool = True,
        share: float = 1.0,
    ) -> None:
        self.name, self.mechanism = name, mechanism
        self.without, self.budget, self.gather = tuple(without), budget, gather
        self.share = share
        self._make_forecaster = forecaster

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start with empty caches and nothing learnt."""
        self.forecaster = self._make_forecaster()
        self.forecaster.attach(agents)
        self._prices = price_table(agents)
        self._others = Others()
        self._traffic = TrafficMeter(len(agents))
        self._spent = 0.0

    def ready(self, fleet: Fleet) -> bool:
        """Whether some agent that is up has no prompt left to compute; always, unless it gathers."""
        if not self.gather:
            return True
        return any(
            alive and all(job.first_token_s is not None for job in jobs)
            for alive, jobs in zip(fleet.alive, fleet.jobs, strict=True)
        )

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Run the mechanism on the market of places."""
        terms = self.terms(offers, fleet)
        market = self._market(offers, fleet, terms)
        fees = to_micros(terms.fees[:, terms.places.agents], name="fee")
        outcome = WithFees(self.mechanism, fees).run(market)
        return self._decision(offers, terms, outcome, fees)

    def terms(self, offers: Sequence[Offer], fleet: Fleet) -> Terms:
        """Forecasts, places and fees of a round. Reads no preferences of `offers`."""
        outlook = self.forecaster.look(offers, fleet)
        n, m = outlook.service.shape
        count = outlook.possible.sum(axis=0)
        mean = np.where(outlook.possible, outlook.service, 0.0).sum(axis=0) / np.maximum(count, 1)
        places = Positions.of(np.minimum(count, max(16, -(-3 * n // m))))
        wait = places.ranks * mean[places.agents] + self._slot_wait(fleet, places)
        return Terms(outlook, places, wait, self._fees(offers, fleet, outlook))

    def notice(self, event: Event) -> None:
        """Learn."""
        self.forecaster.notice(event)
        if isinstance(event, Decided | Declined):
            self._others.learn(event.offer.request.bidder, event.offer.preferences)
        if isinstance(event, Decided) and isinstance(event.note, Noted):
            fresh = event.note.prompt - event.note.cached
            bidder, delay_cost = event.offer.request.bidder, event.offer.preferences.delay_cost
            turn = event.offer.turn
            self._traffic.arrived(event.agent, bidder, delay_cost, event.note.service_s, turn, fresh, event.at_s)
            cost = 0.0 if event.predicted is None else event.predicted.cost
            self._spent += max(cost - event.charge / MICROS, 0.0)

    def _market(self, offers: Sequence[Offer], fleet: Fleet, terms: Terms) -> Market:
        """Values of places as bidders report them; the only place where reports are read."""
        outlook, agents = terms.outlook, terms.places.agents
        latency = outlook.latency[:, agents] + terms.wait
        waited = np.array([fleet.now_s - offer.arrived_s for offer in offers])
        worth, delay, deadline = np.array(
            [(one.preferences.worth, one.preferences.delay_cost, one.preferences.deadline) for one in offers]
        ).T
        on_time = np.ones_like(latency)
        for i in np.flatnonzero(np.isfinite(deadline)):
            on_time[i] = self.forecaster.intervals.chance_within(latency[i], float(deadline[i] - waited[i]))
        values = on_time * (worth[:, None] * outlook.quality[:, agents] - delay[:, None] * latency)
        limit = MAX_AMOUNT / MICROS
        players = {name: k for k, name in enumerate(dict.fromkeys(offer.request.bidder for offer in offers))}
        return Market(
            to_micros(np.clip(values, -limit, limit), name="value"),
            to_micros(outlook.cost, name="cost")[:, agents],
            np.ones(agents.size, np.int64),
            feasible=outlook.possible[:, agents],
            bidders=np.array([players[offer.request.bidder] for offer in offers]),
        )

    def _fees(self, offers: Sequence[Offer], fleet: Fleet, outlook: Outlook) -> Floats:
        typical = np.array([self._others.mean_without(offer.request.bidder) for offer in offers])
        worths, delays = typical.T
        traffic = self._traffic.read(fleet.now_s)
        loss, unserved = np.zeros(outlook.service.shape), np.zeros(len(offers))
        if "congestion" not in self.without:
            flows = [self._traffic.delay_flow(fleet.now_s, offer.request.bidder) for offer in offers]
            loss = self.share * congestion(outlook, traffic, np.array(flows))
        if "continuation" not in self.without:
            speeds = self.forecaster.queue.base_seconds(), self.forecaster.queue.seconds_per_token()
            served, declined = future(outlook, traffic, worths, delays, speeds, self._prices)
            loss, unserved = loss - served, unserved - declined
        fees = against_unserved(loss, unserved, outlook.possible)
        if "exploration" not in self.without:
            fees -= self._discount(worths)
        return fees

    def _discount(self, worths: Floats) -> Floats:
        """(N, M) credits: half a deviation of doubt about an agent, at the others' mean worth, as the budget lasts."""
        left = max(self.budget - self._spent, 0.0)
        discount: Floats = np.minimum(0.5 * worths[:, None] * self.forecaster.quality.doubt(), left)
        return discount

    def _slot_wait(self, fleet: Fleet, places: Positions) -> Floats:
        """(C,) seconds until an agent that serves all it may has a slot for this place."""
        return np.zeros(places.agents.size)

    def _decision(self, offers: Sequence[Offer], terms: Terms, outcome: Outcome, fees: NDArray[np.int64]) -> Decision:
        columns = outcome.allocation.agents
        agents, ranks = terms.places.agent_of(columns), terms.places.rank_of(columns)
        predicted: list[Prediction | None] = [None] * len(offers)
        notes: list[object] = [None] * len(offers)
        for i in map(int, np.flatnonzero(agents != UNSERVED)):
            j, column = int(agents[i]), int(columns[i])
            latency = float(terms.outlook.latency[i, j] + terms.wait[column])
            predicted[i] = Prediction(latency, float(terms.outlook.cost[i, j]), float(terms.outlook.quality[i, j]))
            notes[i] = self.forecaster.note(terms.outlook, offers[i], i, j)
        served = np.flatnonzero(agents != UNSERVED)
        displaced = np.zeros(len(offers), bool)
        asked = outcome.reported.costs + fees
        displaced[served] = outcome.payments.charges[served] > asked[served, columns[served]]
        return Decision(
            agents, outcome.payments.charges, predicted, outcome, positions=ranks, notes=notes, displaced=displaced
        )
