"""What reading and splicing a body costs, beside parsing it with the standard library and writing it anew.

Microseconds are the least of many runs; held is the ratio to `json.loads` and `json.dumps`, which lose digits as well.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from runtime.gateway.app import Gateway
from runtime.gateway.requests.backend import Asked
from runtime.gateway.requests.splice import read
from tests.runtime.gateway.fleets import fleet

TURN = {"role": "user", "content": 'so "far" it was\n' * 62}
BODIES = {
    "small": {"model": "auto", "messages": [{"role": "user", "content": "hi"}]},
    "100 turns": {"model": "auto", "messages": [TURN] * 100},
    "one prompt": {"model": "auto", "messages": [{"role": "user", "content": "and so it was " * 7200}]},
    "token ids": {"model": "auto", "prompt": list(range(17_000))},
    "tools": {"model": "auto", "tools": [{"type": "function", "function": {"parameters": {"a": {}}}}] * 1400},
}


def least_us(call: Callable[[], object], seconds: float = 0.5) -> float:
    until, best = time.perf_counter() + seconds, float("inf")
    while time.perf_counter() < until:
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return 1e6 * best


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_spliced_faster_than_it_is_written_anew(name: str, row: list[dict[str, object]]) -> None:
    raw = json.dumps(BODIES[name] | {"stream": True, "iemas": {"worth": 2.0}}).encode()
    spliced = least_us(lambda: read(raw).bytes_for("tiny"))
    written = least_us(lambda: json.dumps(json.loads(raw)).encode())
    figures = {"bytes": len(raw), "spliced us": round(spliced, 1), "written anew us": round(written, 1)}
    row.append({"table": "bodies", "body": name, **figures, "ratio": round(spliced / written, 2)})
    if len(raw) > 10_000:
        assert spliced < 0.75 * written


class Instant:
    """Serves the same at once: what is left is the gateway's own time."""

    status = 200
    headers = {"x-iemas-agent": "small"}  # noqa: RUF012

    def ready(self) -> bool:
        return True

    async def submit(self, asked: Asked) -> "Instant":
        asked.bytes_for("tiny")
        return self

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{}"

    async def aclose(self) -> None:
        pass


def test_what_a_request_costs_without_a_socket(row: list[dict[str, object]]) -> None:
    app = Gateway(fleet(), Instant())
    raw = json.dumps(BODIES["small"] | {"iemas": {"worth": 2.0}}).encode()
    headers = [(b"content-type", b"application/json"), (b"host", b"localhost"), (b"user-agent", b"bench")]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
    statuses: set[int] = set()

    async def once() -> None:
        gone = asyncio.get_running_loop().create_future()
        inbox: list[Any] = [{"type": "http.request", "body": raw, "more_body": False}]

        async def receive() -> Any:
            return inbox.pop() if inbox else await gone

        async def send(message: Any) -> None:
            statuses.add(message.get("status", 200))

        await app(scope, receive, send)

    async def many(count: int = 3000) -> float:
        began = time.process_time()
        for _ in range(count):
            await once()
        return 1e6 * (time.process_time() - began) / count

    least = min(asyncio.run(many()) for _ in range(3))
    assert statuses == {200}
    row.append({"table": "a request, no socket", "body": "small", "CPU us": round(least, 1)})
