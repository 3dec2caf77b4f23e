"""An answer on its way to a client: the engine's bytes, our headers, and a receipt where the client looks for usage."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import orjson

from allocation.money import MICROS
from runtime.engines.request import Completion
from runtime.gateway.requests.backend import Asked
from runtime.rounds.requests.relay import Live


def credits(micros: int) -> str:
    """An amount of micro-units in credits, exactly.

    Example:
        >>> credits(1_500_000), credits(-20)
        ('1.5', '-0.00002')
    """
    whole, rest = divmod(abs(micros), MICROS)
    digits = f"{rest:06d}".rstrip("0")
    return ("-" if micros < 0 else "") + (f"{whole}.{digits}" if digits else str(whole))


@dataclass(frozen=True, slots=True)
class Words:
    """An answer that is there already: what an engine said as it refused."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body, once."""
        yield self.body

    async def aclose(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What of a receipt is known once an answer begins: `stated_by` says who stated which figure of the bid."""

    id: str
    agent: str
    model: str
    round: int
    stated_by: Mapping[str, str]


def told(facts: Facts, measured: Completion, charge: int, cost: int) -> dict[str, object]:
    """A receipt, from what was measured and what came of it in micro-units."""
    return {
        "id": facts.id,
        "agent": facts.agent,
        "model": facts.model,
        "round": facts.round,
        "price": credits(charge),
        "cost": credits(cost),
        "tokens": {
            "prompt": measured.prompt_tokens,
            "cached": measured.cached_tokens,
            "output": measured.output_tokens,
        },
        "stated_by": dict(facts.stated_by),
    }


class Passing:
    """A `Live` answer as a client gets it.

    Args:
        asked: the request.
        live: the engine's answer.
        agent, model: who answers, by name.
    """

    def __init__(self, asked: Asked, live: Live, agent: str, model: str) -> None:
        self._asked, self._live = asked, live
        self.facts = Facts(asked.id, agent, model, live.round, asked.stated.sources)
        self.status = live.status
        self.headers = {
            "content-type": live.headers.get("content-type", "application/json"),
            "x-iemas-agent": agent,
            "x-iemas-model": model,
            "x-iemas-round": str(live.round),
            "x-iemas-price": credits(live.charge),
        }

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self if self._asked.body.stream and self._asked.body.hides_usage else self._with_receipt()

    async def __anext__(self) -> bytes:
        return await anext(self._live)

    async def aclose(self) -> None:
        """Nobody wants the rest."""
        await self._live.aclose()

    def receipt(self) -> dict[str, object]:
        """What was measured and what it costs, up to now."""
        return told(self.facts, *self._live.receipt())

    async def _with_receipt(self) -> AsyncIterator[bytes]:
        streamed = self._asked.body.stream
        async for event in self._live:
            if streamed and not tells_usage(event):
                yield event
            else:
                yield spliced(event, self.receipt())


def spliced(event: bytes, receipt: Mapping[str, object]) -> bytes:
    """A body or an event with a receipt as its last member, every other byte as it was.

    Example:
        >>> spliced(b'data: {"choices": []}', {"price": "2"})
        b'data: {"choices": [],"iemas":{"price":"2"}}'
    """
    end = event.rfind(b"}")
    if end < 0:
        return event
    told = b'"iemas":' + orjson.dumps(receipt)
    first = event[:end].rstrip().endswith(b"{")
    return event[:end] + (b"" if first else b",") + told + event[end:]


def tells_usage(event: bytes) -> bool:
    """Whether an event only tells usage: the one that a client who did not ask for it must not see.

    Example:
        >>> tells_usage(b'data: {"choices": [], "usage": {"prompt_tokens": 3}}')
        True
    """
    if b'"usage"' not in event:
        return False
    lines = [line.removeprefix(b"data:") for line in event.splitlines() if line.startswith(b"data:")]
    try:
        told = orjson.loads(b"\n".join(lines))
    except orjson.JSONDecodeError:
        return False
    return isinstance(told, dict) and not told.get("choices") and isinstance(told.get("usage"), dict)
