"""A gateway over simulated engines, behind a real server on this machine."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from runtime import EngineShape
from runtime.gateway.app import Gateway
from runtime.gateway.operators.watching import Watching
from runtime.gateway.serving.serving import Serving
from tests.runtime.gateway.fleets import fleet
from tests.runtime.gateway.simulated import STEP, Reading
from tests.runtime.rounds.stories import Fixed


@asynccontextmanager
async def listening(every_s: float = 0.05, **tables: Any) -> AsyncIterator[tuple[str, Gateway, Watching]]:
    """Its address, and what stands behind."""
    made = fleet(**tables)
    watching = Watching(made)
    watching.admin.feed.every_s = every_s
    engines = [Reading(one.name, lambda request: "yes indeed", STEP, EngineShape(block_size=4)) for one in made.agents]
    serving = Serving(made, engines, lambda: Fixed(0, 1), subscribers=watching.subscribers, expect=watching.expect)
    watching.look_at(serving)
    await serving.start()
    app = Gateway(made, serving, watching.admin)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5))
        running = asyncio.ensure_future(server.serve(sockets=[bound]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}", app, watching
        finally:
            app.drain()
            server.should_exit = True
            await running
            await serving.stop()
            for engine in engines:
                await engine.stop()
