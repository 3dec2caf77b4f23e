"""`Traffic`: what drives a run, whatever it was made from."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from experiments.worlds.traffic.agents import SimulatedAgent
from mechanisms import Preferences
from runtime import Declined, Engine, Request, Served

#: Puts a request to the router with what its bidder reports, and gives what became of it.
Ask = Callable[[Request, Preferences], Awaitable[Served | Declined]]

#: Called after every request that is done with.
Progress = Callable[[], None]


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
        """The chance that an agent's answer to a request is right; 0 where nobody can tell."""
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
