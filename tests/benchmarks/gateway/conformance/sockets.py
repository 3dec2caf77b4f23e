"""HTTP itself: connections that stay, bodies in chunks, heads that are odd, headers that must not travel."""

import asyncio

from tests.benchmarks.gateway.conformance.check import Subject, check, equal, holds
from tests.benchmarks.gateway.peers import CLIENT_KEY, ENGINE_KEY
from tests.benchmarks.gateway.wire import CHAT


@check("ten requests go over one connection")
async def _(s: Subject) -> None:
    connection = await s.connect()
    for i in range(10):
        reply = await connection.ask(s.raw(s.body(stream=i % 2 == 1)))
        equal(reply.status, 200, f"status of request {i}")
        holds(connection.open and connection.reusable, f"the connection ends after request {i}")


@check("a connection stays after a refusal")
async def _(s: Subject) -> None:
    connection = await s.connect()
    equal((await connection.ask(s.raw(s.body(model="nobody")))).status, 404, "status")
    equal((await connection.ask(s.raw())).status, 200, "status after it")


@check("two requests sent at once over one connection are answered in order")
async def _(s: Subject) -> None:
    connection = await s.connect()
    bodies = [s.body(f"@delay={delay}@", user=f"u{i}") for i, delay in enumerate((60, 0))]
    bodies = [body | {"n": i + 1} for i, body in enumerate(bodies)]
    raw = b"".join(s.raw(body) for body in bodies)
    first = await connection.ask(raw)
    second = await connection.ask(b"")
    equal([len(reply.json()["choices"]) for reply in (first, second)], [1, 2], "choices")


@check("a body in chunks is taken")
async def _(s: Subject) -> None:
    whole = s.raw()
    head, _, body = whole.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    pieces = [body[i : i + 11] for i in range(0, len(body), 11)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    connection = await s.connect()
    reply = await connection.ask(b"\r\n".join([*lines, b"transfer-encoding: chunked", b"", b""]) + chunks)
    equal(reply.status, 200, "status")
    holds(reply.text.startswith(f"{s.tag}.0.0"), "other words")


@check("a request that comes byte by byte is taken")
async def _(s: Subject) -> None:
    raw = s.raw()
    connection = await s.connect()
    waiter = connection.send(raw[:1])
    for i in range(1, len(raw), 3):
        connection.transport.write(raw[i : i + 3])
        await asyncio.sleep(0.001)
    equal((await waiter).status, 200, "status")


@check("Expect: 100-continue is answered before the body")
async def _(s: Subject) -> None:
    head, _, body = s.raw().partition(b"\r\n\r\n")
    reader, writer = await asyncio.open_connection(*s.base.removeprefix("http://").split(":"))
    try:
        writer.write(head + b"\r\nexpect: 100-continue\r\n\r\n")
        line = await asyncio.wait_for(reader.readline(), 3.0)
        holds(b" 100 " in line, f"the answer is {line!r}")
        writer.write(body)
        rest = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5.0)
        holds(b" 200 " in rest, f"the answer is {rest[:80]!r}")
    finally:
        writer.close()


@check("HEAD of the models has no body")
async def _(s: Subject) -> None:
    connection = await s.connect()
    reply = await connection.ask(s.raw(b"", "/v1/models", "HEAD"), 3.0)
    equal(reply.status, 200, "status")
    again = await connection.ask(s.raw(b"", "/v1/models", "GET"), 3.0)
    equal(again.status, 200, "status of the next request on the connection")


@check("HTTP/1.0 is answered without chunks, and the connection ends")
async def _(s: Subject) -> None:
    connection = await s.connect()
    reply = await connection.ask(s.raw(s.body(stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0"), 3.0)
    equal(reply.status, 200, "status")
    holds("chunked" not in reply.header("transfer-encoding"), "chunks were sent to HTTP/1.0")
    holds(b"data: [DONE]" in reply.raw, f"the stream ends with {reply.raw[-40:]!r}")


@check("Connection: close ends the connection after the answer")
async def _(s: Subject) -> None:
    connection = await s.connect()
    reply = await connection.ask(s.raw().replace(b"host:", b"connection: close\r\nhost:"))
    equal(reply.status, 200, "status")
    await asyncio.sleep(0.2)
    holds(not connection.open, "the connection stays open")


@check("heads of 200 kB are refused")
async def _(s: Subject) -> None:
    connection = await s.connect()
    raw = s.raw().replace(b"host:", b"x-long: " + b"a" * 200_000 + b"\r\nhost:")
    reply = await connection.ask(raw, 5.0)
    holds(reply.status in (400, 413, 431) or not reply.status, f"the answer is {reply.status}")


@check("a head of 16 kB is taken")
async def _(s: Subject) -> None:
    equal((await s.ask(headers=[("x-long", "a" * 16_000)])).status, 200, "status")


@check("what is no HTTP is refused, and nobody dies of it")
async def _(s: Subject) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00\x01" + b"\x00" * 40, b"NONSENSE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        connection = await s.connect()
        reply = await connection.ask(garbage, 2.0)
        holds(reply.status == 0 or 400 <= reply.status <= 505, f"the answer is {reply.status}")
    equal((await s.ask()).status, 200, "status afterwards")


@check("two lengths that differ are refused")
async def _(s: Subject) -> None:
    connection = await s.connect()
    raw = s.raw().replace(b"content-length:", b"content-length: 5\r\ncontent-length:")
    reply = await connection.ask(raw, 3.0)
    holds(reply.status in (0, 400), f"the answer is {reply.status}")


@check("a length beside chunks is refused, or read by chunks and the connection ends")
async def _(s: Subject) -> None:
    connection = await s.connect()
    raw = s.raw(b"0\r\n\r\n").replace(b"content-length:", b"transfer-encoding: chunked\r\ncontent-length:")
    smuggled = s.raw(s.body(user="smuggled"))
    reply = await connection.ask(raw + smuggled, 3.0)
    holds(reply.status in (0, 400), f"the answer is {reply.status}")
    await asyncio.sleep(0.1)
    equal(await s.seen(), [], "requests at engines")


@check("an answer has an x-request-id, another each time")
async def _(s: Subject) -> None:
    ids = [(await s.ask(s.body(stream=i == 2))).header("x-request-id") for i in range(3)]
    holds(all(ids) and len(set(ids)) == 3, f"the ids are {ids}")


@check("a refusal has an x-request-id too, so that a log can be searched")
async def _(s: Subject) -> None:
    holds((await s.ask(s.body("@fault=s400@"))).header("x-request-id"), "it has none")


@check("the client's key never reaches an engine")
async def _(s: Subject) -> None:
    key = CLIENT_KEY
    await s.ask(key=False, headers=[("authorization", f"Bearer {key}"), ("x-api-key", key), ("api-key", key)])
    for seen in await s.seen():
        holds(key.encode() not in seen.head, f"an engine got it: {seen.head!r}")


@check("cookies never reach an engine")
async def _(s: Subject) -> None:
    _, seen = await s.sent(s.body(), headers=[("cookie", "session=secret")])
    holds("cookie" not in seen.headers, "an engine got them")


@check("headers that belong to one connection stay on it")
async def _(s: Subject) -> None:
    odd = [("te", "trailers"), ("proxy-authorization", "Basic x"), ("keep-alive", "timeout=9"), ("upgrade", "h2c")]
    odd += [("connection", "x-mine"), ("x-mine", "1")]
    reply = await s.ask(headers=odd)
    equal(reply.status, 200, "status")
    seen = (await s.seen())[0]
    found = [name for name in ("te", "proxy-authorization", "keep-alive", "upgrade", "x-mine") if name in seen.headers]
    holds(not found, f"an engine got {found}")


@check("a client cannot choose the engine by headers that name addresses")
async def _(s: Subject) -> None:
    target = s.engines[0].url
    names = ("x-prefiller-url", "x-forwarded-host", "x-smg-target-worker", "x-worker-url", "x-original-url")
    await s.ask(headers=[(name, target) for name in names])
    found = [name for seen in await s.seen() for name in names if name in seen.headers]
    holds(not found, f"an engine got {found}")


@check("a client cannot choose the engine by members that name addresses")
async def _(s: Subject) -> None:
    await s.ask(s.body(api_base=f"{s.engines[0].url}/_trap", base_url=f"{s.engines[0].url}/_trap"))
    equal(sum([(await engine.state())["trapped"] for engine in s.engines]), 0, "requests in the trap")


@check("traceparent reaches the engine")
async def _(s: Subject) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    _, seen = await s.sent(s.body(), headers=[("traceparent", trace)])
    holds(seen.headers.get("traceparent", "").startswith(trace[:35]), f"the engine got {seen.headers}")


@check("an engine's address and server name are not told")
async def _(s: Subject) -> None:
    reply = await s.ask()
    ports = [str(engine.port) for engine in s.engines]
    told = [line for line in reply.headers if any(port in line[1] for port in ports)]
    holds(not told, f"headers tell {told}")


@check("the operator's key for engines is sent to them and not told", "key")
async def _(s: Subject) -> None:
    reply, seen = await s.sent(s.body())
    equal(seen.headers.get("authorization"), f"Bearer {ENGINE_KEY}", "the engine's key")
    holds(ENGINE_KEY.encode() not in reply.head + reply.raw, "it is told to the client")


@check("a query behind the path does no harm")
async def _(s: Subject) -> None:
    equal((await s.ask(path=f"{CHAT}?api-version=2024-02-01")).status, 200, "status")


@check("the engine is told the length of the body, or chunks, and JSON")
async def _(s: Subject) -> None:
    _, seen = await s.sent(s.body())
    holds("content-length" in seen.headers or "transfer-encoding" in seen.headers, f"it got {seen.headers}")
    holds(seen.headers.get("content-type", "").startswith("application/json"), f"it got {seen.headers}")


@check("a hundred idle connections do not keep others out")
async def _(s: Subject) -> None:
    for _ in range(100):
        await s.connect()
    equal((await s.ask()).status, 200, "status")


@check("a head that never ends does not keep others out, and ends")
async def _(s: Subject) -> None:
    connection = await s.connect()
    connection.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-slow: ")
    reply = await s.ask()
    equal(reply.status, 200, "status of another")
