"""A request between `submit` and its answer, and its place with an agent."""

import asyncio
from dataclasses import dataclass, field
from functools import cached_property
from math import inf

from runtime.accounts.books import Entry
from runtime.engines.engine import Completion
from runtime.errors import Busy, FailedEverywhereError, Refused
from runtime.events import Declined, Offer, Prediction, Served
from runtime.policies.policy import Job
from runtime.rounds.requests.relay import HungUp, Live, Relayed


@dataclass(eq=False)
class Waiting:
    """A request between `submit` and its answer; times on the loop's clock.

    `patience_s` is what is left of the time for which it may wait in the queue, where it is since `queued_s`.
    `failed_by` are the agents that failed it, in order; `busy_s` are the seconds after which those that were busy want
    to be asked again, `refused` what those said that do not know it; `unsent` counts those that it never reached. Where
    bytes are passed on (`relayed`), `begun` is told the answer as soon as it begins, or what came instead.
    """

    offer: Offer
    answer: "asyncio.Future[Served | Declined]"
    patience_s: float
    queued_s: float
    placed: "Placed | None" = None
    timer: asyncio.TimerHandle | None = None
    errors: list[str] = field(default_factory=list)
    failed_by: list[int] = field(default_factory=list)
    busy_s: list[float] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    unsent: int = 0
    relayed: Relayed | None = None
    begun: "asyncio.Future[Live | Declined] | None" = None

    @cached_property
    def due_s(self) -> float:
        """When nobody wants an answer any more: never, where more than this answer is at stake."""
        reported = self.offer.preferences
        return inf if reported.stake > 0 else self.offer.arrived_s + reported.deadline

    def late(self, now_s: float) -> bool:
        """Whether nobody wants an answer any more, to a clock's resolution."""
        return self.due_s < inf and now_s >= self.due_s - 1e-9 * max(1.0, self.due_s)

    def lateness(self) -> str:
        """Why it is declined once it is late."""
        return f"its deadline of {self.offer.preferences.deadline:g} s passed"

    def failure(self, *more: str) -> FailedEverywhereError | Busy | Refused:
        """Why it is given up: that it fails, or that nobody took it."""
        told = "; ".join([*self.errors, *more])
        if self.errors and len(self.refused) == len(self.errors):
            return self.refused[-1]
        if self.errors and len(self.busy_s) == len(self.errors):
            return Busy(f"nobody takes request {self.offer.request.id} for now: {told}", min(self.busy_s))
        return FailedEverywhereError(f"request {self.offer.request.id} failed wherever it was tried: {told}")

    def resolve(self, outcome: Served | Declined) -> None:
        """Tell the bidder, if they still listen."""
        self.close()
        if not self.answer.done():
            self.answer.set_result(outcome)
        if isinstance(outcome, Declined):
            self.begin(outcome)

    def begin(self, told: Live | Declined) -> None:
        """Tell who waits for bytes that the answer has begun, or that there is none."""
        if self.begun is not None and not self.begun.done():
            self.begun.set_result(told)

    def fail(self, error: BaseException) -> None:
        """Tell the bidder that it went wrong."""
        self.close()
        if not self.answer.done():
            self.answer.set_exception(error)
        if self.begun is not None:
            # Whoever relays looks at the answer's beginning alone.
            if not self.answer.cancelled():
                self.answer.exception()
            if not self.begun.done():
                self.begun.set_exception(error)

    def told(self) -> BaseException | None:
        """The error that the bidder was told, if any."""
        done = self.answer.done() and not self.answer.cancelled()
        return self.answer.exception() if done else None

    def close(self) -> None:
        """Nothing will be timed any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


@dataclass(slots=True, eq=False)
class Placed:
    """A request that was given to an agent; times on the loop's clock."""

    waiting: Waiting
    agent: int
    charge: int
    predicted: Prediction | None
    note: object
    decided_s: float
    #: Its last try, and its neighbours may have broken those before: nobody is served beside it.
    alone: bool = False
    hold: Entry | None = None
    sent_s: float | None = None
    first_token_s: float | None = None
    round: int = 0
    live: Live | None = None
    task: "asyncio.Task[Completion] | None" = None
    #: As policies see it; every round asks, so it is made anew only where it changes.
    job: Job = field(init=False)

    def __post_init__(self) -> None:
        self._tell()

    def sent(self, now_s: float) -> None:
        """It was dispatched."""
        self.sent_s = now_s
        self._tell()

    def began(self, now_s: float) -> None:
        """Its first token came."""
        self.first_token_s = now_s
        self._tell()

    def _tell(self) -> None:
        self.job = Job(self.note, self.sent_s, self.first_token_s, self.waiting.offer.request.stream)

    def hung_up(self, error: BaseException | None) -> bool:
        """Whether its bidder left it, being passed on, once it was being answered.

        An answer that comes whole is computed from its dispatch on, so that leaving it is leaving an answer.
        """
        relayed = self.waiting.relayed
        if relayed is None:
            return False
        whole = not relayed.request.stream and self.waiting.answer.cancelled()
        return isinstance(error, HungUp) or (whole and isinstance(error, asyncio.CancelledError))
