"""A fleet over engines that do as told, asked over HTTP in process."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import httpx

from runtime import Event, Ledger, running
from runtime.gateway.app import Gateway
from runtime.gateway.serving.serving import Serving
from tests.runtime.gateway.fleets import BIG, SMALL, fleet
from tests.runtime.rounds.relays import sound
from tests.runtime.rounds.stories import Fixed

CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "what is it?"}], "max_tokens": 4}
RICH = ASK | {"iemas": {"worth": 1000}}


def visit(
    story: Callable[[httpx.AsyncClient, Serving], Coroutine[Any, Any, Any]],
    engines: Sequence[Any] | None = None,
    policy: Any = None,
    agents: Sequence[dict[str, Any]] = (SMALL, BIG),
    events: list[Event] | None = None,
    policies: Callable[[], Any] | None = None,
    ledger: Ledger | None = None,
    **tables: Any,
) -> Any:
    async def main() -> Any:
        own = engines or [sound("small"), sound("big")]
        made = fleet(*agents, **tables)
        seen = [] if events is None else events
        serving = Serving(made, own, policies or (lambda: policy or Fixed(0)), subscribers=[seen.append], ledger=ledger)
        async with running(own):
            await serving.start()
            transport = httpx.ASGITransport(Gateway(made, serving))
            try:
                async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                    return await story(client, serving)
            finally:
                await serving.stop()

    return asyncio.run(main())
