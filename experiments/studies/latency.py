"""How well is the time to first token foretold? A trace of served requests, replayed through every latency model.

A trace is recorded from any router, simulated or real, by subscribing a `Recorder` to its events. Replaying it asks
each model at the moment of every dispatch, with what was known then, and teaches it at the moment of every first token
or end: predictions are prequential (Dawid 1984), so none has seen what it is judged by.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from experiments.errors import StudyError
from prediction import AgentState, Features, HoeffdingQoS, Measured, Pending, QueueModel, TokenPrices, TreeCorrection
from runtime import Dispatched, Event, Failed, FirstToken, Offer, Served
from runtime.policies.forecast import Noted

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Timed:
    """One served request: where, how long its prompt, what was known when it was sent, and when things happened.

    `believed` and `cached` are tokens thought to be, and found to be, in the cache; `inflight`, `decoding` and
    `backlog` are the agent's requests, those with a first token, and its uncached tokens to compute, as it was sent.
    """

    agent: int
    model: str
    fresh_price: float
    prompt: int
    believed: int
    cached: int
    output: int
    max_tokens: int
    turn: int
    slots: int
    inflight: int
    decoding: int
    backlog: int
    sent_s: float
    first_s: float
    done_s: float

    @property
    def waited_s(self) -> float:
        """Seconds from dispatch to the first token."""
        return self.first_s - self.sent_s


@dataclass(slots=True)
class _Open:
    offer: Offer
    note: Noted
    sent_s: float
    inflight: int
    decoding: int
    backlog: int
    first_s: float | None = None


class Recorder:
    """Subscribes to a router, and keeps a `Timed` for every served request whose policy noted forecasts (`Noted`).

    Args:
        models, prices, slots: of the M agents.
    """

    def __init__(self, models: Sequence[str], prices: Sequence[TokenPrices], slots: Sequence[int]) -> None:
        self._models, self._prices, self._slots = models, prices, slots
        self._open: list[dict[str, _Open]] = [{} for _ in models]
        self.trace: list[Timed] = []

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        if not isinstance(event, Dispatched | FirstToken | Served | Failed) or event.agent is None:
            return
        here, name = self._open[event.agent], event.offer.request.id
        if isinstance(event, Dispatched):
            if not isinstance(event.note, Noted):
                return
            ahead = [one.note for one in here.values() if one.first_s is None]
            backlog = sum(note.prompt - note.cached for note in ahead)
            here[name] = _Open(event.offer, event.note, event.at_s, len(here), event.decoding, backlog)
        elif isinstance(event, FirstToken):
            if name in here:
                here[name].first_s = event.at_s
        else:
            one = here.pop(name, None)
            if isinstance(event, Served) and one is not None and one.first_s is not None:
                self.trace.append(self._timed(event, one, one.first_s))

    def _timed(self, event: Served, one: _Open, first_s: float) -> Timed:
        j, took = event.agent, event.completion
        return Timed(
            agent=j,
            model=self._models[j],
            fresh_price=self._prices[j].fresh,
            prompt=took.prompt_tokens,
            believed=min(one.note.cached, took.prompt_tokens),
            cached=took.cached_tokens,
            output=took.output_tokens,
            max_tokens=one.offer.request.max_tokens,
            turn=one.offer.turn,
            slots=self._slots[j],
            inflight=one.inflight,
            decoding=one.decoding,
            backlog=one.backlog,
            sent_s=one.sent_s,
            first_s=first_s,
            done_s=event.at_s,
        )


def save(trace: Sequence[Timed], path: Path) -> None:
    """One request a line, in the order they were sent."""
    rows = sorted(trace, key=lambda one: one.sent_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in rows), encoding="utf-8")


def load(path: Path) -> list[Timed]:
    """What `save` wrote.

    Raises:
        StudyError: it is no such file.
    """
    try:
        return [Timed(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise StudyError(f"{path} is no trace of served requests: {error!r}") from error


def joined(traces: Sequence[Sequence[Timed]]) -> list[Timed]:
    """Several traces as one, each beginning a minute after the last request of the one before."""
    found: list[Timed] = []
    end = 0.0
    for trace in traces:
        if trace:
            shift = end - min(one.sent_s for one in trace)
            found += [_later(one, shift) for one in trace]
            end = max(one.done_s for one in found) + 60.0
    return found


def _later(one: Timed, seconds: float) -> Timed:
    return replace(one, sent_s=one.sent_s + seconds, first_s=one.first_s + seconds, done_s=one.done_s + seconds)


@dataclass(frozen=True, slots=True, eq=False)
class Foretold:
    """Predicted and measured seconds to first token of one model on one trace, in order of dispatch."""

    name: str
    predicted: Floats
    measured: Floats

    def nmae(self, first: int | None = None) -> float:
        """Mean absolute error over the mean, of all requests or of the first so many."""
        said, took = self.predicted[:first], self.measured[:first]
        return float(np.abs(said - took).sum() / took.sum())

    def median_share(self) -> float:
        """Median of |error| / measured."""
        return float(np.median(np.abs(self.predicted - self.measured) / self.measured))

    @classmethod
    def of(cls, name: str, predicted: Iterable[float], trace: Sequence[Timed]) -> Self:
        """Predictions of a trace."""
        return cls(name, np.array(list(predicted)), np.array([one.waited_s for one in trace]))


def replayed(trace: Sequence[Timed], depth: int | None = None) -> list[Foretold]:
    """What the queue model and the Hoeffding trees foretell of a trace, and the one corrected by the other.

    The last is the queue model that has seen the whole trace once before: about what is left to the engine's own
    noise, and no model that could be had in time.

    Args:
        depth: how many requests the router gave an engine before their first token.

    Raises:
        StudyError: the trace is empty.
    """
    if not trace:
        raise StudyError("the trace is empty; nothing can be foretold of it")
    rows = sorted(trace, key=lambda one: one.sent_s)
    agents = max(one.agent for one in rows) + 1
    known = {one.agent: one for one in rows}
    models = [known[j].model if j in known else f"unused {j}" for j in range(agents)]
    prices = [known[j].fresh_price if j in known else 1.0 for j in range(agents)]
    queue = QueueModel(models, prices, depth=depth)
    first = _queue(rows, queue, agents)
    again = _queue(rows, queue, agents)
    lists = [TokenPrices(price, price / 10, 2 * price) for price in prices]
    return [
        Foretold.of("queue", first, rows),
        Foretold.of("Hoeffding trees", _trees(rows, lists), rows),
        Foretold.of("queue + trees", _corrected(rows, first, lists), rows),
        Foretold.of("queue, second pass", again, rows),
    ]


def _queue(rows: Sequence[Timed], model: QueueModel, agents: int) -> list[float]:
    """Predictions at dispatch; first tokens are learnt as they come."""
    waiting: list[dict[int, Pending]] = [{} for _ in range(agents)]
    stepped = [-np.inf] * agents
    said = [0.0] * len(rows)
    for at_s, sent, k in _moments(rows):
        one = rows[k]
        j = one.agent
        if not sent:
            del waiting[j][k]
            model.first_token(j, str(k), at_s)
            stepped[j] = at_s
            continue
        states = [AgentState(tuple(waiting[i].values()), one.decoding * (i == j), stepped[i]) for i in range(agents)]
        shape = (1, agents)
        latency = model.predict(states, np.full(shape, one.prompt), np.full(shape, one.believed), at_s)
        said[k] = float(latency.total[0, j])
        waiting[j][k] = Pending(one.prompt, one.believed, at_s)
        model.sent(j, str(k), waiting[j][k], one.decoding)
    return said


def _trees(rows: Sequence[Timed], prices: Sequence[TokenPrices]) -> list[float]:
    """Predictions at dispatch; the trees learn when a request is done, as `PaperAuction` teaches them."""
    model = HoeffdingQoS(prices)
    said = [0.0] * len(rows)
    seen: dict[int, dict[str, float]] = {}
    m = len(prices)
    ends = sorted((one.done_s, 0, k) for k, one in enumerate(rows))
    starts = sorted((one.sent_s, 1, k) for k, one in enumerate(rows))
    for _, sent, k in sorted([*ends, *starts]):
        one = rows[k]
        if not sent:
            cost = prices[one.agent].cost(one.prompt, one.cached, one.output)
            model.learn(one.agent, seen.pop(k), Measured(one.waited_s, cost, None, one.output))
            continue
        features = _features(one, m)
        said[k] = float(model.predict(features).latency[0, one.agent])
        seen[k] = features.row(0, one.agent)
    return said


def _corrected(rows: Sequence[Timed], queue: Sequence[float], prices: Sequence[TokenPrices]) -> list[float]:
    """The queue model's predictions, corrected at dispatch by trees that learn at first tokens."""
    correction = TreeCorrection(prices)
    said = [0.0] * len(rows)
    seen: dict[int, tuple[dict[str, float], Floats]] = {}
    for _, sent, k in _moments(rows):
        one = rows[k]
        if not sent:
            correction.learn(one.agent, *seen.pop(k), one.waited_s)
            continue
        features = _features(one, len(prices))
        experts = correction.experts(features, np.full((1, len(prices)), queue[k]))[:, 0, one.agent]
        said[k] = float(correction.mix(experts))
        seen[k] = features.row(0, one.agent), experts
    return said


def _features(one: Timed, agents: int) -> Features:
    """Of a request as it was sent, as if every agent were in the state of the one that got it."""
    return Features(
        prompt_tokens=np.full((1, agents), one.prompt),
        cached_tokens=np.full((1, agents), one.believed),
        max_tokens=np.array([one.max_tokens]),
        turn=np.array([one.turn]),
        inflight=np.full(agents, one.inflight),
        slots=np.full(agents, one.slots),
        backlog_tokens=np.full(agents, one.backlog),
    )


def _moments(rows: Sequence[Timed]) -> list[tuple[float, bool, int]]:
    """Dispatches and first tokens in order of time; a first token comes before a dispatch of the same moment."""
    return sorted(
        [(one.first_s, False, k) for k, one in enumerate(rows)] + [(one.sent_s, True, k) for k, one in enumerate(rows)]
    )
