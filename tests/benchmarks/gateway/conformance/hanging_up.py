"""Who hangs up gets no more served: the engine is told within 100 ms, in each mode and at each moment."""

import asyncio
import time
from typing import Any

from tests.benchmarks.gateway.conformance.check import Failed, Subject, check, equal, holds
from tests.benchmarks.gateway.engines import in_flight, quiet

WITHIN_S = 0.1


async def _busy(s: Subject, count: int = 1, seconds: float = 3.0) -> None:
    until = time.monotonic() + seconds
    while await in_flight(s.engines) < count:
        if time.monotonic() > until:
            raise Failed(f"only {await in_flight(s.engines)} of {count} requests reach an engine")
        await asyncio.sleep(0.005)


async def _freed(s: Subject, seconds: float = WITHIN_S) -> None:
    began = time.perf_counter()
    if not await quiet(s.engines, seconds):
        late = await quiet(s.engines, 3.0)
        after = f"{time.perf_counter() - began:.2f} s" if late else "more than 3 s"
        raise Failed(f"the engine is busy for {after} after the client hung up")


async def _hang_up(s: Subject, **fields: Any) -> None:
    connection = await s.connect()
    connection.send(s.raw(s.body("@delay=5000@" if not fields else "@pace=200@ @tokens=60@", **fields)))
    await _busy(s)
    if fields:
        await asyncio.wait_for(connection.started.wait(), 3.0)
    connection.close()
    await _freed(s)


@check("hanging up on a whole answer frees the engine within 100 ms")
async def _(s: Subject) -> None:
    await _hang_up(s)


@check("hanging up on a stream frees the engine within 100 ms")
async def _(s: Subject) -> None:
    await _hang_up(s, stream=True)


@check("hanging up on a stream before its first event frees the engine within 100 ms")
async def _(s: Subject) -> None:
    connection = await s.connect()
    connection.send(s.raw(s.body("@delay=5000@", stream=True)))
    await _busy(s)
    connection.close()
    await _freed(s)


@check("a client that says it will send no more (half-close) is answered or freed")
async def _(s: Subject) -> None:
    reader, writer = await asyncio.open_connection(*s.base.removeprefix("http://").split(":"))
    writer.write(s.raw(s.body("@delay=300@")))
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 3.0)
    writer.close()
    holds(b" 200 " in answer[:20] or await quiet(s.engines, 0.2), f"the answer is {answer[:60]!r}")


@check("hanging up in the middle of the body reaches no engine")
async def _(s: Subject) -> None:
    connection = await s.connect()
    connection.send(s.raw()[:-10])
    await asyncio.sleep(0.1)
    connection.close()
    await asyncio.sleep(0.1)
    equal(await s.seen(), [], "requests at engines")


@check("20 of 40 streams hang up: 20 end whole, the others' places are freed")
async def _(s: Subject) -> None:
    going = [await s.connect() for _ in range(40)]
    waiters = [c.send(s.raw(s.body("@pace=40@ @tokens=20@", stream=True))) for c in going]
    await _busy(s, 40)
    for connection in going[::2]:
        connection.close()
    replies = await asyncio.gather(*waiters[1::2])
    equal(sum(reply.done for reply in replies), 20, "streams that end")
    await _freed(s)


@check("200 clients hang up at once and leave nothing behind")
async def _(s: Subject) -> None:
    going = [await s.connect() for _ in range(200)]
    for i, connection in enumerate(going):
        connection.send(s.raw(s.body("@delay=4000@", stream=i % 2 == 0)))
    await _busy(s, 100)
    for connection in going:
        connection.close()
    await _freed(s, 1.0)
    equal((await s.ask()).status, 200, "status afterwards")


@check("hanging up after [DONE] or the last byte is no fault of an engine")
async def _(s: Subject) -> None:
    for i in range(12):
        connection = await s.connect()
        await connection.ask(s.raw(s.body(stream=i % 2 == 0)))
        connection.close()
    equal((await s.ask()).status, 200, "status afterwards")


@check("clients that hang up do not open a breaker")
async def _(s: Subject) -> None:
    for _ in range(30):
        connection = await s.connect()
        connection.send(s.raw(s.body("@delay=500@")))
        await asyncio.sleep(0.01)
        connection.close()
    replies = await asyncio.gather(*(s.ask() for _ in range(6)))
    equal([reply.status for reply in replies], [200] * 6, "statuses afterwards")
