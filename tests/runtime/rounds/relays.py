"""Requests whose bytes are passed on, and engines that fail them on the way."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from math import inf
from typing import Any

from runtime import EngineShape, Refused, Request, SimulatedEngine
from runtime.engines.call import Answer, Call, View
from runtime.errors import Broken
from runtime.rounds.requests.relay import Relayed
from tests.runtime.fleet import STEP

#: An answer of some tokens.
REPLY = "one two three four five six"


class Wrapped:
    """An answer that breaks off after so many events."""

    def __init__(self, answer: Answer, events: int) -> None:
        self._answer, self._left = answer, events
        self._events = aiter(answer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer, name)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._left == 0:
            await self._answer.aclose()
            raise Broken("the process is gone")
        self._left -= 1
        return await anext(self._events)


class Fallible(SimulatedEngine):
    """Before each call it asks `fault`: an exception is raised, a number lets so many events through."""

    def __init__(self, name: str, fault: Callable[[Call], BaseException | int | None], **shape: int) -> None:
        super().__init__(name, lambda request: REPLY, STEP, EngineShape(**shape))
        self.fault = fault
        self.calls: list[Call] = []

    async def open(self, call: Call, deadline: float = inf) -> Answer:
        self.calls.append(call)
        fault = self.fault(call)
        if isinstance(fault, BaseException):
            await asyncio.sleep(0.01)
            raise fault
        answer = await super().open(call, deadline)
        return answer if fault is None else Wrapped(answer, fault)  # type: ignore[return-value]


def sound(name: str = "a", **shape: int) -> Fallible:
    return Fallible(name, lambda call: None, **shape)


def asked(
    name: str, *, agents: Sequence[int] = (0, 1), stream: bool = True, bidder: str = "", max_tokens: int = 16
) -> Relayed:
    """A conversation of one message to whoever may serve it."""
    body = json.dumps(
        {
            "model": "m",
            "messages": [{"role": "user", "content": f"question {name}"}],
            "stream": stream,
            "max_tokens": max_tokens,
        }
    ).encode()
    view = View.read(body)
    return Relayed(
        Request(name, bidder or name, (), max_tokens, stream=stream),
        tuple(agents),
        tuple(body),
        0,
        lambda agent, attempt: Call(name, body, view, bidder or name, attempt=attempt),
    )


async def read(live: Any) -> list[bytes]:
    return [event async for event in live]


REFUSED = Refused("no such thing", 422, b'{"error": {"message": "no such thing"}}')
