"""The rules of rounds, and what the rounds of a run add up to."""

from collections import deque
from collections.abc import MutableSequence
from dataclasses import dataclass, field
from math import isfinite

from runtime.errors import ServingError
from runtime.policies.policy import Decision


@dataclass(frozen=True, slots=True)
class RoundRules:
    """When a round closes, and who takes part.

    Args:
        window_s: seconds after which a round closes.
        max_batch: requests at which it closes before.
        patience_s: seconds in the queue after which a request is declined; a place in an agent's line is for good.
        slots: the most requests an agent may serve at once, its capacity; None takes the engine's own number.
        depth: the most requests an engine is given before their first token, so that the next in an agent's line
            starts when the one before has it; None gives an engine all that its capacity allows, to compute together.
        attempts: agents that a request is tried on before its failures are taken to be its own; on the last it is
            served alone.

    Raises:
        ServingError: a rule under which no round could ever close, or nobody be served.

    Example:
        >>> RoundRules(slots=2)
        RoundRules(window_s=0.01, max_batch=16, patience_s=120.0, slots=2, depth=None, attempts=3)
    """

    window_s: float = 0.01
    max_batch: int = 16
    patience_s: float = 120.0
    slots: int | None = None
    depth: int | None = None
    attempts: int = 3

    def __post_init__(self) -> None:
        if not _at_least(0, self.window_s):
            raise ServingError(f"window_s = {self.window_s!r}; expected seconds >= 0")
        if not _at_least(0, self.patience_s):
            raise ServingError(f"patience_s = {self.patience_s!r}; expected seconds >= 0")
        if not _is_count(self.max_batch):
            raise ServingError(f"max_batch = {self.max_batch!r}; a round takes at least 1 request")
        if self.slots is not None and not _is_count(self.slots):
            raise ServingError(f"slots = {self.slots!r}; an agent serves at least 1 request, None for its own number")
        if self.depth is not None and not _is_count(self.depth):
            raise ServingError(f"depth = {self.depth!r}; an engine is given at least 1 request, None for no such limit")
        if not _is_count(self.attempts):
            raise ServingError(f"attempts = {self.attempts!r}; a request is tried at least once")


#: Rounds whose computing time is kept.
_REMEMBERED = 100_000


@dataclass(slots=True)
class RoundStatistics:
    """What the rounds of a run add up to.

    `decide_s` is the policy's own computing time in the last rounds, in real seconds; `mistokenised` counts, by engine,
    the requests whose prompt the engine served as other tokens than it had said before. `deficits` and `losses` count
    the rounds in which, on the market as predicted and reported, charges were below receipts, and a bidder's value
    below their charges. `decided` counts the requests that an auction gave to an agent, `contested` those of them who
    had to pay for displacing somebody.
    """

    rounds: int = 0
    decided: int = 0
    contested: int = 0
    decide_s: MutableSequence[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    predicted_welfare: int = 0
    predicted_surplus: int = 0
    mistokenised: dict[str, int] = field(default_factory=dict)
    deficits: int = 0
    losses: int = 0

    def count(self, decision: Decision, seconds: float) -> None:
        """Add a round, decided in so many seconds."""
        self.rounds += 1
        self.decide_s.append(seconds)
        if decision.outcome is None:
            return
        outcome = decision.outcome
        self.predicted_welfare += outcome.welfare
        self.predicted_surplus += outcome.surplus
        self.deficits += outcome.surplus < 0
        self.losses += min(outcome.bidder_utilities().values(), default=0) < 0
        self.decided += int((decision.agents >= 0).sum())
        if decision.displaced is not None:
            self.contested += int(decision.displaced.sum())


def _at_least(least: float, value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= least and isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
