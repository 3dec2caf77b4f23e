"""What a run came to, counted as it goes: nothing is kept of a request but a few numbers.

Welfare of a served request is true worth times the chance that the agent that answered is right (the expectation: less
noise than one drawn answer), minus delay cost times the seconds from arrival to the first token, minus the measured
cost. Where the first token comes after its bidder's deadline, what it is worth less delay counts as nothing, or as the
loss that it is, as `Preferences.value` has it. A declined request loses its delay cost until its bidder was told.
Answers that nobody can grade are not right: such requests count by delay and cost alone. A score also has the same
welfare with delays to the last token; decisions forecast first tokens, and deadlines are of them, however they are
judged.
"""

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import nan

import numpy as np

from allocation import MICROS
from experiments.errors import StudyError
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.traffic import Traffic, conversation_of
from runtime import Declined, Served
from runtime.rounds.records import RoundStatistics

#: Until when a bidder's delay may be counted.
DELAYS = ("first-token", "last-token")


@dataclass(frozen=True, slots=True)
class Score:
    """What a run came to; money in credits, times in seconds.

    `welfare`, `welfare_last` and `worth` are by conversation, in the traffic's order.
    """

    welfare: tuple[float, ...]
    #: Delay and cost of all requests: what is left of welfare where nothing can be graded.
    loss: float
    served: int
    declined: int
    hit_rate: float
    wait_median: float
    wait_p95: float
    cost: float
    latency_nmae: float
    contested: float
    charges: float
    surplus: float
    #: What bidders got by their true values, less charges.
    bidders_surplus: float
    #: Welfare with the delay counted to the last token.
    welfare_last: tuple[float, ...]
    decide_ms: float
    #: Credits that a right answer is worth to the conversation's bidder.
    worth: tuple[float, ...]
    #: Requests, served or declined, whose answers nobody can grade.
    ungraded: int
    #: Mean chance that a served, graded request was answered right.
    quality: float = nan
    wait_p99: float = nan
    #: Seconds from arrival to the last token.
    latency_median: float = nan
    latency_p95: float = nan
    latency_p99: float = nan
    cost_nmae: float = nan
    #: Share of served requests by agent, in the fleet's order.
    shares: tuple[float, ...] = ()
    #: How long the run took on the clock of its engines.
    seconds: float = nan

    @property
    def total(self) -> float:
        """Welfare of all conversations."""
        return sum(self.welfare)

    @property
    def loss_per_request(self) -> float:
        """Credits of delay and cost that a request came to, served or declined."""
        requests = self.served + self.declined
        return self.loss / requests if requests else nan

    def judged(self, delay: str) -> tuple[float, ...]:
        """Welfare by conversation, with delays counted to one of `DELAYS`.

        Raises:
            StudyError: it is none of them.
        """
        if delay not in DELAYS:
            raise StudyError(f"no delay {delay!r}; there are: {', '.join(DELAYS)}")
        return self.welfare if delay == "first-token" else self.welfare_last

    def as_dict(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self)


class Scoring:
    """Counts the ends of requests; call it with each.

    Args:
        load: the traffic.
        fleet: the agents.
        beginning: those of them with whom the router begins; all by default.
    """

    def __init__(
        self, load: Traffic, fleet: Sequence[SimulatedAgent], beginning: Sequence[SimulatedAgent] | None = None
    ) -> None:
        self._load = load
        self._place_of = {agent.name: k for k, agent in enumerate(fleet)}
        #: As the router numbers them.
        self._fleet = list(fleet if beginning is None else beginning)
        names = load.names
        self._place = {name: k for k, name in enumerate(names)}
        self._types = load.types
        self._owner = [load.bidder(name) for name in names]
        self._graded = [load.graded(name) for name in names]
        self._welfare, self._last = array("d", bytes(8 * len(names))), array("d", bytes(8 * len(names)))
        self._value = self._loss = self._quality = 0.0
        self._waits, self._latencies = array("d"), array("d")
        self._declined = self._ungraded = self._rated = 0
        self._prompt = self._cached = self._charges = self._receipts = self._costs = 0
        #: Absolute errors of what was foretold of latency and cost, and what these came to.
        self._missed_s = self._took_s = self._missed = self._dear = 0.0
        self._by_agent = [0] * len(fleet)

    def joined(self, agent: SimulatedAgent) -> None:
        """The router has one agent more, its last."""
        self._fleet.append(agent)

    def __call__(self, end: Served | Declined) -> None:
        """One request has ended."""
        name = conversation_of(end.request.id)
        at = self._place[name]
        true = self._types[end.request.bidder]
        self._ungraded += not self._graded[at]
        if isinstance(end, Declined):
            delay = true.delay_cost * end.waited_s
            self._welfare[at] -= delay
            self._last[at] -= delay
            self._value -= delay
            self._loss += delay
            self._declined += 1
            return
        chance = self._load.quality(self._fleet[end.agent], end.request.id)
        delay, cost = true.delay_cost * end.first_token_s, end.cost / MICROS
        value = true.worth * chance - delay
        value_last = true.worth * chance - true.delay_cost * end.latency_s
        if end.first_token_s > true.deadline:
            value, value_last = min(value, 0.0), min(value_last, 0.0)
        self._welfare[at] += value - cost
        self._last[at] += value_last - cost
        self._value += value
        self._loss += delay + cost
        # What is only taken to be right says nothing of quality.
        self._quality += chance * self._graded[at]
        self._rated += self._graded[at]
        self._waits.append(end.first_token_s)
        self._latencies.append(end.latency_s)
        self._prompt += end.completion.prompt_tokens
        self._cached += end.completion.cached_tokens
        self._charges += end.charge
        self._receipts += end.receipt
        self._costs += end.cost
        self._by_agent[self._place_of[self._fleet[end.agent].name]] += 1
        if end.predicted is not None:
            took = end.dispatched_s - end.decided_s + end.completion.first_token_s
            self._missed_s += abs(end.predicted.latency_s - took)
            self._took_s += took
            self._missed += abs(end.predicted.cost - cost)
            self._dear += cost

    def score(self, statistics: RoundStatistics, seconds: float = nan) -> Score:
        """What all came to."""
        served = len(self._waits)
        waits, latencies = np.array(self._waits), np.array(self._latencies)

        def at(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", quantile: float) -> float:
            return float(np.quantile(values, quantile)) if served else nan

        charges = self._charges / MICROS
        return Score(
            welfare=tuple(self._welfare.tolist()),
            loss=self._loss,
            served=served,
            declined=self._declined,
            hit_rate=self._cached / self._prompt if self._prompt else nan,
            wait_median=at(waits, 0.5),
            wait_p95=at(waits, 0.95),
            cost=self._costs / MICROS / served if served else nan,
            latency_nmae=self._missed_s / self._took_s if self._took_s else nan,
            contested=statistics.contested / statistics.decided if statistics.decided else nan,
            charges=charges,
            surplus=charges - self._receipts / MICROS,
            bidders_surplus=self._value - charges,
            welfare_last=tuple(self._last.tolist()),
            decide_ms=1000 * float(np.mean(statistics.decide_s)) if statistics.decide_s else nan,
            worth=tuple(self._types[owner].worth for owner in self._owner),
            ungraded=self._ungraded,
            quality=self._quality / self._rated if self._rated else nan,
            wait_p99=at(waits, 0.99),
            latency_median=at(latencies, 0.5),
            latency_p95=at(latencies, 0.95),
            latency_p99=at(latencies, 0.99),
            cost_nmae=self._missed / self._dear if self._dear else nan,
            shares=tuple(count / served for count in self._by_agent) if served else (),
            seconds=seconds,
        )
