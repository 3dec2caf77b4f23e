"""What decides in a round: a `Policy` is offered requests and a fleet, and decides who serves whom at what charge.

The auction is one policy; routers without prices are others. All see the same offers, the same fleet and the same
events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mechanisms import Outcome
from prediction import TokenPrices
from runtime.engines.engine import CacheContents, EngineInfo
from runtime.events import Event, Offer, Prediction

#: In `Decision.agents`: not decided, competes again in a later round. (`allocation.UNSERVED` is declined for good.)
WAITING = -2


@dataclass(frozen=True, slots=True, eq=False)
class Agent:
    """An engine as the market sees it.

    `slots` is its capacity, how many requests the router lets it serve at once, `prices` its price list, `depth` how
    many requests it is given before their first token, None for as many as it takes. `contents` is what it publishes of
    its cache, None where it publishes nothing.
    """

    name: str
    info: EngineInfo
    prices: TokenPrices
    slots: int
    depth: int | None = None
    contents: CacheContents | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A request that was given to an agent and is not done.

    `note` is what the policy noted when it decided. `sent_s` is when the router dispatched it, None while it is in the
    agent's line; `first_token_s` when its first token came, None before, and for ever where the answer comes whole and
    nobody sees it (`streamed` is False).
    """

    note: object
    sent_s: float | None = None
    first_token_s: float | None = None
    streamed: bool = True

    @property
    def computing(self) -> bool:
        """Whether its prompt is still to be computed, as far as anybody can see."""
        return self.first_token_s is None and (self.streamed or self.sent_s is None)


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """The M agents as a round begins: all that is public, and nothing that a waiting bidder reports.

    `jobs` holds each agent's work, what was dispatched first, then its line, both in order. `alive` (M,) marks who is
    up; `stepped_s` (M,) is when each agent last produced a first token, -inf if never.
    """

    agents: tuple[Agent, ...]
    alive: NDArray[np.bool_]
    jobs: tuple[tuple[Job, ...], ...]
    now_s: float = 0.0
    stepped_s: NDArray[np.float64] | None = None

    @property
    def inflight(self) -> NDArray[np.int64]:
        """(M,) requests being served."""
        return np.array([sum(job.sent_s is not None for job in jobs) for jobs in self.jobs], dtype=np.int64)

    @property
    def load(self) -> NDArray[np.int64]:
        """(M,) requests being served or in line."""
        return np.array([len(jobs) for jobs in self.jobs], dtype=np.int64)

    @property
    def slots(self) -> NDArray[np.int64]:
        """(M,) capacity: requests each agent may serve at once."""
        return np.array([agent.slots for agent in self.agents], dtype=np.int64)

    @property
    def free(self) -> NDArray[np.int64]:
        """(M,) free capacity: requests each agent may take now; 0 where it is dead."""
        return np.where(self.alive, np.maximum(self.slots - self.load, 0), 0)

    def last_token_s(self, agent: int) -> float:
        """When an agent last produced a first token, -inf if never."""
        return -inf if self.stepped_s is None else float(self.stepped_s[agent])


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What a round decided for its N offers.

    `agents` (N,) with `allocation.UNSERVED` for those that are declined and `WAITING` for those that compete again;
    `charges` (N,) micro-units, zero from a policy without prices. Requests of one agent join its line by `positions`
    (N,), in the order of the offers where that is None. `notes` go with each request into its events and `Job`;
    `predicted` is what the decision rested on, request by request; `outcome` is the auction's; `displaced` (N,) marks
    who pays for displacing somebody else; `refusals` say of each that is declined why, where the policy knows.
    """

    agents: NDArray[np.int64]
    charges: NDArray[np.int64]
    predicted: Sequence[Prediction | None] = ()
    outcome: Outcome | None = None
    positions: NDArray[np.int64] | None = None
    notes: Sequence[object] = ()
    displaced: NDArray[np.bool_] | None = None
    refusals: Sequence["Refusal | None"] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is declined, in words for its bidder and one for programs, as `Declined` has them."""

    reason: str
    code: Literal["too_low", "late"] = "too_low"


class Policy(Protocol):
    """Decides rounds, and sees all events. `decide` must not change what a later `decide` would answer.

    One that decides each request alone says `gathers = False`: a gateway then waits for no others.

    A policy that can take one agent more while it serves has `def join(self, agent: Agent) -> None`: it is the last.
    """

    name: str

    def attach(self, agents: Sequence[Agent]) -> None:
        """Meet the fleet, once, before the first round."""
        ...

    def ready(self, fleet: Fleet) -> bool:
        """Whether to hold a round now rather than gather more requests; asked again after every event.

        Sees the fleet alone, so no report can move when a round is held. A policy that gathers must be ready when
        nothing is being served.
        """
        ...

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Decide who serves whom."""
        ...

    def notice(self, event: Event) -> None:
        """Take note of what happened to a request."""
        ...
