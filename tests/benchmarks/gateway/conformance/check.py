"""What a check is: a name, what it needs, and a coroutine over a proxy that fails with a reason."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.gateway.engines import Engine, Seen
from tests.benchmarks.gateway.peers import Proxy
from tests.benchmarks.gateway.wire import CHAT, Connection, Reply, ask, connect, openai_error, request

Run = Callable[["Subject"], Awaitable[None]]


class Failed(AssertionError):  # noqa: N818
    """Why a check does not pass."""


@dataclass(frozen=True)
class Check:
    """One thing that holds or does not.

    Args:
        name: what holds, in words.
        group: the module it comes from.
        needs: `openai`, `litellm`, `curl`: what must be installed; `key`: a proxy that asks for one.
        run: raises if it does not hold.
    """

    name: str
    group: str
    run: Run
    needs: frozenset[str] = frozenset()


#: Every check, in the order in which they are written.
CHECKS: list[Check] = []


def check(name: str, *needs: str) -> Callable[[Run], Run]:
    """Add a check to the table."""

    def add(run: Run) -> Run:
        CHECKS.append(Check(name, run.__module__.rpartition(".")[2], run, frozenset(needs)))
        return run

    return add


def equal(found: object, wanted: object, what: str) -> None:
    """Raises unless both are the same."""
    if found != wanted:
        raise Failed(f"{what} is {found!r:.300}, not {wanted!r:.300}")


def holds(condition: object, what: str) -> None:
    """Raises unless it is true."""
    if not condition:
        raise Failed(what)


def refuses(reply: Reply, *statuses: int) -> dict[str, Any]:
    """Raises unless it is an error in OpenAI's schema with one of these statuses."""
    said = f"{reply.status} {reply.body[:200]!r}" if reply.status else f"no answer ({reply.error})"
    holds(reply.status in statuses, f"the answer is {said}, not one of {statuses}")
    error = openai_error(reply.body)
    if error is None:
        raise Failed(f"no error in OpenAI's schema: {said}")
    holds(reply.header("content-type").startswith("application/json"), "an error is not application/json")
    return error


@dataclass
class Subject:
    """A proxy under judgement, and what a check does with it."""

    proxy: Proxy
    number: int = 0
    timeout: float = 15.0
    _open: list[Connection] = field(default_factory=list)

    @property
    def base(self) -> str:
        """The address."""
        return self.proxy.base

    @property
    def engines(self) -> Sequence[Engine]:
        """Behind it."""
        return self.proxy.engines

    @property
    def tag(self) -> str:
        """Words of this check's own."""
        return f"k{self.number}"

    def body(self, text: str = "", **fields: Any) -> dict[str, Any]:
        """A chat of one turn."""
        turn = {"role": "user", "content": f"{text} #{self.tag}#"}
        return {"model": "fake", "messages": [turn], "max_tokens": 64} | fields

    async def ask(
        self,
        body: bytes | Mapping[str, Any] | None = None,
        path: str = CHAT,
        method: str = "POST",
        headers: Iterable[tuple[str, str]] = (),
        key: bool = True,
        deadline: float = 10.0,
    ) -> Reply:
        """One request on a connection of its own."""
        asked = body if body is not None else self.body() if method == "POST" else b""
        own = self.proxy.headers if key else []
        return await ask(self.base, asked, path, method, [*own, *headers], deadline)

    def raw(self, body: bytes | Mapping[str, Any] | None = None, path: str = CHAT, method: str = "POST") -> bytes:
        """A request as bytes."""
        return request(method, path, self.body() if body is None else body, self.proxy.headers)

    async def connect(self) -> Connection:
        """A connection, closed after the check."""
        made = await connect(self.base)
        self._open.append(made)
        return made

    async def seen(self) -> list[Seen]:
        """What engines got of this check."""
        mark = f"#{self.tag}#".encode()
        return [one for engine in self.engines for one in await engine.seen() if mark in one.body]

    async def sent(self, body: bytes | Mapping[str, Any], **how: Any) -> tuple[Reply, Seen]:
        """The answer, and the request as the engine got it."""
        reply = await self.ask(body, **how)
        holds(reply.status == 200, f"the answer is {reply.status} {reply.body[:200]!r} ({reply.error})")
        seen = await self.seen()
        equal(len(seen), 1, "the number of requests at engines")
        return reply, seen[0]

    async def begin(self) -> None:
        """Engines forget what was before."""
        self.number += 1
        await asyncio.gather(*(engine.reset() for engine in self.engines))
        await asyncio.gather(*(engine.tell(record=True) for engine in self.engines))

    async def end(self) -> None:
        """Hang up, and wait until plain requests are served again."""
        for connection in self._open:
            connection.close()
        self._open.clear()
        for engine in self.engines:
            while not await engine.state():
                if not engine.alive:
                    engine.start()
                await asyncio.sleep(0.05)
        await asyncio.gather(*(engine.reset() for engine in self.engines))
        fine = 0
        for _ in range(100):
            reply = await self.ask(self.body(), deadline=3.0)
            fine = fine + 1 if reply.status == 200 else 0
            if fine == 2:
                return
            if not fine:
                await asyncio.sleep(0.1)
