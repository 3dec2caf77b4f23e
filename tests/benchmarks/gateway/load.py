"""What a proxy costs and how much later answers come: CPU time from /proc, times beside the same load sent directly.

Four figures, each the median of interleaved repeats, with the least and the greatest:

    whole c32    CPU us per request, 32 connections, 2 KB prompts, 8 tokens, as fast as it goes
    stream s32   CPU us per stream, 32 streams of 33 tokens, 5 ms apart
    added c1     ms that the median answer comes later, one connection
    added TTFT   ms that the median first event comes later, 16 streams, 20 ms to the first token, 5 ms between
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from tests.benchmarks.gateway.engines import Engine, engines
from tests.benchmarks.gateway.peers import PEERS, Proxy
from tests.benchmarks.gateway.wire import CHAT, Reply, connect, request

#: 64 conversations of 2 KB that begin alike by eights.
_PROMPTS = [f"topic {i // 8}: " + f"what of it, and why, number {i}? " * 62 for i in range(64)]

COLUMNS = ("whole c32", "stream s32", "added c1", "added TTFT")
UNITS = {"whole c32": "CPU us", "stream s32": "CPU us", "added c1": "ms", "added TTFT": "ms"}


@dataclass
class Load:
    """What one run of clients saw."""

    replies: int = 0
    wrong: int = 0
    seconds: float = 0.0
    first_s: list[float] = field(default_factory=list)
    total_s: list[float] = field(default_factory=list)


def prompt(i: int, orders: str, stream: bool) -> tuple[str, dict[str, object]]:
    """The tag and the body of request `i`."""
    tag = f"r{i}"
    turn = {"role": "user", "content": f"{_PROMPTS[i % 64]} {orders} #{tag}#"}
    return tag, {"model": "fake", "messages": [turn], "max_tokens": 64} | ({"stream": True} if stream else {})


async def drive(
    base: str, headers: Sequence[tuple[str, str]], clients: int, seconds: float, orders: str = "", stream: bool = False
) -> Load:
    """So many clients, each asking anew as soon as it is answered."""
    load, number = Load(), iter(range(1 << 40))
    began = time.perf_counter()

    async def client() -> None:
        connection = await connect(base)
        while time.perf_counter() - began < seconds:
            tag, body = prompt(next(number), orders, stream)
            if not (connection.open and connection.reusable):
                connection.close()
                connection = await connect(base)
            reply = await connection.ask(request("POST", CHAT, body, headers))
            load.replies += 1
            load.wrong += not _right(reply, tag, stream)
            load.first_s.append(reply.first_s)
            load.total_s.append(reply.total_s)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    load.seconds = time.perf_counter() - began
    return load


def _right(reply: Reply, tag: str, stream: bool) -> bool:
    fine = reply.status == 200 and reply.complete and f"{tag}.0.7 ".encode() in reply.raw
    return fine and (not stream or b"data: [DONE]" in reply.raw[-40:])


@dataclass
class Row:
    """The figures of one proxy, a list of repeats each."""

    name: str
    figures: dict[str, list[float]] = field(default_factory=lambda: {column: [] for column in COLUMNS})
    wrong: int = 0
    replies: int = 0
    rate: list[float] = field(default_factory=list)

    def of(self, column: str) -> float:
        """The median."""
        return median(self.figures[column])


def cpu_us(proxy: Proxy, seconds: float, orders: str, stream: bool, row: Row) -> tuple[float, float]:
    """CPU microseconds per request, and requests per second."""
    before = proxy.cpu_s()
    load = asyncio.run(drive(proxy.base, proxy.headers, 32, seconds, orders, stream))
    spent = proxy.cpu_s() - before
    row.wrong += load.wrong
    row.replies += load.replies
    return 1e6 * spent / load.replies, load.replies / load.seconds


def added_ms(
    proxy: Proxy, fleet: Sequence[Engine], clients: int, seconds: float, orders: str, stream: bool, row: Row
) -> float:
    """By how many milliseconds the median comes later than from an engine; both halves of the time around it."""
    pick: Callable[[Load], list[float]] = (lambda load: load.first_s) if stream else (lambda load: load.total_s)

    def directly() -> list[float]:
        return pick(asyncio.run(drive(fleet[0].url, (), clients, seconds / 2, orders, stream)))

    direct = directly()
    load = asyncio.run(drive(proxy.base, proxy.headers, clients, seconds, orders, stream))
    row.wrong += load.wrong
    row.replies += load.replies
    return 1e3 * (median(pick(load)) - median(direct + directly()))


def bench(names: Sequence[str], repeats: int = 3, seconds: float = 3.0) -> list[Row]:
    """Every figure of these proxies, all of them running, one after another and so `repeats` times."""
    rows = [Row(name) for name in names]
    with engines() as fleet, ExitStack() as stack:
        proxies = [stack.enter_context(PEERS[name].run(fleet)) for name in names]
        for proxy in proxies:
            asyncio.run(drive(proxy.base, proxy.headers, 32, 1.0))
        for _ in range(repeats):
            for proxy, row in zip(proxies, rows, strict=True):
                cost, rate = cpu_us(proxy, seconds, "", False, row)
                row.figures["whole c32"].append(cost)
                row.rate.append(rate)
            for proxy, row in zip(proxies, rows, strict=True):
                row.figures["stream s32"].append(cpu_us(proxy, seconds, "@tokens=33@ @pace=5@", True, row)[0])
            for proxy, row in zip(proxies, rows, strict=True):
                row.figures["added c1"].append(added_ms(proxy, fleet, 1, seconds / 2, "", False, row))
            for proxy, row in zip(proxies, rows, strict=True):
                paced = "@tokens=33@ @delay=20@ @pace=5@"
                row.figures["added TTFT"].append(added_ms(proxy, fleet, 16, seconds, paced, True, row))
    return rows


def bars(rows: Sequence[Row]) -> list[tuple[str, bool]]:
    """What must hold of our own gateway, as far as what it is compared with was measured."""
    by_name = {row.name: row for row in rows}
    held: list[tuple[str, bool]] = [(f"{row.name}: every answer is right", row.wrong == 0) for row in rows]
    plain, floor = by_name.get("iemas round-robin"), by_name.get("forwarder")
    if plain:
        bar = max(400.0, 1.5 * floor.of("whole c32") if floor else 0.0)
        cost = plain.of("whole c32")
        held.append((f"pass-through: {cost:.0f} CPU us per request, at most {bar:.0f}", cost <= bar))
        late = plain.of("added TTFT")
        held.append((f"pass-through: {late:.2f} ms later to the first token, at most 2", late <= 2))
    auction, rival = by_name.get("iemas auction"), by_name.get("vllm-router cache_aware")
    if auction and rival:
        cost, bar = auction.of("whole c32"), 1.5 * rival.of("whole c32")
        held.append((f"auction: {cost:.0f} CPU us per request, at most {bar:.0f}", cost <= bar))
    return held


def cell(row: Row, column: str) -> str:
    """Median [least..greatest]."""
    figures = row.figures[column]
    digits = 0 if UNITS[column] == "CPU us" else 2
    return f"{row.of(column):.{digits}f} [{min(figures):.{digits}f}..{max(figures):.{digits}f}]"
