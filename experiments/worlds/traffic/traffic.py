"""`Traffic`: what drives a run, whatever it was made from."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from experiments.worlds.traffic.agents import SimulatedAgent
from mechanisms import Preferences
from runtime import Declined, Engine, Request, Served

#: Puts a request to the router with what its bidder reports, and gives what became of it.
Ask = Callable[[Request, Preferences], Awaitable[Served | Declined]]

#: Called after every request that is done with.
Progress = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Within:
    """How a part is drawn within a mix; alone, as it stands.

    Args:
        part: what names of conversations, of requests and of dialogues begin with.
        bidders: what names of bidders begin with, where the part has bidders of its own.
        graded: whether other parts are graded: what is only taken to be right then teaches nobody.
        arrivals: how many of its conversations, or requests of a trace, come; None for all.
        pace: how many times as fast they come.
    """

    part: str = ""
    bidders: str = ""
    graded: bool = False
    arrivals: int | None = None
    pace: float = 1.0

    def cut(self, starts_s: Sequence[float]) -> tuple[float, ...]:
        """Moments of those that come."""
        return tuple(at / self.pace for at in starts_s[: self.arrivals])


#: Traffic that is no part of any other.
ALONE = Within()


class Traffic(Protocol):
    """Requests of bidders over time, and how good each agent's answers to them are.

    The id of a request is its conversation's name, a slash, and its turn; conversations are what intervals resample.
    """

    @property
    def title(self) -> str:
        """What is asked, by the titles of files and of the parts of them that are used."""
        ...

    @property
    def measured(self) -> str:
        """Where the quality of answers comes from, in a sentence."""
        ...

    @property
    def turns(self) -> int:
        """Requests in all, if none is declined."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Conversations, in order."""
        ...

    @property
    def types(self) -> Mapping[str, Preferences]:
        """Every bidder's true preferences."""
        ...

    def bidder(self, name: str) -> str:
        """Whose a conversation is."""
        ...

    def graded(self, name: str) -> bool:
        """Whether anybody can tell right answers of a conversation from wrong ones."""
        ...

    def quality(self, agent: SimulatedAgent, request: str) -> float:
        """The chance that an agent's answer to a request is right; where nobody can tell 0, or 1 if taken so."""
        ...

    def grade(self, request: Request, text: str) -> float | None:
        """How right an answer is, in [0, 1]; None where nobody can tell."""
        ...

    def engine(self, agent: SimulatedAgent) -> Engine:
        """A simulated engine with an empty cache that answers as the agent does."""
        ...

    async def hold(self, ask: Ask, progress: Progress = lambda: None) -> None:
        """Ask everything at its moment; returns when the last request is done with."""
        ...


def conversation_of(request: str) -> str:
    """The name of the conversation that a request id belongs to."""
    return request.rpartition("/")[0]


async def begin_all(starts_s: Sequence[float], begin: Callable[[int], Coroutine[None, None, None]]) -> None:
    """Begin each at its moment, in seconds from now, those of one moment in their order; returns when the last is done.

    Raises:
        Exception: what the first that fails raises; the others are cancelled.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.TaskGroup() as begun:
            # Only what has begun has a task: a long run is to stay small.
            for k in sorted(range(len(starts_s)), key=starts_s.__getitem__):
                late = began + starts_s[k] - loop.time()
                if late > 0:
                    await asyncio.sleep(late)
                begun.create_task(begin(k))
    except* Exception as group:
        raise group.exceptions[0] from None
