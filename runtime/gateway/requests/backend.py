"""What the HTTP side asks of whatever serves, and what it gets back."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from runtime.gateway.requests.preferences import Stated
from runtime.gateway.requests.splice import Body


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was admitted.

    Args:
        id: made by us; books and receipts go by it.
        bidder: whose key it came under.
        path: where it was sent, such as `/v1/chat/completions`.
        body: what it asks; `bytes_for` is what an engine is sent.
        agents: numbers of the agents that may serve it, as in the fleet.
        stated: what it is worth, and who said so.
        max_tokens: the bound on each answer's tokens, the operator's where the client gave none; None where the answer
            has no tokens, as embeddings have none.
        least_tokens: those that each answer is made to have.
        headers: those of the client's that an engine may see.
        key: the name of its key, where the books hold it and count what it spends.
    """

    id: str
    bidder: str
    path: str
    body: Body
    agents: tuple[int, ...]
    stated: Stated
    max_tokens: int | None
    headers: Mapping[str, str]
    key: str | None = None
    least_tokens: int = 0

    def bytes_for(self, model: str | None) -> bytes:
        """The body for an engine that calls the model so."""
        return self.body.bytes_for(model, self.max_tokens)


class Answer(Protocol):
    """An answer that has begun: its status and headers are known, nothing of it was sent on."""

    @property
    def status(self) -> int:
        """Of HTTP; from 400 on the body is the engine's own refusal, which goes on unchanged."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """What the client shall see beside our own: `content-type`, `x-iemas-agent` and the like."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Whole server-sent events, or one body in pieces; raises what broke."""
        ...

    async def aclose(self) -> None:
        """Nobody wants the rest; idempotent."""
        ...


class Backend(Protocol):
    """Serves requests; cancelling `submit` withdraws the request, also one whose answer has just begun."""

    def ready(self) -> bool:
        """Whether anybody could be served now."""
        ...

    def receipt(self, name: str, bidder: str) -> Mapping[str, object] | None:
        """What a request of this bidder came to, None if none of theirs is remembered under this name."""
        ...

    async def proof(self, name: str, bidder: str) -> Mapping[str, object] | None:
        """What proves this bidder the price of a request of theirs, None if there is nothing to show."""
        ...

    async def submit(self, asked: Asked) -> Answer:
        """Have a request served; raises a `Problem` or a `ServingError` where nobody serves it."""
        ...
