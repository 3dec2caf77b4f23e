"""What is predicted (`QoS`), from what (`Features`), and learnt from what (`Measured`); any model is a `QoSModel`.

**The non-interference law.** A prediction for a request may not depend on the preferences that its bidder reports:
otherwise a report would move the terms it is priced at, and no payment rule could repair that. The types hold it:
`Features` and `Measured` have no field for a value, a bid or a bidder, and a model is given nothing else. Nor do they
carry anything a client can claim: `turn` is counted by the router from the messages, tokens by the tokenizer.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from prediction.errors import PredictionError

#: Quality (token F1) from which an answer counts as right; the published router takes 0.3 of ROUGE-L.
RIGHT = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class QoS:
    """Quality of service expected of every agent j for every request i; all arrays (N, M) float64, read-only.

    `latency` in seconds, `cost` in credits, both at least 0; `quality` in [0, 1].

    Raises:
        PredictionError: naming row and column, an entry is not finite or out of range, or shapes differ.
    """

    latency: NDArray[np.float64]
    cost: NDArray[np.float64]
    quality: NDArray[np.float64]

    def __post_init__(self) -> None:
        for field in fields(self):
            array = np.array(getattr(self, field.name), dtype=np.float64)
            _require_shape(field.name, array, np.shape(self.latency), 2)
            _require(field.name, array, np.isfinite(array), "finite")
            _require(field.name, array, array >= 0.0, "at least 0")
            _freeze(self, field.name, array)
        _require("quality", self.quality, self.quality <= 1.0, "at most 1")

    @property
    def shape(self) -> tuple[int, int]:
        """(N, M): requests, agents."""
        return self.latency.shape[0], self.latency.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """All that a predictor sees of one round: integers, kept read-only as int64.

    `prompt_tokens` (N, M), since agents may tokenise differently; `cached_tokens` (N, M), those believed cached
    (`PrefixIndex.match`), at most the prompt; `max_tokens` (N,), the most a request may generate; `turn` (N,), the
    assistant messages already in the conversation, counted by the router and never taken from a client; `inflight`
    (M,), requests each agent is serving now; `slots` (M,), how many it serves at once, at least 1; `backlog_tokens`
    (M,), prompt tokens that each agent was given and has not computed yet, none where the router does not know.

    Raises:
        PredictionError: naming row and column, an entry is negative or out of range, or shapes disagree.
    """

    prompt_tokens: NDArray[np.int64]
    cached_tokens: NDArray[np.int64]
    max_tokens: NDArray[np.int64]
    turn: NDArray[np.int64]
    inflight: NDArray[np.int64]
    slots: NDArray[np.int64]
    backlog_tokens: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.backlog_tokens is None:
            object.__setattr__(self, "backlog_tokens", np.zeros(np.shape(self.slots), np.int64))
        for field in fields(self):
            array = np.asarray(getattr(self, field.name))
            if array.dtype.kind not in "iu":
                raise PredictionError(f"`{field.name}` must hold integers, not {array.dtype}.")
            _freeze(self, field.name, np.array(array, dtype=np.int64))
        _require_shape("prompt_tokens", self.prompt_tokens, self.prompt_tokens.shape, 2)
        n, m = self.shape
        shapes = {"cached_tokens": (n, m), "max_tokens": (n,), "turn": (n,), "inflight": (m,), "slots": (m,)}
        for name, shape in shapes.items():
            _require_shape(name, getattr(self, name), shape, len(shape))
        for field in fields(self):
            array = getattr(self, field.name)
            least = 1 if field.name == "slots" else 0
            _require(field.name, array, array >= least, f"at least {least}")
        fits = self.cached_tokens <= self.prompt_tokens
        _require("cached_tokens", self.cached_tokens, fits, "at most `prompt_tokens`")

    @property
    def shape(self) -> tuple[int, int]:
        """(N, M): requests, agents."""
        return self.prompt_tokens.shape[0], self.prompt_tokens.shape[1]

    def row(self, i: int, j: int) -> dict[str, float]:
        """Features of request `i` on agent `j`, with `uncached_tokens` (prompt - cached) and `load` (inflight / slots).

        Keep the row of a dispatched request and hand it to `QoSModel.learn` with what was measured.
        """
        prompt, cached = int(self.prompt_tokens[i, j]), int(self.cached_tokens[i, j])
        inflight, slots = int(self.inflight[j]), int(self.slots[j])
        assert self.backlog_tokens is not None
        backlog = int(self.backlog_tokens[j])
        return {
            "prompt_tokens": float(prompt),
            "cached_tokens": float(cached),
            "uncached_tokens": float(prompt - cached),
            "max_tokens": float(self.max_tokens[i]),
            "turn": float(self.turn[i]),
            "inflight": float(inflight),
            "slots": float(slots),
            "load": inflight / slots,
            "backlog_tokens": float(backlog),
        }


@dataclass(frozen=True, slots=True)
class Measured:
    """What serving one request turned out to take: seconds, credits, quality in [0, 1] or `None` if nobody judged it.

    `latency_s` is whichever latency the market prices (first token in the paper); use the same one throughout.
    `output_tokens`, where known, teaches a model what an answer's length is likely to be.

    Raises:
        PredictionError: a number is not finite or out of range.
    """

    latency_s: float
    cost: float
    quality: float | None = None
    output_tokens: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not (math.isfinite(value) and value >= 0.0):
                raise PredictionError(f"measured `{field.name}` must be finite and at least 0, not {value}.")
        if self.quality is not None and self.quality > 1.0:
            raise PredictionError(f"measured `quality` must lie in [0, 1], not {self.quality}.")


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """An agent's price list, credits per token: prompt tokens computed afresh, prompt tokens cached, output tokens.

    Raises:
        PredictionError: a price is negative or not finite.

    Example:
        >>> TokenPrices(fresh=0.01, cached=0.001, output=0.02).cost(100, cached_tokens=0, output_tokens=50)
        2.0
    """

    fresh: float
    cached: float
    output: float

    def __post_init__(self) -> None:
        for field in fields(self):
            price = getattr(self, field.name)
            if not (math.isfinite(price) and price >= 0.0):
                raise PredictionError(f"price `{field.name}` must be finite and at least 0, not {price}.")

    def cost(self, prompt_tokens: float, cached_tokens: float, output_tokens: float) -> float:
        """Credits for one request: `fresh (prompt - cached) + cached * cached_tokens + output * output_tokens`.

        Raises:
            PredictionError: not 0 <= cached_tokens <= prompt_tokens or output_tokens < 0.
        """
        if not (0 <= cached_tokens <= prompt_tokens and output_tokens >= 0):
            raise PredictionError(
                f"token counts must satisfy 0 <= cached <= prompt and output >= 0, not "
                f"{prompt_tokens=}, {cached_tokens=}, {output_tokens=}."
            )
        fresh_tokens = prompt_tokens - cached_tokens
        return self.fresh * fresh_tokens + self.cached * cached_tokens + self.output * output_tokens


@runtime_checkable
class QoSModel(Protocol):
    """A predictor: pure in `predict`, learning one completion at a time in `learn`."""

    def predict(self, features: Features) -> QoS:
        """Predict the QoS of every request on every agent; changes nothing, so asking twice answers the same."""
        ...

    def learn(self, agent: int, row: Mapping[str, float], measured: Measured) -> None:
        """Learn from one completion on `agent`, given the `Features.row` it was dispatched under."""
        ...


class Frozen:
    """A snapshot of a model that predicts and no longer learns: for audits, ablations and replays."""

    def __init__(self, model: QoSModel) -> None:
        self._model = copy.deepcopy(model)

    def predict(self, features: Features) -> QoS:
        """Predict as the model did when it was frozen."""
        return self._model.predict(features)

    def learn(self, agent: int, row: Mapping[str, float], measured: Measured) -> None:
        """Learn nothing."""


def _freeze(instance: object, name: str, array: NDArray[Any]) -> None:
    array.setflags(write=False)
    object.__setattr__(instance, name, array)


def _require_shape(name: str, array: NDArray[Any], shape: tuple[int, ...], ndim: int) -> None:
    if array.ndim != ndim or array.shape != shape:
        raise PredictionError(f"`{name}` must be {ndim}-D of shape {shape}, not {array.shape}.")


def _require(name: str, array: NDArray[Any], valid: NDArray[np.bool_], wanted: str) -> None:
    if valid.all():
        return
    place = tuple(int(k) for k in np.argwhere(~valid)[0])
    where = f"row {place[0]}, column {place[1]}" if len(place) == 2 else f"entry {place[0]}"
    raise PredictionError(f"`{name}` must be {wanted}: {where} is {array[place]}.")
