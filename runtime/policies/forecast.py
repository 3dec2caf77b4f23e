"""`Forecaster`: all that a round knows of every request on every agent before anybody's report is read.

The auction and every informed rival use this very class, so what the one gains over the others is not information.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allocation.money import MAX_AMOUNT, MICROS
from prediction import RIGHT, AgentState, ConformalIntervals, OutputLengths, Pending, PredictionError, QueueModel
from runtime.errors import ServingError
from runtime.events import Abandoned, Dispatched, Event, Failed, FirstToken, Offer, Served
from runtime.policies.affinity import Affinity
from runtime.policies.policy import Agent, Fleet, Job
from runtime.policies.skill import PooledSkill, QualityModel

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_SMOOTHING = 0.1
#: A prompt moves the ratio of tokens by a fifth at first, by a fiftieth later, and within these bounds.
_FIRST_RATIO, _RATIO_MEMORY, _MOST_RATIO = 4, 50, 4.0
#: Credits beyond which nothing is offered: money has to say sums of it.
DEAREST = MAX_AMOUNT / MICROS / 4
#: Of agents that compute no prompt and decode so many requests; when they last produced a first token is no matter.
_DECODING = tuple(AgentState(decoding=count) for count in range(256))


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """N requests on M agents, from public state alone.

    `start` (M,) is when a request put last in an agent's line would begin to be computed, `service` (N, M) how long it
    then takes to its first token, both in seconds from now; `cost` (N, M) in credits, `quality` (N, M) the chance of a
    right answer, `possible` (N, M) who could serve at all; `prompt`, `cached` (N, M) and `output` (N, M) are tokens,
    the former two as offers count them.
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
        """Start with empty caches and nothing learnt.

        Raises:
            ServingError: the model of quality lacks a method.
        """
        self.agents = tuple(agents)
        self._affinity = Affinity(agents)
        self._models = [agent.info.model for agent in agents]
        self.prices = np.array([(one.prices.fresh, one.prices.cached, one.prices.output) for one in agents])
        self._limits = np.array([agent.info.max_model_len for agent in agents])
        self._slots = np.array([agent.slots for agent in agents])
        self.queue = QueueModel(self._models, self.prices[:, 0].tolist(), depth=agents[0].depth)
        self.lengths = OutputLengths(len(agents))
        #: Tokens that each agent counts for one of an offer's, which may only estimate them, over so many prompts.
        self._ratio, self._prompts = np.ones(len(agents)), np.zeros(len(agents))
        #: Seconds from dispatch to the last token, averaged by agent.
        self._stays = np.zeros(len(agents))
        #: Seconds from one token to the next, averaged by agent; 0 before any stream.
        self._paces = np.zeros(len(agents))
        self.quality = self._make_quality(agents)
        lacking = [name for name in ("predict", "doubt", "learn") if not callable(getattr(self.quality, name, None))]
        if lacking:
            raise ServingError(f"{type(self.quality).__name__} is no model of quality: it has no {', '.join(lacking)}")
        self.intervals = ConformalIntervals()

    def join(self, agent: Agent) -> None:
        """One agent more, the last: its cache is empty, its model's speed and skill are as far known as others show.

        Raises:
            ServingError: the model of quality takes no more agents.
        """
        if not hasattr(self.quality, "join"):
            raise ServingError(f"{type(self.quality).__name__} takes no agent more while it serves; restart for that")
        self.agents = (*self.agents, agent)
        self.quality.join(self.agents)
        self._affinity.join(agent)
        self._models.append(agent.info.model)
        self.prices = np.vstack([self.prices, (agent.prices.fresh, agent.prices.cached, agent.prices.output)])
        self._limits = np.append(self._limits, agent.info.max_model_len)
        self._slots = np.append(self._slots, agent.slots)
        self.queue.join(agent.info.model, agent.prices.fresh)
        self.lengths.join()
        self._ratio, self._prompts = np.append(self._ratio, 1.0), np.append(self._prompts, 0.0)
        self._stays = np.append(self._stays, 0.0)
        self._paces = np.append(self._paces, 0.0)

    def look(self, offers: Sequence[Offer], fleet: Fleet) -> Outlook:
        """Forecast every offer on every agent; changes nothing."""
        prompt = np.array([[len(tokens) for tokens in offer.tokens] for offer in offers])
        cached = self._affinity.cached_tokens(offers)
        latency = self.queue.predict([_state(fleet, j) for j in range(len(self.agents))], prompt, cached, fleet.now_s)
        asked = [offer.request for offer in offers]
        output = self.lengths.predict([one.max_tokens for one in asked])
        if any(one.least_tokens or one.choices != 1 for one in asked):
            least = np.array([min(one.least_tokens, one.max_tokens) for one in asked])
            output = np.maximum(output, least[:, None]) * np.array([one.choices for one in asked])[:, None]
        fresh, held, out = self.prices.T
        ratio = self._ratio
        cost = (fresh * (prompt - cached) + held * cached) * ratio + out * output
        possible = (prompt < self._limits) & fleet.alive
        for i, offer in enumerate(offers):
            if offer.refused:
                possible[i, sorted(offer.refused)] = False
        possible &= cost <= DEAREST
        return Outlook(
            latency.start,
            latency.service,
            np.minimum(cost, DEAREST, out=cost),
            self._chances(offers),
            possible,
            prompt,
            cached,
            output,
            fleet.load - self._slots,
            self._stays / self._slots,
        )

    def _chances(self, offers: Sequence[Offer]) -> Floats:
        """(N, M) as the model of quality has them, which may be anybody's.

        Raises:
            ServingError: they are no chances of each request on each agent.
        """
        said = self.quality.predict(offers)
        if type(self.quality) is PooledSkill:
            return said
        shape, who = (len(offers), len(self.agents)), f"{type(self.quality).__name__}.predict"
        try:
            chances = np.asarray(said, dtype=np.float64)
        except (TypeError, ValueError):
            raise ServingError(f"{who} returned {said!r:.80}; expected chances of shape {shape}") from None
        if chances.shape != shape:
            raise ServingError(
                f"{who} returned an array of shape {chances.shape}; expected {shape}, requests by agents"
            )
        wrong = ~((chances >= 0) & (chances <= 1))
        if wrong.any():
            i, agent = map(int, np.argwhere(wrong)[0])
            raise ServingError(
                f"{who} returned {chances[i, agent]} for request {i} on agent {self.agents[agent].name}; expected a "
                "chance in [0, 1]"
            )
        return chances

    def note(self, outlook: Outlook, i: int, agent: int) -> Noted:
        """What is to go with request `i` to the agent that got it."""
        return Noted(
            int(outlook.prompt[i, agent]),
            int(outlook.cached[i, agent]),
            float(outlook.service[i, agent]),
        )

    def notice(self, event: Event) -> None:
        """Learn."""
        self._affinity.refresh()
        note = getattr(event, "note", None)
        if not isinstance(note, Noted):
            return
        name = event.offer.request.id
        if isinstance(event, Dispatched):
            self.queue.sent(event.agent, name, Pending(note.prompt, note.cached, event.at_s), event.decoding)
        elif isinstance(event, FirstToken):
            self.queue.first_token(event.agent, name, event.at_s)
        elif isinstance(event, (Failed, Abandoned)) and event.agent is not None:
            # It may have failed in line, or after its first token: then the queue knows nothing of it.
            with suppress(PredictionError):
                self.queue.dropped(event.agent, name)
        elif isinstance(event, Served):
            self._learn(event, note)

    def _first_of_whole(self, event: Served) -> float:
        """Seconds after which the first token of an answer that came whole must have been there.

        The others came at the pace that streams show; where none has shown it, the first took as long as each other.
        """
        took = event.completion.latency_s
        # Choices come side by side.
        tokens = max(event.completion.output_tokens // max(event.offer.request.choices, 1), 1)
        pace = float(self._paces[event.agent]) or took / tokens
        return max(took - pace * (tokens - 1), took / tokens / 2)

    def _learn(self, event: Served, note: Noted) -> None:
        agent, completion = event.agent, event.completion
        self._affinity.learn(event.offer, agent, completion, note.cached, float(self._ratio[agent]))
        # Every request weighs the same, however long, and none says more than text can be: a client's odd prompt, or an
        # engine's odd figure, moves what all others pay by little.
        self._prompts[agent] += 1
        found = min(max(completion.prompt_tokens / max(note.prompt, 1), 1 / _MOST_RATIO), _MOST_RATIO)
        self._ratio[agent] += (found - self._ratio[agent]) / min(self._prompts[agent] + _FIRST_RATIO, _RATIO_MEMORY)
        if event.offer.request.choices and not event.offer.request.least_tokens:
            # An answer that was made to be long says nothing of others.
            self.lengths.learn(event.agent, -(-event.completion.output_tokens // event.offer.request.choices))
        stays = self._stays[event.agent]
        self._stays[event.agent] += (event.completion.latency_s - stays) * (_SMOOTHING if stays else 1.0)
        if completion.streamed:
            if completion.output_tokens > 1:
                pace = (completion.latency_s - completion.first_token_s) / (completion.output_tokens - 1)
                self._paces[agent] += (pace - self._paces[agent]) * (_SMOOTHING if self._paces[agent] else 1.0)
        else:
            first_s = event.dispatched_s + self._first_of_whole(event)
            self.queue.first_token(agent, event.offer.request.id, first_s, guessed=True)
        if completion.streamed and event.predicted is not None:
            took = event.dispatched_s - event.decided_s + event.completion.first_token_s
            self.intervals.learn(event.predicted.latency_s, took)
        right = None if event.quality is None else event.quality >= RIGHT
        self.quality.learn(event.offer, event.agent, right)


def _state(fleet: Fleet, agent: int) -> AgentState:
    jobs, now_s = fleet.jobs[agent], fleet.now_s
    pending = tuple(
        [
            Pending(job.note.prompt, job.note.cached, job.sent_s)
            for job in jobs
            if job.first_token_s is None and isinstance(job.note, Noted) and not _decodes(job, now_s)
        ]
    )
    if not pending and len(jobs) < len(_DECODING):
        return _DECODING[len(jobs)]
    return AgentState(pending, len(jobs) - len(pending), fleet.last_token_s(agent))


def _decodes(job: Job, now_s: float) -> bool:
    """Whether its prompt is computed: as was seen, or as must be believed of an answer that comes whole."""
    if job.computing or job.first_token_s is not None or job.sent_s is None or not isinstance(job.note, Noted):
        return not job.computing
    return now_s - job.sent_s > job.note.service_s
