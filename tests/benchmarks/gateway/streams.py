"""A thousand streams at once, each with words of its own: nothing may be lost or mixed up, and none may wait long."""

import asyncio
import time
from typing import Any

from tests.benchmarks.gateway.engines import quiet
from tests.benchmarks.gateway.peers import Proxy
from tests.benchmarks.gateway.wire import CHAT, Reply, connect, request

COUNT = 1000
TOKENS = 50


async def streams(proxy: Proxy, count: int = COUNT) -> dict[str, Any]:
    """All of them open before the first ends: 50 tokens, 60 ms apart."""
    began = time.perf_counter()
    replies = await asyncio.gather(*(_one(proxy, f"s{i}") for i in range(count)))
    peak = sum([(await engine.state()).get("peak", 0) for engine in proxy.engines])
    whole = [reply for reply, right in replies if reply.done and right]
    first = sorted(reply.first_s for reply in whole)
    return {
        "streams": count,
        "whole": len(whole),
        "mixed": sum(reply.status == 200 and not right for reply, right in replies),
        "refused": sum(reply.status not in (0, 200) for reply, _ in replies),
        "at once": peak,
        "TTFT p50 ms": round(1e3 * first[len(first) // 2], 1) if first else None,
        "TTFT p99 ms": round(1e3 * first[len(first) * 99 // 100], 1) if first else None,
        "seconds": round(time.perf_counter() - began, 1),
        "MiB": round(proxy.rss_mb()),
        "left": "none" if await quiet(proxy.engines, 2.0) else "some",
    }


async def _one(proxy: Proxy, tag: str) -> tuple[Reply, bool]:
    turn = {"role": "user", "content": f"@tokens={TOKENS}@ @pace=60@ @delay=200@ #{tag}#"}
    body = {"model": "fake", "messages": [turn], "stream": True, "max_tokens": TOKENS}
    try:
        connection = await connect(proxy.base)
    except OSError as error:
        return Reply(error=repr(error)), False
    try:
        reply = await connection.ask(request("POST", CHAT, body, proxy.headers), 60.0)
    finally:
        connection.close()
    right = reply.status == 200 and reply.text == "".join(f"{tag}.0.{i} " for i in range(TOKENS))
    return reply, right


def bars(row: dict[str, Any]) -> list[tuple[str, bool]]:
    """What must hold of our own gateway."""
    whole = row["whole"] == row["streams"]
    return [
        (f"{row['proxy']}: {row['whole']} of {row['streams']} streams whole, {row['mixed']} mixed up", whole),
        (f"{row['proxy']}: nothing left at the engines", row["left"] == "none"),
    ]
