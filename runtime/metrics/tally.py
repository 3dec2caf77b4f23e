"""`Tally`: what the events of a gateway add up to.

    tally = Tally([("small", "smollm2-135m"), ("big", "qwen2.5")])
    serving = Serving(fleet, engines, policy, subscribers=[tally])
    tally.observe(serving.house.alive, lambda: [router.statistics for router in serving.house.routers])

An event costs a dictionary's look-up and a few additions; what is read is put together when it is asked for. Everything
runs on the event loop's thread, so that nothing is locked.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from runtime.events import (
    Abandoned,
    Arrived,
    Decided,
    Declined,
    Dispatched,
    Event,
    Failed,
    Served,
)
from runtime.metrics.histogram import DECIDE_S, FIRST_TOKEN_S, LATENCY_S, Histogram
from runtime.rounds.records import RoundStatistics

#: Served requests and rounds that are remembered singly.
_RECENT = 256


class RecentServed(NamedTuple):
    """One served request of late; money in micro-units, `predicted_s` None where nothing was predicted or seen."""

    at_s: float
    agent: int
    charge: int
    first_token_s: float
    predicted_s: float | None
    measured_s: float


class RecentRound:
    """One round of late that gave requests to agents, and what they are charged, in micro-units."""

    __slots__ = ("at_s", "charge", "matches", "number")

    def __init__(self, number: int, at_s: float) -> None:
        self.number, self.at_s, self.matches, self.charge = number, at_s, 0, 0


class AgentTally:
    """What one agent's requests add up to; money in micro-units.

    Sums of `predicted_*`, `measured_*` and `error_*` are over the same requests: of which something was foretold.
    """

    __slots__ = (
        "abandoned",
        "cached",
        "charges",
        "costs",
        "decided",
        "error_cached",
        "error_costs",
        "error_latency_s",
        "failed",
        "first_token_s",
        "in_line",
        "latency_s",
        "measured_cached",
        "measured_costs",
        "measured_latency_s",
        "output",
        "predicted_cached",
        "predicted_costs",
        "predicted_latency_s",
        "prompt",
        "queue_s",
        "reasons",
        "receipts",
        "retried",
        "running",
        "served",
    )  # fmt: skip

    def __init__(self) -> None:
        self.decided = self.served = self.abandoned = self.failed = self.retried = 0
        self.in_line = self.running = 0
        self.prompt = self.cached = self.output = 0
        self.charges = self.costs = self.receipts = 0
        self.predicted_latency_s = self.measured_latency_s = self.error_latency_s = 0.0
        self.predicted_costs = self.measured_costs = self.error_costs = 0.0
        self.predicted_cached = self.measured_cached = self.error_cached = 0
        self.reasons: dict[str, int] = {}
        self.first_token_s, self.latency_s = Histogram(FIRST_TOKEN_S), Histogram(LATENCY_S)
        self.queue_s = Histogram(FIRST_TOKEN_S)


class Tally:
    """Subscribes to a gateway's events and adds them up.

    Args:
        agents: name and model of each agent, in the fleet's order.
    """

    def __init__(self, agents: Sequence[tuple[str, str]]) -> None:
        self.names = list(agents)
        self.agents = [AgentTally() for _ in agents]
        self.arrived = 0
        #: Failed before any agent had them.
        self.failed_unplaced = 0
        self.declined: dict[str, int] = {"too_low": 0, "late": 0, "no_room": 0}
        #: Requests by who stated their worth.
        self.stated: dict[str, int] = dict.fromkeys(("body", "header", "service_tier", "key", "operator"), 0)
        self.decide_s = Histogram(DECIDE_S)
        self.recent: deque[RecentServed] = deque(maxlen=_RECENT)
        self.recent_rounds: deque[RecentRound] = deque(maxlen=_RECENT)
        self._waiting: set[str] = set()
        self._line: dict[str, int] = {}
        self._running: dict[str, int] = {}
        self._alive: Callable[[], Sequence[bool]] = lambda: [False] * len(self.agents)
        self._rounds: Callable[[], Sequence[RoundStatistics]] = tuple
        self._roster: Callable[[], Sequence[tuple[str, str]]] = tuple
        self._read: list[int] = []
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            Arrived: self._arrived,
            Decided: self._decided,
            Dispatched: self._dispatched,
            Served: self._served,
            Declined: self._declined,
            Failed: self._failed,
            Abandoned: self._abandoned,
        }

    def __call__(self, event: Event) -> None:
        """Add an event."""
        handle = self._handlers.get(type(event))
        if handle is not None:
            handle(event)

    def join(self, name: str, model: str) -> None:
        """One agent more, of the next number; one that is called as another was gets its number beside the name."""
        taken = any(name == before for before, _ in self.names)
        self.names.append((f"{name}#{len(self.names)}" if taken else name, model))
        self.agents.append(AgentTally())

    def _at(self, number: int) -> AgentTally:
        """An agent's; of one that is new it is asked who it is."""
        if number >= len(self.agents):
            self._grow(number + 1)
        return self.agents[number]

    def _grow(self, count: int) -> None:
        for name, model in list(self._roster())[len(self.agents) : count]:
            self.join(name, model)
        while len(self.agents) < count:
            self.join(f"agent-{len(self.agents)}", "unknown")

    def state(self, source: str) -> None:
        """Count a request by who stated its worth."""
        self.stated[source] = self.stated.get(source, 0) + 1

    def observe(
        self,
        alive: Callable[[], Sequence[bool]],
        rounds: Callable[[], Sequence[RoundStatistics]],
        roster: Callable[[], Sequence[tuple[str, str]]] = tuple,
    ) -> None:
        """Where to look for what no event tells.

        Args:
            alive: which agents are in the market.
            rounds: each hub's.
            roster: name and model of every agent, also of those that joined since.
        """
        self._alive, self._rounds, self._roster = alive, rounds, roster

    @property
    def waiting(self) -> int:
        """Requests that no agent has."""
        return len(self._waiting)

    def alive(self) -> list[bool]:
        """Which of the agents are in the market."""
        found = list(self._alive())
        self._grow(len(found))
        return found + [False] * (len(self.agents) - len(found))

    def rounds(self) -> list[RoundStatistics]:
        """Each hub's rounds; what they took to decide is added to `decide_s` as they are read."""
        found = list(self._rounds())
        self._read += [0] * (len(found) - len(self._read))
        for hub, one in enumerate(found):
            # A router that was started again counts from 0.
            more = one.rounds - self._read[hub] if one.rounds >= self._read[hub] else one.rounds
            new = list(one.decide_s)[-more:] if more else []
            for seconds in new:
                self.decide_s.add(seconds)
            self._read[hub] = one.rounds
        return found

    def _arrived(self, event: Arrived) -> None:
        self.arrived += 1
        self._waiting.add(event.offer.request.id)

    def _decided(self, event: Decided) -> None:
        name, agent = event.offer.request.id, self._at(event.agent)
        self._waiting.discard(name)
        self._line[name] = event.agent
        agent.in_line += 1
        agent.decided += 1
        rounds = self.recent_rounds
        if not rounds or rounds[-1].number != event.round or rounds[-1].at_s != event.at_s:
            rounds.append(RecentRound(event.round, event.at_s))
        rounds[-1].matches += 1
        rounds[-1].charge += event.charge

    def _dispatched(self, event: Dispatched) -> None:
        name, agent = event.offer.request.id, self._at(event.agent)
        if self._line.pop(name, None) is not None:
            agent.in_line -= 1
        self._running[name] = event.agent
        agent.running += 1
        agent.queue_s.add(event.at_s - event.offer.arrived_s)

    def _served(self, event: Served) -> None:
        agent, done, said = self._at(event.agent), event.completion, event.predicted
        self._left(event.offer.request.id)
        agent.served += 1
        agent.reasons[done.finish_reason] = agent.reasons.get(done.finish_reason, 0) + 1
        agent.prompt += done.prompt_tokens
        agent.cached += done.cached_tokens
        agent.output += done.output_tokens
        agent.charges += event.charge
        agent.costs += event.cost
        agent.receipts += event.receipt
        first_token_s = event.first_token_s
        agent.latency_s.add(event.latency_s)
        if done.streamed:
            agent.first_token_s.add(first_token_s)
        took, foretold = event.dispatched_s - event.decided_s + done.first_token_s, None
        if said is not None:
            cost = event.cost / 1e6
            agent.predicted_costs += said.cost
            agent.measured_costs += cost
            agent.error_costs += abs(said.cost - cost)
            if done.streamed:
                foretold = said.latency_s
                agent.predicted_latency_s += foretold
                agent.measured_latency_s += took
                agent.error_latency_s += abs(foretold - took)
        held = getattr(event.note, "cached", None)
        if held is not None:
            agent.predicted_cached += held
            agent.measured_cached += done.cached_tokens
            agent.error_cached += abs(held - done.cached_tokens)
        self.recent.append(RecentServed(event.at_s, event.agent, event.charge, first_token_s, foretold, took))

    def _abandoned(self, event: Abandoned) -> None:
        agent = self._at(event.agent)
        self._left(event.offer.request.id)
        agent.abandoned += 1
        agent.charges += event.charge
        agent.costs += event.cost
        agent.receipts += event.receipt

    def _declined(self, event: Declined) -> None:
        self._left(event.offer.request.id)
        self.declined[event.code] = self.declined.get(event.code, 0) + 1

    def _failed(self, event: Failed) -> None:
        name = event.offer.request.id
        self._left(name)
        if event.retried:
            self._waiting.add(name)
        if event.agent is None:
            self.failed_unplaced += 1
        elif event.retried:
            self._at(event.agent).retried += 1
        else:
            self._at(event.agent).failed += 1

    def _left(self, name: str) -> None:
        """It is nowhere now."""
        agent = self._running.pop(name, None)
        if agent is not None:
            self.agents[agent].running -= 1
            return
        agent = self._line.pop(name, None)
        if agent is not None:
            self.agents[agent].in_line -= 1
        else:
            self._waiting.discard(name)
