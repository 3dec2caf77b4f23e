"""What decides in a round: a `Policy` is offered requests and a fleet, and decides who serves whom at what charge.

The auction is one policy; routers without prices are others. All see the same offers and learn from completions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mechanisms import Outcome, Preferences
from prediction import Measured, QoS, TokenPrices
from runtime.engines.engine import Completion, EngineInfo, Request


@dataclass(frozen=True, slots=True, eq=False)
class Agent:
    """An engine as the market sees it.

    `slots` is its capacity, how many requests the router lets it serve at once, `prices` its price list.
    """

    name: str
    info: EngineInfo
    prices: TokenPrices
    slots: int


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """A request that waits for an agent.

    `preferences` are as its bidder reported them. `tokens` holds its prompt as each of the M agents tokenises it;
    `turn` counts the assistant's messages in it, whatever the client claims.
    """

    request: Request
    preferences: Preferences
    tokens: tuple[tuple[int, ...], ...]
    turn: int


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """The M agents as a round begins.

    `inflight` (M,) counts requests being served, `alive` (M,) marks who is up, and `prefilling` holds, per agent, the
    ids of requests in flight whose first token has not come yet.
    """

    agents: tuple[Agent, ...]
    inflight: NDArray[np.int64]
    alive: NDArray[np.bool_]
    prefilling: tuple[frozenset[str], ...]

    @property
    def slots(self) -> NDArray[np.int64]:
        """(M,) capacity: requests each agent may serve at once."""
        return np.array([agent.slots for agent in self.agents], dtype=np.int64)

    @property
    def free(self) -> NDArray[np.int64]:
        """(M,) free capacity: requests each agent may take now; 0 where it is dead."""
        return np.where(self.alive, np.maximum(self.slots - self.inflight, 0), 0)


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What a round decided for its N offers.

    `agents` (N,) with `allocation.UNSERVED` for those that wait; `charges` (N,) micro-units, zero from a policy
    without prices; `outcome` is the auction's, `predicted` what it rested on, both None without an auction.
    """

    agents: NDArray[np.int64]
    charges: NDArray[np.int64]
    predicted: QoS | None = None
    outcome: Outcome | None = None


class Policy(Protocol):
    """Decides rounds and learns from completions. `decide` must not change what a later `decide` would answer."""

    name: str

    def attach(self, agents: Sequence[Agent]) -> None:
        """Meet the fleet, once, before the first round."""
        ...

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Decide who serves whom."""
        ...

    def learn(self, offer: Offer, agent: int, completion: Completion, measured: Measured) -> None:
        """Take note of a served request."""
        ...
