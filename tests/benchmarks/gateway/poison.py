"""Requests that break whoever serves them, then innocent ones: how many of these are served.

An engine is started again one second after it died. Whoever tries a poisonous request on the next engine, and the one
after, has none left; a breaker that then stays open for its time serves nobody.
"""

import asyncio
import contextlib
import time
from typing import Any

from tests.benchmarks.gateway.engines import keep_alive
from tests.benchmarks.gateway.peers import Proxy
from tests.benchmarks.gateway.wire import Reply, ask

POISONED = 24
INNOCENT = 40


async def poison(proxy: Proxy, poisoned: int = POISONED, innocent: int = INNOCENT) -> dict[str, Any]:
    """Poison one after another, 100 ms apart, then the innocent ones, each asked once and 50 ms apart."""
    guard = asyncio.create_task(keep_alive(proxy.engines, 1.0))
    starts = sum(engine.starts for engine in proxy.engines)
    began = time.perf_counter()

    async def send(i: int, orders: str) -> Reply:
        turn = {"role": "user", "content": f"{orders} #p{i}#"}
        body = {"model": "fake", "messages": [turn], "max_tokens": 8}
        return await ask(proxy.base, body, headers=proxy.headers, deadline=60.0)

    bad, good = [], []
    for i in range(poisoned):
        bad.append(asyncio.create_task(send(i, "@fault=crash@")))
        await asyncio.sleep(0.1)
    for i in range(innocent):
        good.append(asyncio.create_task(send(i, "")))
        await asyncio.sleep(0.05)
    replies = await asyncio.gather(*good)
    refused = await asyncio.gather(*bad)
    seconds = time.perf_counter() - began
    killed = sum(engine.starts for engine in proxy.engines) - starts
    until = time.perf_counter() + 60
    while (await send(0, "")).status != 200 and time.perf_counter() < until:
        await asyncio.sleep(0.1)
    recovered = time.perf_counter() - began - seconds
    guard.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await guard
    return {
        "poisoned": poisoned,
        "answered 5xx": sum(reply.status >= 500 for reply in refused),
        "answered 4xx": sum(400 <= reply.status < 500 for reply in refused),
        "engines killed": killed,
        "innocent": innocent,
        "served": sum(reply.status == 200 and reply.complete for reply in replies),
        "never ended": sum(reply.status == 0 for reply in [*refused, *replies]),
        "s until served": round(recovered, 1),
    }


def bars(row: dict[str, Any]) -> list[tuple[str, bool]]:
    """What must hold of our own gateway: every innocent one is served, where its peers serve none."""
    served = f"{row['proxy']}: {row['served']} of {row['innocent']} innocent requests served, all of them"
    return [(served, row["served"] == row["innocent"]), (f"{row['proxy']}: all end", row["never ended"] == 0)]
