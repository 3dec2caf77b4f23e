"""Conversations that go on while engines die, stand still and answer nonsense: what becomes of each request.

whole    answered as asked
refused  an error as an answer of its own, 4xx or 5xx
told     a stream that broke, and an event says so
broken   an answer that ends without its end, and nothing says so
mixed    words of another request
lost     the connection broke without an answer
stuck    no end within 25 s
"""

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from typing import Any

from tests.benchmarks.gateway.engines import keep_alive, quiet
from tests.benchmarks.gateway.peers import Proxy
from tests.benchmarks.gateway.wire import CHAT, COMPLETIONS, Reply, connect, openai_error, request

CONVERSATIONS = 30

#: What an engine does wrong for a while; `stop` and `kill` are done to its process.
FAULTS = (
    "s500", "s503", "s429", "s400", "garbage", "html", "u2028", "nousage", "nulldetails", "nullchoices", "half", "cut",
    "short", "nodone", "errorevent", "stall", "silence", "reset", "long", "midcrash", "crash", "closing", "comments",
    "split", "crlf",
)  # fmt: skip


async def chaos(proxy: Proxy, seconds: float = 60.0, seed: int = 0) -> dict[str, Any]:
    """So many seconds of it; deterministic up to the machine's speed."""
    dice = random.Random(seed)
    counts: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    guard = asyncio.create_task(keep_alive(proxy.engines, 1.0))
    await _settle(proxy, 2.0)
    before = proxy.rss_mb()
    worst = asyncio.create_task(_trouble(proxy, until, dice, counts))
    talks = [_talk(proxy, i, until, random.Random(f"{seed}-{i}"), counts) for i in range(CONVERSATIONS)]
    await asyncio.gather(*talks)
    await worst
    for engine in proxy.engines:
        await engine.reset()
    idle = await quiet(proxy.engines, 5.0)
    served = await _settle(proxy, 30.0)
    guard.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await guard
    total = sum(counts[kind] for kind in ("whole", "refused", "told", "broken", "mixed", "lost", "stuck"))
    kinds = {kind: counts[kind] for kind in ("refused", "told", "broken", "mixed", "lost", "stuck", "dropped")}
    return {
        "requests": total,
        "whole %": round(100 * counts["whole"] / max(1, total), 1),
        **kinds,
        "bad refusals": counts["schema"],
        "faults": counts["fault"],
        "kills": counts["kill"],
        "left in flight": "none" if idle else "some",
        "grew MiB": round(proxy.rss_mb() - before, 1),
        "serves again": served,
    }


async def _trouble(proxy: Proxy, until: float, dice: random.Random, counts: Counter[str]) -> None:
    """Every kind of fault in turn at one engine or another, and a kill at every fourth."""
    loop = asyncio.get_running_loop()
    pause = min(2.0, max(0.3, (until - loop.time()) / (len(FAULTS) + 2)))
    for i, fault in enumerate(itertools.cycle(FAULTS)):
        if loop.time() > until - pause:
            return
        engine = dice.choice(list(proxy.engines))
        if i % 4 == 3:
            counts["kill"] += 1
            engine.kill()
        other = dice.choice([one for one in proxy.engines if one is not engine])
        counts["fault"] += 1
        await other.tell(fault=fault, times=None if fault not in ("crash", "midcrash", "long") else 1)
        if i % 6 == 5:
            other.suspend(True)
        await asyncio.sleep(pause)
        other.suspend(False)
        await other.reset()


async def _talk(proxy: Proxy, number: int, until: float, dice: random.Random, counts: Counter[str]) -> None:
    """One client after another answer, a turn longer each time; one in twelve hangs up."""
    loop = asyncio.get_running_loop()
    turns: list[dict[str, str]] = []
    connection = None
    for turn in itertools.count():
        if loop.time() > until:
            break
        if turn % 8 == 0:
            turns = [{"role": "system", "content": f"conversation {number}, part {turn // 8}. " * 12}]
        tag = f"c{number}-{turn}"
        stream, chat = dice.random() < 0.6, dice.random() < 0.9
        turns.append({"role": "user", "content": f"and then? @tokens=12@ @pace={dice.choice((1, 10))}@ #{tag}#"})
        asked: dict[str, Any] = {"model": "fake", "stream": stream, "max_tokens": 16}
        asked |= {"messages": turns} if chat else {"prompt": turns[-1]["content"]}
        raw = request("POST", CHAT if chat else COMPLETIONS, asked, proxy.headers)
        try:
            if connection is None or not (connection.open and connection.reusable):
                connection = await connect(proxy.base)
            if dice.random() < 1 / 12:
                connection.send(raw)
                await asyncio.sleep(dice.random() * 0.05)
                connection.close()
                counts["dropped"] += 1
                continue
            reply = await connection.ask(raw, 25.0)
        except OSError:
            counts["lost"] += 1
            await asyncio.sleep(0.1)
            continue
        kind = kind_of(reply, tag, stream)
        counts[kind] += 1
        counts["schema"] += reply.status >= 400 and openai_error(reply.body) is None
        turns.append({"role": "assistant", "content": f"so it was, {turn}"})
        # Who is refused waits: else whoever refuses at once is asked ten times as often.
        await asyncio.sleep(dice.random() * 0.05 if kind == "whole" else 0.3)
    if connection is not None:
        connection.close()


def kind_of(reply: Reply, tag: str, stream: bool) -> str:
    """What became of a request."""
    if reply.error == "too late":
        return "stuck"
    if reply.status == 0:
        return "lost"
    if reply.status != 200:
        return "refused"
    if _words_of_others(reply.body, tag):
        return "mixed"
    if stream and reply.told_error:
        return "told"
    if stream:
        return "whole" if (reply.done and f"{tag}.0.11 ".encode() in reply.body) or _odd(reply, tag) else "broken"
    try:
        told = reply.json()
        right = tag in str(told["choices"][0])
    except (ValueError, KeyError, TypeError, IndexError):
        return "broken"
    return "whole" if reply.complete and right else "broken"


def _odd(reply: Reply, tag: str) -> bool:
    """The fault `u2028`, which says something else and is no fault of a proxy."""
    return reply.done and f"{tag} a\u2028b".encode() in reply.body


def _words_of_others(body: bytes, tag: str) -> bool:
    """Whether an answer has the tag of another request."""
    import re

    tags = set(re.findall(rb"c\d+-\d+(?=[. ])", body))
    return bool(tags - {tag.encode()})


async def _settle(proxy: Proxy, seconds: float) -> str:
    """Whether a plain request is served within so many seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        asked = {"model": "fake", "messages": [{"role": "user", "content": "#settled#"}], "max_tokens": 8}
        try:
            connection = await connect(proxy.base)
            reply = await connection.ask(request("POST", CHAT, asked, proxy.headers), 5.0)
            connection.close()
        except OSError:
            reply = Reply()
        if reply.status == 200:
            return "yes"
        await asyncio.sleep(0.1)
    return "no"


def bars(row: dict[str, Any]) -> list[tuple[str, bool]]:
    """What must hold of our own gateway."""
    name = row["proxy"]
    none = [(f"{name}: {row[kind]} {kind}", row[kind] == 0) for kind in ("broken", "mixed", "lost", "stuck")]
    none.append((f"{name}: {row['bad refusals']} refusals outside OpenAI's schema", row["bad refusals"] == 0))
    none.append((f"{name}: nothing left at the engines", row["left in flight"] == "none"))
    none.append((f"{name}: serves again", row["serves again"] == "yes"))
    return [*none, (f"{name}: grew by {row['grew MiB']} MiB, at most 64", row["grew MiB"] <= 64)]
