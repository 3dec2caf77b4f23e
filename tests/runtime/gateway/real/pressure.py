"""Conversations that do not fit into a server's cache together, and others who use the server beside the gateway."""

import random
from pathlib import Path

import httpx

from tests.runtime.gateway.real.gateway import AGENTS, Gateway, fleet_file
from tests.runtime.gateway.real.talks import SYSTEM, Told, ask_async, asking

#: 45 blocks of 32 tokens of the first model's keys and values: a few conversations.
FLAGS = ("--max-model-len", "1024", "--kv-cache-memory-bytes", str(64 << 20))
MODEL, SERVES = AGENTS[0][1:]


def small_cache(folder: Path, *, events: bool) -> Path:
    """A fleet's file of one server with a cache that small."""
    return fleet_file(folder, flags=FLAGS, more="kv_events = true" if events else "", agents=1)


async def press(
    gateway: Gateway, requests: int, *, besides: bool, conversations: int = 10, seed: int = 0
) -> list[Told]:
    """So many requests of conversations that take turns at random, some more often than others.

    `besides` sends every third one's like to the server itself, which the gateway does not see.
    """
    draw = random.Random(seed)
    (port,) = gateway.servers()
    talks = [[{"role": "system", "content": SYSTEM.format(n=n) * 2}] for n in range(conversations)]
    told = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=300) as direct:
        for step in range(requests):
            talk = talks[min(int(draw.expovariate(0.3)), conversations - 1)]
            talk.append({"role": "user", "content": f"Question {step}: where is shelf {draw.randrange(100)}?"})
            answer = await ask_async(gateway.url, asking(SERVES, talk, 8), streamed=True, turn=step)
            told.append(answer)
            talk.append({"role": "assistant", "content": answer.text})
            if len(talk) > 9:
                del talk[1:]
            if besides and step % 3 == 2:
                other = [{"role": "user", "content": SYSTEM.format(n=1000 + step) * 3}]
                await direct.post("/v1/chat/completions", json={"model": MODEL, "messages": other, "max_tokens": 2})
    return told


async def clear(gateway: Gateway) -> None:
    """Empty the server's cache, which nobody tells the gateway but the server."""
    (port,) = gateway.servers()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as direct:
        (await direct.post("/reset_prefix_cache")).raise_for_status()
