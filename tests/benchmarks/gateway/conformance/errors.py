"""What cannot be served is refused in OpenAI's schema, with the status that says whose fault it is."""

import json

from tests.benchmarks.gateway.conformance.check import Subject, check, equal, holds, refuses
from tests.benchmarks.gateway.wire import CHAT, COMPLETIONS


def _refused(name: str, body: bytes, *statuses: int) -> None:
    @check(name)
    async def _(s: Subject) -> None:
        refuses(await s.ask(body), *statuses)


_refused("a body that is no JSON is 400", b'{"model": "fake", ', 400)
_refused("an empty body is 400", b"", 400)
_refused("a body that is a list is 400", b"[]", 400, 422)
_refused("a body that is a number is 400", b"17", 400, 422)
_refused("a body of bytes that are no UTF-8 is 400", b'{"model": "fake", "messages": "\xff\xfe"}', 400)
_refused("a body after which more follows is 400", b'{"model": "fake", "messages": []} {}', 400)
_refused("NaN is no JSON: 400", b'{"model": "fake", "messages": [], "temperature": NaN}', 400)
_refused("no messages is 400", b'{"model": "fake"}', 400, 422)
_refused("messages that are text are 400", b'{"model": "fake", "messages": "hello"}', 400, 422)
_refused("a model that is a number is 400", b'{"model": 7, "messages": [{"role": "user", "content": "x"}]}', 400, 422)
_refused(
    "stream that is text is 400",
    b'{"model": "fake", "stream": "yes", "messages": [{"role": "user", "content": "x"}]}', 400, 422,
)  # fmt: skip
_refused(
    "n that is negative is 400", b'{"model": "fake", "n": -1, "messages": [{"role": "user", "content": "x"}]}', 400, 422
)
_refused(
    "max_tokens that is text is 400",
    b'{"model": "fake", "max_tokens": "many", "messages": [{"role": "user", "content": "x"}]}', 400, 422,
)  # fmt: skip
_refused("nesting 100,000 deep is 400, and kills nobody", b"[" * 100_000, 400, 413, 422)


@check("no model at all is 400 or 404")
async def _(s: Subject) -> None:
    refuses(await s.ask(b'{"messages": [{"role": "user", "content": "x"}]}'), 400, 404, 422)


@check("an unknown model is 404, and names it")
async def _(s: Subject) -> None:
    error = refuses(await s.ask(s.body(model="gpt-nobody")), 404)
    holds("gpt-nobody" in error["message"], f"the message is {error['message']!r}")


@check("an unknown path is 404")
async def _(s: Subject) -> None:
    refuses(await s.ask(path="/v1/nothing"), 404)


@check("GET of a chat is 405, and tells what is allowed")
async def _(s: Subject) -> None:
    reply = await s.ask(method="GET")
    refuses(reply, 405)
    holds("POST" in reply.header("allow"), f"allow is {reply.header('allow')!r}")


@check("DELETE of the models is 405")
async def _(s: Subject) -> None:
    refuses(await s.ask(path="/v1/models", method="DELETE"), 405)


@check("a path with .. reaches nothing else")
async def _(s: Subject) -> None:
    for path in ("/v1/../_state", "/v1/%2e%2e/_state", "//_state", "/_state", "/_admin", "/metrics/../_state"):
        reply = await s.ask(path=path, method="GET")
        holds(reply.status in (400, 404, 405), f"{path} answers {reply.status}")


@check("a body that is text/plain is 415 or 400")
async def _(s: Subject) -> None:
    refuses(await s.ask(headers=[("content-type", "text/plain")]), 400, 415)


@check("application/json; charset=utf-8 is fine")
async def _(s: Subject) -> None:
    reply = await s.ask(headers=[("content-type", "application/json; charset=utf-8")])
    equal(reply.status, 200, "status")


@check("a body above 64 MiB is 413")
async def _(s: Subject) -> None:
    connection = await s.connect()
    head = s.raw(b"").replace(b"content-length: 0", b"content-length: %d" % (600 << 20))
    reply = await connection.ask(head + b"{" + b" " * 100_000, 10.0)
    refuses(reply, 413)


@check("a body above 64 MiB in chunks is refused before it is read whole")
async def _(s: Subject) -> None:
    connection = await s.connect()
    head = s.raw(b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    waiter = connection.send(head)
    sent = 0
    while not waiter.done() and connection.open and sent < 64:
        connection.transport.write(b"100000\r\n" + b" " * (1 << 20) + b"\r\n")
        sent += 1
        await connection_drained(connection)
    holds(waiter.done() or not connection.open, "64 MiB of spaces were taken")
    holds(waiter.done() and waiter.result().status in (400, 413), f"the answer is {waiter}")


async def connection_drained(connection: object) -> None:
    """Until what was written has gone out."""
    import asyncio

    for _ in range(200):
        if connection.transport.get_write_buffer_size() < 1 << 20:  # type: ignore[attr-defined]
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)


def _passed_on(status: int) -> None:
    @check(f"an engine's {status} is passed on with its words")
    async def _(s: Subject) -> None:
        reply = await s.ask(s.body(f"@fault=s{status}@"))
        error = refuses(reply, status)
        equal(error["message"], f"{s.tag} refused with {status}", "message")
        equal(len(await s.seen()), 1, "the number of requests at engines")


for _status in (400, 413, 422):
    _passed_on(_status)


@check("an engine's 404 is passed on with its words, once nobody knows better")
async def _(s: Subject) -> None:
    """The model's name at an engine is the operator's affair: whoever serves it under another may be asked as well."""
    reply = await s.ask(s.body("@fault=s404@"))
    error = refuses(reply, 404)
    seen = len(await s.seen())
    holds(error["message"].endswith("refused with 404"), f"the message is {error['message']!r}")
    holds(1 <= seen <= len(s.engines), f"engines saw {seen} requests")


@check("an engine's 400 to a stream is passed on as JSON")
async def _(s: Subject) -> None:
    error = refuses(await s.ask(s.body("@fault=s400@", stream=True)), 400)
    equal(error["message"], f"{s.tag} refused with 400", "message")


@check("an engine's 401 is not told as the client's")
async def _(s: Subject) -> None:
    refuses(await s.ask(s.body("@fault=s401@")), 500, 502, 503)


@check("errors of completions have the same schema")
async def _(s: Subject) -> None:
    refuses(await s.ask(b"{", path=COMPLETIONS), 400)
    refuses(await s.ask({"model": "nobody", "prompt": "x"}, path=COMPLETIONS), 404)


@check("a refusal does not repeat the prompt")
async def _(s: Subject) -> None:
    secret = "my-secret-words " * 20
    body = json.dumps({"model": "nobody", "messages": [{"role": "user", "content": secret}]})
    reply = await s.ask(body.encode())
    holds(b"my-secret-words" not in reply.body, "the refusal has the prompt in it")


@check(
    "after 100 refusals the next request is served",
)
async def _(s: Subject) -> None:
    for _ in range(100):
        await s.ask(s.body("@fault=s400@"))
    equal((await s.ask(s.body())).status, 200, "status")


@check("no key is 401", "key")
async def _(s: Subject) -> None:
    for path, method in ((CHAT, "POST"), ("/v1/models", "GET")):
        reply = await s.ask(path=path, method=method, key=False)
        refuses(reply, 401)
        holds(reply.header("www-authenticate"), "no www-authenticate")


@check("a wrong key is 401, and reaches no engine", "key")
async def _(s: Subject) -> None:
    for key in ("Bearer wrong", "Basic x", "Bearer", "bearer  "):
        refuses(await s.ask(key=False, headers=[("authorization", key)]), 401)
    equal(await s.seen(), [], "requests at engines")
