"""A gateway over simulated engines in process, asked as ASGI asks."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from math import inf
from typing import Any

from mechanisms import find_mechanism
from runtime import Answer, Auction, Call, EngineShape, SimulatedEngine, StepTime, View
from runtime.engines.simulated.virtual_time import run
from runtime.gateway.app import Gateway
from runtime.gateway.fleet.config import Fleet
from runtime.gateway.operators.watching import Watching
from runtime.gateway.serving.serving import Serving

STEP = StepTime(0.01, 0.001, 0.0005, 0.0, 0.002, "a test's own figures", 0.0, 0.0)
CHAT = "/v1/chat/completions"
JSON = ((b"content-type", b"application/json"), (b"host", b"localhost:8080"))


class Reading(SimulatedEngine):
    """Reads the messages out of the body, as a server would."""

    async def open(self, call: Call, deadline: float = inf) -> Answer:
        view = replace(View.read(call.body), stream=call.view.stream, max_tokens=call.view.max_tokens)
        return await super().open(replace(call, view=view), deadline)


class Asked:
    """An answer, as it came."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.done = False

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: Any,
    path: str,
    body: Any = None,
    *,
    method: str = "",
    headers: tuple[tuple[bytes, bytes], ...] = JSON,
    client: str = "127.0.0.1",
    seen: Asked | None = None,
    hang_up: asyncio.Event | None = None,
) -> Asked:
    """One request over ASGI."""
    told, raw = seen or Asked(), b"" if body is None else json.dumps(body).encode()
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": raw, "more_body": False}
        await (hang_up or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            told.status = message["status"]
            told.headers = {name.decode(): text.decode() for name, text in message["headers"]}
        else:
            told.pieces.append(message.get("body", b""))
            told.done = not message.get("more_body", False)

    path, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1",
        "method": method or ("POST" if raw else "GET"),
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": list(headers), "client": (client, 1), "server": ("127.0.0.1", 8080),
    }  # fmt: skip
    await app(scope, receive, send)
    return told


def chat(text: str, **more: Any) -> dict[str, Any]:
    """A body to ask."""
    return {"model": "auto", "messages": [{"role": "user", "content": text}], "max_tokens": 8, **more}


def told(
    fleet: Fleet,
    story: Callable[[Gateway, Watching], Coroutine[Any, Any, Any]],
    *,
    engines: list[SimulatedEngine] | None = None,
    make: Callable[[Fleet], Watching] = Watching,
    policy: Callable[[], Any] = lambda: Auction(find_mechanism("vcg")),
) -> Any:
    """Tell a story to a gateway in virtual time."""
    return run(_told(fleet, story, engines, make, policy), virtual=True)


async def _told(fleet: Fleet, story: Any, engines: Any, make: Callable[[Fleet], Watching], policy: Any) -> Any:
    shape = EngineShape(block_size=4, cache_blocks=512)
    engines = engines or [Reading(agent.name, lambda request: "yes indeed", STEP, shape) for agent in fleet.agents]
    watching = make(fleet)
    serving = Serving(fleet, engines, policy, subscribers=watching.subscribers, expect=watching.expect)
    watching.look_at(serving)
    await serving.start()
    try:
        return await story(Gateway(fleet, serving, watching.admin), watching)
    finally:
        await serving.stop()
        for engine in engines:
            await engine.stop()
