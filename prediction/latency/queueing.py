"""Time to first token, by playing each agent's prefill queue forward.

An engine that batches continuously (Yu, Jeong, Kim, Kim and Chun, 2022, "Orca: a distributed serving system for
transformer-based generative models") computes in one step the prompts that have arrived when the step begins, and
those that arrive meanwhile in the next. So the time to a first token is the time until that next step begins plus the
time it takes. How long steps take is learnt from the moments of first tokens (`service_time`, `speed_changes`); the
rest is counting (`prefill_queue`).

Nothing here depends on what a bidder reports (`qos`, the non-interference law): token counts, moments and prices only.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prediction.errors import PredictionError
from prediction.latency.prefill_queue import NOBODY, OVERDUE, AgentState, Group, Pending, play, step_seconds, step_terms
from prediction.latency.service_time import ServiceTime
from prediction.latency.speed_changes import SpeedChanges

__all__ = ["SAME_STEP_S", "AgentState", "Latency", "Pending", "QueueModel"]

#: First tokens of one agent that are no further apart, in seconds, come from one step.
SAME_STEP_S = 0.002

# A new model's speed is not taken to differ from a measured one's by more than this factor, whatever they charge.
_PRICE_RATIO = 16.0


@dataclass(frozen=True, slots=True, eq=False)
class Latency:
    """Seconds to the first token, read-only: until computing begins, `start` (M,), and from then on, `service` (N, M).

    `start` is the same for every request: the wait of whoever is put last in agent j's line.
    """

    start: NDArray[np.float64]
    service: NDArray[np.float64]

    def __post_init__(self) -> None:
        self.start.setflags(write=False)
        self.service.setflags(write=False)

    @property
    def total(self) -> NDArray[np.float64]:
        """`start + service`, shape (N, M)."""
        return self.start + self.service


@dataclass(slots=True)
class _Step:
    """First tokens that came together: of which prompts, since when, beside how many sequences."""

    end_s: float
    sent_s: float
    previous_s: float
    group: Group
    decoding: int
    guessed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Speeds:
    """Seconds by agent: `weights` as `step_seconds` takes them, their parts by token and by pair, read-only (M,) each.

    `base` is a step that computes nothing, `marginal` what one prompt token more adds to a step.
    """

    weights: list[list[float]]
    per_token: NDArray[np.float64]
    per_pair: NDArray[np.float64]
    base: NDArray[np.float64]
    marginal: NDArray[np.float64]

    def __post_init__(self) -> None:
        for array in (self.per_token, self.per_pair, self.base, self.marginal):
            array.setflags(write=False)


class QueueModel:
    """Predicts the time to first token of every request on every agent, and learns from the moments of first tokens.

    Args:
        models: what each agent serves, M entries; agents with equal entries share what is learnt.
        prices: each agent's price of a fresh prompt token, M entries: a model never measured is taken to be as much
            slower than a measured one as it is dearer. Before anything is measured, the model at the mean price
            takes `service_time.PRIOR_SECONDS`.
        depth: how many requests the router lets an engine hold before their first token; the others wait in the
            router's line, and as many are sent as first tokens came. `None`: all are sent at once.

    Raises:
        PredictionError: there are no agents, lengths disagree, a price is negative or not finite, or `depth` < 1.

    A request is announced by `sent`, and either had its `first_token` or is `dropped`; memory is bounded by what is in
    flight. `predict` changes nothing. An engine whose speed changes is noticed within some ten
    steps of its own (`speed_changes`); others of its model are not taken to have changed with it. What is believed of
    an engine that nothing is given to fades, so that it will be given something again.

    Example:
        >>> import numpy as np
        >>> model = QueueModel(["small", "large"], [0.001, 0.002])
        >>> model.sent(0, "a", Pending(500, 0, sent_s=0.0), decoding=0)
        >>> model.first_token(0, "a", at_s=2.0)
        >>> states = [AgentState(stepped_s=2.0), AgentState()]
        >>> prompt = np.array([[500, 500]])
        >>> model.predict(states, prompt, np.zeros_like(prompt), now_s=3.0).total.round(2)
        array([[2., 4.]])
    """

    def __init__(self, models: Sequence[Hashable], prices: Sequence[float], *, depth: int | None = None) -> None:
        if not models or len(models) != len(prices):
            raise PredictionError(
                f"`models` and `prices` need one entry an agent, not {len(models)} and {len(prices)} of them."
            )
        for agent, price in enumerate(prices):
            if not (math.isfinite(price) and price >= 0.0):
                raise PredictionError(f"`prices` must be finite and at least 0; agent {agent} has {price}.")
        if depth is not None and depth < 1:
            raise PredictionError(f"`depth` must be at least 1, or None, not {depth}.")
        distinct = list(dict.fromkeys(models))
        self._depth = depth
        self._models = distinct
        self._model_of = [distinct.index(model) for model in models]
        self._prices = [prices[self._model_of.index(k)] for k in range(len(distinct))]
        self._services = [ServiceTime() for _ in distinct]
        self._changes = [SpeedChanges() for _ in models]
        self._in_flight: list[dict[str, tuple[Pending, int]]] = [{} for _ in models]
        self._stepped = [-math.inf] * len(models)
        self._open: list[_Step | None] = [None] * len(models)
        mean = sum(self._prices) / len(self._prices)
        for price, service in zip(self._prices, self._services, strict=True):
            service.suppose(service.weights * _dearer(price, mean))
        self._weights = [service.weights.tolist() for service in self._services]
        self._unmeasured = list(range(len(distinct)))
        self._known: _Speeds | None = None
        #: The latest moment that was told, and until when what is known holds.
        self._now_s, self._lasts_s = -math.inf, math.inf

    def join(self, model: Hashable, price: float) -> None:
        """One agent more, the last: it shares what is known of its model; a new model is supposed from its price.

        Raises:
            PredictionError: the price is negative or not finite.
        """
        if not (math.isfinite(price) and price >= 0.0):
            raise PredictionError(f"`price` must be finite and at least 0, not {price}.")
        self._changes.append(SpeedChanges())
        self._in_flight.append({})
        self._stepped.append(-math.inf)
        self._open.append(None)
        self._known = None
        if model in self._models:
            self._model_of.append(self._models.index(model))
            return
        k = len(self._models)
        service = ServiceTime()
        service.suppose(service.weights * _dearer(price, sum(self._prices) / k))
        self._models.append(model)
        self._model_of.append(k)
        self._prices.append(price)
        self._services.append(service)
        self._weights.append(service.weights.tolist())
        self._unmeasured.append(k)
        self._refresh(k)

    def predict(
        self, states: Sequence[AgentState], prompt: NDArray[np.integer], cached: NDArray[np.integer], now_s: float
    ) -> Latency:
        """Predict each of N requests as the next, and only one, to be put last in an agent's line.

        Args:
            states: of the M agents.
            prompt, cached: tokens (N, M), cached as believed.
            now_s: on the clock of `sent_s` and `stepped_s`.

        Raises:
            PredictionError: shapes disagree or `cached` does not lie in [0, `prompt`].
        """
        agents = len(self._model_of)
        whole, held = np.asarray(prompt, np.float64), np.asarray(cached, np.float64)
        if whole.ndim != 2 or whole.shape != held.shape or not whole.shape[1] == len(states) == agents:
            raise PredictionError(
                f"expected {agents} states and two (N, {agents}) arrays, not {len(states)} states, {whole.shape} and "
                f"{held.shape}."
            )
        service = whole - held
        if service.size and not (_least(held) >= 0.0 and _least(service) >= 0.0):
            raise PredictionError("`cached` must lie in [0, `prompt`] everywhere.")
        self._now_s = now_s
        speeds, depth = self._speeds(), self._depth
        start, fixed = [0.0] * agents, [0.0] * agents
        for j, state in enumerate(states):
            weights = speeds.weights[j]
            if state.pending:
                turn = play(state, weights, depth, now_s)
                start[j] = turn.start
                fixed[j] = turn.offset + step_seconds(weights, turn.beside, turn.decoding + 1, turn.residual)
            else:
                # Nobody is before it, as `play` would find.
                fixed[j] = step_seconds(weights, NOBODY, state.decoding + 1, state.decoding > 0)
        # In place: uncached (per_token + per_pair (prompt + cached) / 2) + what it has no part in.
        attended = whole + held
        attended *= speeds.per_pair
        attended += speeds.per_token
        service *= attended
        least = np.array(fixed)
        service += least
        return Latency(np.array(start), np.maximum(service, OVERDUE * np.maximum(least, 1e-4), out=service))

    def sent(self, agent: int, name: str, pending: Pending, decoding: int) -> None:
        """A request was dispatched to `agent`, at `pending.sent_s`, beside so many that have their first token.

        Raises:
            PredictionError: there is no such agent, the name is in flight there, or `sent_s` is None.
        """
        in_flight = self._of(agent)
        if pending.sent_s is None:
            raise PredictionError(f"request {name!r} has no `sent_s`: say when it was dispatched.")
        if name in in_flight:
            raise PredictionError(f"request {name!r} is in flight at agent {agent} already.")
        self._close(agent, before_s=pending.sent_s)
        in_flight[name] = (pending, decoding)

    def first_token(self, agent: int, name: str, at_s: float, *, guessed: bool = False) -> None:
        """The request's first token arrived: learn from it.

        `guessed`: nobody saw when; `at_s` is right to an order of magnitude of the time that it took.

        Raises:
            PredictionError: there is no such agent, the request is not in flight there, or the moment is not finite.
        """
        pending, decoding = self._take(agent, name)
        if not math.isfinite(at_s):
            raise PredictionError(f"`at_s` must be finite, not {at_s}.")
        self._close(agent, before_s=at_s)
        assert pending.sent_s is not None
        step = self._open[agent]
        if step is None:
            step = _Step(at_s, pending.sent_s, self._stepped[agent], Group(), decoding)
            self._open[agent] = step
        step.guessed |= guessed
        step.group.add(pending)
        step.sent_s = min(step.sent_s, pending.sent_s)
        step.decoding = max(step.decoding, decoding)
        self._stepped[agent] = max(self._stepped[agent], at_s)
        self._close_if_alone(agent)
        if self._in_flight[agent] and self._services[self._model_of[agent]].samples == 0:
            # A model's very first step says enough of its speed, even if others may turn out to share it.
            self._learn(agent, step, provisional=True)

    def dropped(self, agent: int, name: str) -> None:
        """The request failed, or was cancelled, before its first token.

        Raises:
            PredictionError: there is no such agent or the request is not in flight there.
        """
        self._take(agent, name)
        self._close_if_alone(agent)

    def seconds_per_token(self) -> NDArray[np.float64]:
        """What one uncached prompt token adds to a step of each agent, with its share of attention: shape (M,)."""
        return self._speeds().marginal

    def base_seconds(self) -> NDArray[np.float64]:
        """What a step of each agent takes however little it computes: shape (M,)."""
        return self._speeds().base

    def _speeds(self) -> "_Speeds":
        """What is known of every agent's speed, put together anew where something was learnt or has faded since."""
        if self._known is None or self._now_s > self._lasts_s:
            factors = [changes.at(self._now_s) for changes in self._changes]
            self._lasts_s = min(changes.lasts_s() for changes in self._changes)
            of_models = [_marginal(weights, one) for weights, one in zip(self._weights, self._services, strict=True)]
            weights = [
                [factor * one for one in self._weights[k]] for factor, k in zip(factors, self._model_of, strict=True)
            ]
            self._known = _Speeds(
                weights,
                np.array([one[1] for one in weights]),
                np.array([one[2] / 2 for one in weights]),
                np.array([self._weights[k][0] for k in self._model_of]) * np.array(factors),
                np.array([of_models[k] for k in self._model_of]) * np.array(factors),
            )
        return self._known

    def _of(self, agent: int) -> dict[str, tuple[Pending, int]]:
        if not 0 <= agent < len(self._in_flight):
            raise PredictionError(f"`agent` must lie in [0, {len(self._in_flight) - 1}], not {agent}.")
        return self._in_flight[agent]

    def _take(self, agent: int, name: str) -> tuple[Pending, int]:
        try:
            return self._of(agent).pop(name)
        except KeyError:
            raise PredictionError(f"request {name!r} is not in flight at agent {agent}.") from None

    def _close(self, agent: int, before_s: float) -> None:
        """Learn from an open step that nothing at `before_s` can belong to."""
        step = self._open[agent]
        if step is not None and before_s - step.end_s > SAME_STEP_S:
            self._open[agent] = None
            self._learn(agent, step)

    def _close_if_alone(self, agent: int) -> None:
        """Learn from an open step if nobody is left who could share it."""
        if not self._in_flight[agent]:
            self._close(agent, before_s=math.inf)

    def _learn(self, agent: int, step: _Step, provisional: bool = False) -> None:
        took = step.end_s - max(step.sent_s, step.previous_s)
        if took <= 0.0:
            return
        idle = step.sent_s >= step.previous_s
        k = self._model_of[agent]
        x = step_terms(step.group, step.decoding, idle and step.decoding > 0)
        service, changes = self._services[k], self._changes[agent]
        if provisional:
            service.guess(x, took)
        else:
            factor = changes.at(step.end_s)
            if service.samples and changes.observe(
                took / (factor * service.expect(x)), step.end_s, guessed=step.guessed
            ):
                service.reopen()
            service.learn(x, took / changes.factor)
        self._refresh(k)

    def _refresh(self, k: int) -> None:
        """Take over what model k has learnt, and tell the models that were never measured."""
        self._weights[k] = self._services[k].weights.tolist()
        self._known = None
        if self._unmeasured:
            self._unmeasured = [other for other in self._unmeasured if not self._services[other].measured]
            measured = [other for other, service in enumerate(self._services) if service.measured]
            # Where nothing was measured yet, what was supposed of each from its price stays.
            for other in self._unmeasured if measured else ():
                price = self._prices[other]
                like = [self._services[one].weights * _dearer(price, self._prices[one]) for one in measured]
                self._services[other].suppose(np.mean(like, axis=0))
                self._weights[other] = self._services[other].weights.tolist()


def _marginal(weights: Sequence[float], service: ServiceTime) -> float:
    """What one uncached prompt token adds to a step of a model, with its share of attention."""
    tokens, pairs = service.typical[1], service.typical[2]
    # The pairs grow with the square of the tokens: twice the mean is the margin.
    return float(weights[1] + (2.0 * weights[2] * pairs / tokens if tokens > 0.0 else 0.0))


def _least(array: NDArray[np.float64]) -> float:
    """Of an array that is not empty; `min()` takes twice as long on a small one."""
    return float(np.minimum.reduce(array, axis=None))


def _dearer(price: float, than: float) -> float:
    """How many times as dear, within bounds; 1 where either is free."""
    if price <= 0.0 or than <= 0.0:
        return 1.0
    return min(max(price / than, 1.0 / _PRICE_RATIO), _PRICE_RATIO)
