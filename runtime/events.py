"""What happens to a request, as frozen events with a time; whoever subscribes sees them all, in order.

    Arrived -> Decided -> Dispatched -> FirstToken -> Served
       |          |            |             |
       +----------+------------|-------------|------> Declined
       |          |            |             |
       +----------+------------+-------------+------> Failed
                               |             |
                               +-------------+------> Abandoned

A `Failed` that is `retried` goes on as if it had just arrived; Served, Declined and any other Failed are the end.
Times are seconds on the event loop's clock, virtual or real. An event carries the `note` that the policy made when it
decided, so what was seen at dispatch travels with the request and nobody keeps a table of requests.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mechanisms import Preferences
from prediction import Tokens
from runtime.engines.engine import Completion, Request


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """A request that waits for an agent.

    `preferences` are as its bidder reported them. `tokens` holds its prompt as each of the M agents tokenises it;
    `turn` counts the assistant's messages in it, whatever the client claims. `refused` are the agents that have failed
    it already, do not serve the model that it asks for, or could not be asked how they tokenise it: it is not
    dispatched there.
    """

    request: Request
    preferences: Preferences
    tokens: tuple[Tokens, ...]
    turn: int
    arrived_s: float = 0.0
    refused: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the auction expected of a request on the agent it chose: latency from the decision, in seconds; credits."""

    latency_s: float
    cost: float
    quality: float


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """A request was admitted."""

    at_s: float
    offer: Offer


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """A round gave a request to an agent, at a charge in micro-units; it is in that agent's line now.

    `round` counts the router's rounds from 1.
    """

    at_s: float
    offer: Offer
    agent: int
    charge: int
    predicted: Prediction | None
    note: object
    round: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Dispatched:
    """A request was sent to its engine, where `decoding` others have their first token and are not done."""

    at_s: float
    offer: Offer
    agent: int
    decoding: int
    note: object


@dataclass(frozen=True, slots=True, eq=False)
class FirstToken:
    """An engine answered a request with its first token; of an answer that comes whole nobody sees it."""

    at_s: float
    offer: Offer
    agent: int
    note: object


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A request that was served, done at `at_s`; money in micro-units.

    `charge` is the bidder's final charge, `cost` what serving was measured to cost, `receipt` the agent's receipt.
    """

    at_s: float
    offer: Offer
    agent: int
    completion: Completion
    decided_s: float
    dispatched_s: float
    charge: int
    cost: int
    receipt: int
    quality: float | None
    predicted: Prediction | None
    note: object = None
    round: int = 0

    @property
    def request(self) -> Request:
        """What was asked."""
        return self.offer.request

    @property
    def arrived_s(self) -> float:
        """When it was admitted."""
        return self.offer.arrived_s

    @property
    def first_token_s(self) -> float:
        """Seconds the bidder waited for the first token, the auction's wait included."""
        return self.dispatched_s - self.arrived_s + self.completion.first_token_s

    @property
    def latency_s(self) -> float:
        """Seconds the bidder waited for the last token."""
        return self.dispatched_s - self.arrived_s + self.completion.latency_s


@dataclass(frozen=True, slots=True, eq=False)
class Declined:
    """A request that nobody served, and why; `at_s` is when its bidder was told.

    `code` is why for programs: `too_low`, worth less than it costs; `late`, its deadline passed; `no_room`, nobody had
    capacity for it.
    """

    at_s: float
    offer: Offer
    reason: str
    code: Literal["too_low", "late", "no_room"] = "too_low"

    @property
    def request(self) -> Request:
        """What was asked."""
        return self.offer.request

    @property
    def waited_s(self) -> float:
        """Seconds the bidder waited to be told."""
        return self.at_s - self.offer.arrived_s


@dataclass(frozen=True, slots=True, eq=False)
class Failed:
    """A request that an agent did not serve, or that was cancelled; `agent` is None before it had one.

    `retried` says that it goes back to a round, in `offer` as it goes; otherwise its bidder was told `error`.
    """

    at_s: float
    offer: Offer
    agent: int | None
    error: BaseException
    retried: bool
    note: object = None


@dataclass(frozen=True, slots=True, eq=False)
class Abandoned:
    """A request whose bidder hung up once it was being answered; money in micro-units.

    The bidder pays what the auction said, which no report of theirs could move, and the agent receives what the tokens
    up to then, as in `completion`, were measured to cost. Hanging up before the answer began costs nothing: that is
    `Failed`.
    """

    at_s: float
    offer: Offer
    agent: int
    charge: int
    cost: int
    receipt: int
    completion: Completion
    note: object = None
    round: int = 0


Event: TypeAlias = Arrived | Decided | Dispatched | FirstToken | Served | Declined | Failed | Abandoned

#: Sees every event; what it raises is logged at once and raised again when the router stops.
Subscriber = Callable[[Event], None]
