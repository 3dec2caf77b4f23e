"""What goes into a round and what comes out of it: its rules, its records, its totals."""

from dataclasses import dataclass, field

from runtime.engines.engine import Completion, Request


@dataclass(frozen=True, slots=True)
class RoundRules:
    """When a round closes, and who takes part.

    Args:
        window_s: seconds after which a round closes.
        max_batch: requests at which it closes before.
        patience_s: seconds after which a request that still waits is declined.
        slots: the most requests an agent may serve at once, its capacity; None takes the engine's own number.

    Example:
        >>> RoundRules(slots=2)
        RoundRules(window_s=0.01, max_batch=16, patience_s=120.0, slots=2)
    """

    window_s: float = 0.01
    max_batch: int = 16
    patience_s: float = 120.0
    slots: int | None = None


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
    """What the rounds of a run add up to; `decide_s` is the policy's own computing time, in real seconds."""

    rounds: int = 0
    contested: int = 0
    decide_s: list[float] = field(default_factory=list)
    predicted_welfare: int = 0
    predicted_surplus: int = 0
