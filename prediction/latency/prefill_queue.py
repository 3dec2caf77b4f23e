"""One agent's prefill queue, played forward: when has the last in line its turn, and beside what is it computed?

A step computes the prompts that came before it began; those that come meanwhile are computed together in the next. An
idle engine begins with the first to come, or, if it is decoding, when its decode step ends.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prediction.errors import PredictionError
from prediction.latency.service_time import Floats

# No step ends before a tenth of it has still to come, however long it is overdue.
OVERDUE = 0.1


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that was given to an agent and has produced no first token yet.

    `prompt` and `cached` are tokens, cached as believed; `sent_s` is when it was dispatched to the engine, `None`
    while it waits in the router's line.

    Raises:
        PredictionError: not 0 <= cached <= prompt, or the moment is not finite.
    """

    prompt: int
    cached: int
    sent_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.cached <= self.prompt:
            raise PredictionError(f"tokens must satisfy 0 <= cached <= prompt, not {self.cached=}, {self.prompt=}.")
        if self.sent_s is not None and not math.isfinite(self.sent_s):
            raise PredictionError(f"`sent_s` must be finite or None, not {self.sent_s}.")

    @property
    def uncached(self) -> int:
        """Tokens to compute."""
        return self.prompt - self.cached

    @property
    def pairs(self) -> float:
        """Pairs of a token to compute and one that it attends to."""
        return self.uncached * (self.prompt + self.cached) / 2


@dataclass(frozen=True, slots=True)
class AgentState:
    """The public state of one agent as a round begins.

    `pending` in the order in which they will be served, `decoding` the requests in flight that have their first token,
    `stepped_s` when the agent last produced a first token.

    Raises:
        PredictionError: `decoding` is negative or `stepped_s` not a number.
    """

    pending: tuple[Pending, ...] = ()
    decoding: int = 0
    stepped_s: float = -math.inf

    def __post_init__(self) -> None:
        if self.decoding < 0:
            raise PredictionError(f"`decoding` must be at least 0, not {self.decoding}.")
        if math.isnan(self.stepped_s):
            raise PredictionError("`stepped_s` must be a number, not nan.")


@dataclass(slots=True)
class Group:
    """Prompts that are computed in one step."""

    size: int = 0
    tokens: float = 0.0
    pairs: float = 0.0

    def add(self, one: Pending) -> None:
        """One more prompt."""
        self.size += 1
        self.tokens += one.uncached
        self.pairs += one.pairs


#: No prompt.
NOBODY = Group()


@dataclass(slots=True, frozen=True)
class Turn:
    """When the last in an agent's line has its turn, `start` seconds from now, and what it is computed `beside`.

    `decoding` sequences continue meanwhile; `residual`: a decode step has to end first; `offset` is what of it is past.
    """

    start: float
    beside: Group
    decoding: int
    residual: bool
    offset: float = 0.0


def play(state: AgentState, weights: Sequence[float], depth: int | None, now_s: float) -> Turn:
    """Play an agent's line forward until the next to be put there has its turn.

    `weights` are seconds per unit of `step_terms`; `depth` is how many the router lets the engine hold, `None` for all.
    """
    held, line = _split(state, depth, now_s)
    joins = depth is None or len(held) < depth
    if not held:
        return Turn(0.0, Group(), state.decoding, state.decoding > 0)
    first_s = min(one.sent_s for one in held if one.sent_s is not None)
    idle = first_s >= state.stepped_s
    residual = idle and state.decoding > 0
    begun_s = max(state.stepped_s, first_s)
    # Whoever came before the step began is in it. An idle engine begins with the first to come.
    closed_s = begun_s + weights[4] if residual else begun_s
    now, later = Group(), Group()
    for one in held:
        assert one.sent_s is not None
        early = one.sent_s <= closed_s if residual or not idle else now.size == 0 and one.sent_s == first_s
        (now if early else later).add(one)
    takes = step_seconds(weights, now, state.decoding, residual)
    if joins and residual and now_s <= closed_s:
        return Turn(0.0, now, state.decoding, residual, begun_s - now_s)
    end = max(begun_s + takes - now_s, OVERDUE * takes)
    if joins:
        return Turn(end, later, state.decoding + now.size, False)
    return _wait(line, [now, later] if later.size else [now], state.decoding, weights, end)


def _split(state: AgentState, depth: int | None, now_s: float) -> tuple[list[Pending], list[Pending]]:
    """What the engine holds, or is sent now, and what waits in the router's line."""
    held = [one for one in state.pending if one.sent_s is not None]
    line = [one for one in state.pending if one.sent_s is None]
    free = len(line) if depth is None else max(depth - len(held), 0)
    held += [Pending(one.prompt, one.cached, now_s) for one in line[:free]]
    return held, line[free:]


def step_terms(group: Group, decoding: int, residual: bool) -> Floats:
    """What a step's duration is linear in (`service_time`); `residual`: a decode step has to end first."""
    return np.array([1.0, group.tokens, group.pairs, decoding + group.size, float(residual)])


def step_seconds(weights: Sequence[float], group: Group, decoding: int, residual: bool) -> float:
    """Its duration."""
    base, token, pair, sequence, rest = weights
    seconds = base + token * group.tokens + pair * group.pairs + sequence * (decoding + group.size)
    return seconds + rest if residual else seconds


def _wait(line: list[Pending], groups: list[Group], decoding: int, weights: Sequence[float], end: float) -> Turn:
    """Play on while the router's line is longer than what the engine takes.

    As many are sent as a step has given first tokens; they are computed after those that the engine holds already.
    """
    done, place = groups.pop(0), 0
    decoding += done.size
    while True:
        sent = Group()
        for one in line[place : place + done.size]:
            sent.add(one)
        place += done.size
        # What is sent to an engine that computes no prompt waits for its decode step.
        residual = not groups
        if sent.size < done.size:
            start = end + (0.0 if residual else step_seconds(weights, groups[0], decoding, False))
            return Turn(start, sent, decoding, residual)
        groups.append(sent)
        done = groups.pop(0)
        end += step_seconds(weights, done, decoding, residual)
