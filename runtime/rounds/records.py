"""What goes into a round and what comes out of it: its rules, its records, its totals."""

from dataclasses import dataclass, field
from math import isfinite

from runtime.engines.engine import Completion, Request
from runtime.errors import ServingError


@dataclass(frozen=True, slots=True)
class RoundRules:
    """When a round closes, and who takes part.

    Args:
        window_s: seconds after which a round closes.
        max_batch: requests at which it closes before.
        patience_s: seconds after which a request that still waits is declined.
        slots: the most requests an agent may serve at once, its capacity; None takes the engine's own number.

    Raises:
        ServingError: a rule under which no round could ever close, or nobody be served.

    Example:
        >>> RoundRules(slots=2)
        RoundRules(window_s=0.01, max_batch=16, patience_s=120.0, slots=2)
    """

    window_s: float = 0.01
    max_batch: int = 16
    patience_s: float = 120.0
    slots: int | None = None

    def __post_init__(self) -> None:
        if not _at_least(0, self.window_s):
            raise ServingError(f"window_s = {self.window_s!r}; expected seconds >= 0")
        if not _at_least(0, self.patience_s):
            raise ServingError(f"patience_s = {self.patience_s!r}; expected seconds >= 0")
        if not _is_count(self.max_batch):
            raise ServingError(f"max_batch = {self.max_batch!r}; a round takes at least 1 request")
        if self.slots is not None and not _is_count(self.slots):
            raise ServingError(f"slots = {self.slots!r}; an agent serves at least 1 request, None for its own number")


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the auction expected of a request on the agent it chose."""

    latency_s: float
    cost: float
    quality: float


@dataclass(frozen=True, slots=True)
class Served:
    """A request that was served: times in seconds on the loop's clock, money in micro-units.

    `charge` is the bidder's final charge, `cost` what serving was measured to cost, `receipt` the agent's receipt.
    """

    request: Request
    agent: int
    completion: Completion
    arrived_s: float
    dispatched_s: float
    charge: int
    cost: int
    receipt: int
    quality: float | None
    predicted: Prediction | None

    @property
    def first_token_s(self) -> float:
        """Seconds the bidder waited for the first token, the auction's wait included."""
        return self.dispatched_s - self.arrived_s + self.completion.first_token_s

    @property
    def latency_s(self) -> float:
        """Seconds the bidder waited for the last token."""
        return self.dispatched_s - self.arrived_s + self.completion.latency_s


@dataclass(frozen=True, slots=True)
class Declined:
    """A request that nobody served, and why."""

    request: Request
    reason: str


@dataclass(slots=True)
class RoundStatistics:
    """What the rounds of a run add up to.

    `decide_s` is the policy's own computing time, in real seconds; `mistokenised` counts, by engine, the requests whose
    prompt the engine served as other tokens than it had said before. `deficits` and `losses` count the rounds in which,
    on the market as predicted and reported, charges were below receipts, and a bidder's value below their charges.
    """

    rounds: int = 0
    contested: int = 0
    decide_s: list[float] = field(default_factory=list)
    predicted_welfare: int = 0
    predicted_surplus: int = 0
    mistokenised: dict[str, int] = field(default_factory=dict)
    deficits: int = 0
    losses: int = 0


def _at_least(least: float, value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= least and isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
