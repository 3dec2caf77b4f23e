"""`Forecaster`: all that a round knows of every request on every agent before anybody's report is read.

The auction and every informed rival use this very class, so what the one gains over the others is not information.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prediction import RIGHT, AgentState, ConformalIntervals, OutputLengths, Pending, PredictionError, QueueModel
from runtime.events import Dispatched, Event, Failed, FirstToken, Offer, Served
from runtime.policies.affinity import Affinity
from runtime.policies.policy import Agent, Fleet
from runtime.policies.skill import PooledSkill, QualityModel

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_SMOOTHING = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """N requests on M agents, from public state alone.

    `start` (M,) is when a request put last in an agent's line would begin to be computed, `service` (N, M) how long it
    then takes to its first token, both in seconds from now; `cost` (N, M) in credits, `quality` (N, M) the chance of a
    right answer, `possible` (N, M) who could serve at all; `prompt`, `cached` (N, M) and `output` (N, M) are tokens.
    """

    start: Floats
    service: Floats
    cost: Floats
    quality: Floats
    possible: NDArray[np.bool_]
    prompt: Counts
    cached: Counts
    output: Floats
    #: (M,) requests that an agent serves or has in line beyond its capacity, negative where places are free.
    excess: Counts
    #: (M,) seconds between two requests that an agent is done with, while it serves all it may.
    turnover: Floats

    def slot_wait(self, agents: NDArray[np.int64], ranks: Counts) -> Floats:
        """(C,) seconds until an agent serves so few that the request of this rank may begin; 0 where it may at once."""
        wait: Floats = np.maximum(self.excess[agents] + ranks + 1, 0) * self.turnover[agents]
        return wait

    @property
    def latency(self) -> Floats:
        """(N, M) seconds from now to the first token of a request put last in line."""
        return self.start + self.service


@dataclass(frozen=True, slots=True)
class Noted:
    """What the forecast said of a request on the agent that got it: tokens, and seconds to compute its prompt."""

    prompt: int
    cached: int
    service_s: float


class Forecaster:
    """Caches, queues, speeds, answer lengths and skills, learnt from events.

    Args:
        quality: makes the model of who answers right, given the fleet. By default graded answers are counted for each
            model; `PerQuestionSkill` also asks which questions a model gets right, at some .3 ms a round.
    """

    def __init__(self, quality: Callable[[Sequence[Agent]], QualityModel] | None = None) -> None:
        self._make_quality = quality or PooledSkill

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start with empty caches and nothing learnt."""
        self.agents = tuple(agents)
        self._affinity = Affinity(agents)
        self._models = [agent.info.model for agent in agents]
        self.prices = np.array([(one.prices.fresh, one.prices.cached, one.prices.output) for one in agents])
        self._limits = np.array([agent.info.max_model_len for agent in agents])
        self.queue = QueueModel(self._models, self.prices[:, 0].tolist(), depth=agents[0].depth)
        self.lengths = OutputLengths(len(agents))
        #: Seconds from dispatch to the last token, averaged by agent.
        self._stays = np.zeros(len(agents))
        self.quality = self._make_quality(agents)
        self.intervals = ConformalIntervals()

    def look(self, offers: Sequence[Offer], fleet: Fleet) -> Outlook:
        """Forecast every offer on every agent; changes nothing."""
        prompt = np.array([[len(tokens) for tokens in offer.tokens] for offer in offers])
        cached = self._affinity.cached_tokens(offers)
        limits = np.array([offer.request.max_tokens for offer in offers])
        latency = self.queue.predict([_state(fleet, j) for j in range(len(self.agents))], prompt, cached, fleet.now_s)
        output = self.lengths.predict(limits)
        fresh, held, out = self.prices.T
        possible = (prompt < self._limits) & fleet.alive
        for i, offer in enumerate(offers):
            possible[i, sorted(offer.refused)] = False
        return Outlook(
            latency.start,
            latency.service,
            fresh * (prompt - cached) + held * cached + out * output,
            self.quality.predict(offers),
            possible,
            prompt,
            cached,
            output,
            fleet.load - fleet.slots,
            self._stays / fleet.slots,
        )

    def note(self, outlook: Outlook, i: int, agent: int) -> Noted:
        """What is to go with request `i` to the agent that got it."""
        return Noted(
            int(outlook.prompt[i, agent]),
            int(outlook.cached[i, agent]),
            float(outlook.service[i, agent]),
        )

    def notice(self, event: Event) -> None:
        """Learn."""
        note = getattr(event, "note", None)
        if not isinstance(note, Noted):
            return
        name = event.offer.request.id
        if isinstance(event, Dispatched):
            self.queue.sent(event.agent, name, Pending(note.prompt, note.cached, event.at_s), event.decoding)
        elif isinstance(event, FirstToken):
            self.queue.first_token(event.agent, name, event.at_s)
        elif isinstance(event, Failed) and event.agent is not None:
            # It may have failed in line, or after its first token: then the queue knows nothing of it.
            with suppress(PredictionError):
                self.queue.dropped(event.agent, name)
        elif isinstance(event, Served):
            self._learn(event, note)

    def _learn(self, event: Served, note: Noted) -> None:
        self._affinity.learn(event.offer, event.agent, event.completion, note.cached)
        self.lengths.learn(event.agent, event.completion.output_tokens)
        stays = self._stays[event.agent]
        self._stays[event.agent] += (event.completion.latency_s - stays) * (_SMOOTHING if stays else 1.0)
        if event.predicted is not None:
            took = event.dispatched_s - event.decided_s + event.completion.first_token_s
            self.intervals.learn(event.predicted.latency_s, took)
        right = None if event.quality is None else event.quality >= RIGHT
        self.quality.learn(event.offer, event.agent, right)


def _state(fleet: Fleet, agent: int) -> AgentState:
    jobs = fleet.jobs[agent]
    pending = tuple(
        Pending(job.note.prompt, job.note.cached, job.sent_s)
        for job in jobs
        if job.first_token_s is None and isinstance(job.note, Noted)
    )
    return AgentState(pending, sum(job.first_token_s is not None for job in jobs), fleet.last_token_s(agent))
