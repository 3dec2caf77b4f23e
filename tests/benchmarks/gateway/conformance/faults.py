"""What an engine does wrong: tried elsewhere while nothing was sent, told as an error once something was."""

import asyncio
import time
from typing import Any

from tests.benchmarks.gateway.conformance.check import Failed, Subject, check, equal, holds, refuses
from tests.benchmarks.gateway.wire import Reply, openai_error


async def _one_engine(s: Subject, fault: str, count: int = 9, **fields: Any) -> None:
    """One engine of several has the fault: every request is served nevertheless."""
    await s.engines[0].tell(fault=fault)
    for i in range(count):
        turn = {"role": "user", "content": f"words {i} {i} {i} " * 20 + f"#{s.tag}#"}
        reply = await s.ask({"model": "fake", "messages": [turn], "max_tokens": 16} | fields)
        if reply.status != 200 or not reply.complete or f"{s.tag}.0.7 " not in reply.text:
            raise Failed(f"request {i} is answered {reply.status} {reply.body[:150]!r} ({reply.error})")


def _elsewhere(fault: str, words: str) -> None:
    @check(f"{words} of one engine is tried elsewhere")
    async def _(s: Subject) -> None:
        await _one_engine(s, fault)

    @check(f"{words} of one engine is tried elsewhere, for streams")
    async def _(s: Subject) -> None:
        await _one_engine(s, fault, stream=True)


for _fault, _words in (("s429", "429"), ("s503", "503"), ("s500", "500"), ("reset", "a reset before the headers")):
    _elsewhere(_fault, _words)


@check("an engine that is down is passed by")
async def _(s: Subject) -> None:
    s.engines[0].kill()
    for i in range(9):
        turn = {"role": "user", "content": f"words {i} {i} {i} " * 20 + f"#{s.tag}#"}
        reply = await s.ask({"model": "fake", "messages": [turn], "max_tokens": 16})
        equal(reply.status, 200, f"status of request {i}")


@check("an engine that comes back is used again")
async def _(s: Subject) -> None:
    first, *others = s.engines
    first.kill()
    await asyncio.gather(*(s.ask(s.body(f"x{i} " * 30)) for i in range(6)))
    first.start()
    # Whom it prefers is a proxy's own affair: where nobody else is left, it shows whether it knows of this one.
    until = time.monotonic() + 8.0
    while not await first.state() and time.monotonic() < until:
        await asyncio.sleep(0.05)
    for engine in others:
        engine.kill()
    while time.monotonic() < until:
        if (await s.ask(s.body("y " * 30))).status == 200:
            return
        await asyncio.sleep(0.1)
    raise Failed("nothing is served within 8 s while it is up and the others are down")


def _told(reply: Reply) -> None:
    """A stream that broke has begun, ends in order, and its last event is an error in OpenAI's schema."""
    equal(reply.status, 200, "status")
    holds(reply.data, f"nothing came of it ({reply.error})")
    holds(b"[DONE]" not in reply.data[-1], "it ends with [DONE], as if it were whole")
    holds(openai_error(reply.data[-1]), f"it ends with {reply.data[-1][:120]!r} and no error ({reply.error})")


def _breaks(fault: str, words: str) -> None:
    @check(f"a stream in which {words} ends with an error event")
    async def _(s: Subject) -> None:
        _told(await s.ask(s.body(f"@fault={fault}@ @tokens=20@ @pace=5@", stream=True)))


for _fault, _words in (
    ("cut", "the engine hangs up"),
    ("half", "half an event comes"),
    ("nodone", "no [DONE] comes"),
    ("garbage", "an event is no JSON"),
    ("errorevent", "the engine tells an error"),
):
    _breaks(_fault, _words)


@check("a stream whose engine dies ends with an error event")
async def _(s: Subject) -> None:
    _told(await s.ask(s.body("@fault=midcrash@ @tokens=20@ @pace=5@", stream=True)))


@check("a stream whose engine falls silent ends with an error event within 13 s")
async def _(s: Subject) -> None:
    _told(await s.ask(s.body("@fault=stall@ @tokens=20@", stream=True), deadline=13.0))


@check("an event of 48 MB ends the stream with an error event, or comes whole")
async def _(s: Subject) -> None:
    before = s.proxy.rss_mb()
    reply = await s.ask(s.body("@fault=long@", stream=True))
    holds(reply.complete, f"the stream breaks off ({reply.error})")
    if len(reply.raw) < 40 << 20:
        _told(reply)
    holds(s.proxy.rss_mb() - before < 600, f"memory grew by {s.proxy.rss_mb() - before:.0f} MiB")


def _no_answer(fault: str, words: str) -> None:
    @check(f"an answer {words} is 502 or 503, not passed on")
    async def _(s: Subject) -> None:
        refuses(await s.ask(s.body(f"@fault={fault}@")), 500, 502, 503, 504)


for _fault, _words in (
    ("garbage", "that is no JSON"),
    ("short", "shorter than announced"),
    ("nullchoices", "without choices"),
    ("html", "that is text/html"),
):
    _no_answer(_fault, _words)


@check("a stream that is text/html is refused, not passed on")
async def _(s: Subject) -> None:
    refuses(await s.ask(s.body("@fault=html@", stream=True)), 500, 502, 503)


@check("every engine answers 500: a refusal in OpenAI's schema")
async def _(s: Subject) -> None:
    refuses(await s.ask(s.body("@fault=s500@")), 500, 502, 503)


@check("every engine answers 503: 503 or 429, and when to come again")
async def _(s: Subject) -> None:
    reply = await s.ask(s.body("@fault=s503@"))
    refuses(reply, 429, 502, 503)


@check("every engine answers 429: 429 or 503")
async def _(s: Subject) -> None:
    refuses(await s.ask(s.body("@fault=s429@")), 429, 503)


@check("every engine is down: 502 or 503 in OpenAI's schema")
async def _(s: Subject) -> None:
    for engine in s.engines:
        engine.kill()
    refuses(await s.ask(), 502, 503)


@check("an engine that never answers ends in 504 or 502 within 13 s")
async def _(s: Subject) -> None:
    refuses(await s.ask(s.body("@fault=silence@"), deadline=13.0), 502, 503, 504)


@check("an engine's redirect is not followed")
async def _(s: Subject) -> None:
    reply = await s.ask(s.body("@fault=redirect@"))
    equal(sum([(await engine.state())["trapped"] for engine in s.engines]), 0, "requests in the trap")
    holds(reply.status >= 500, f"the answer is {reply.status} {reply.head[:200]!r}")


@check("an answer without usage is passed on")
async def _(s: Subject) -> None:
    for stream in (False, True):
        reply = await s.ask(s.body("@fault=nousage@", stream=stream))
        equal((reply.status, reply.text[:8]), (200, f"{s.tag}.0.0 "[:8]), "the answer")


@check("usage whose details are null is passed on")
async def _(s: Subject) -> None:
    reply = await s.ask(s.body("@fault=nulldetails@"))
    equal(reply.json()["usage"]["prompt_tokens_details"], None, "details")
    reply = await s.ask(s.body("@fault=nulldetails@", stream=True, stream_options={"include_usage": True}))
    holds(reply.done, f"the stream ends with {reply.raw[-60:]!r}")


@check("choices that are null in one event do not end a stream that goes on")
async def _(s: Subject) -> None:
    reply = await s.ask(s.body("@fault=nullchoices@", stream=True))
    holds(reply.done or reply.told_error, f"the stream ends with {reply.raw[-60:]!r} ({reply.error})")


@check("compressed, closing, HTTP/1.0 and 103 before: each is understood")
async def _(s: Subject) -> None:
    for fault in ("closing", "plain10", "hints"):
        reply = await s.ask(s.body(f"@fault={fault}@"))
        holds(reply.status == 200 and reply.text.startswith(f"{s.tag}.0.0"), f"{fault}: {reply.status}")


@check("compressed answers are told as such, or unpacked")
async def _(s: Subject) -> None:
    reply = await s.ask(s.body("@fault=gzip@"))
    packed = reply.body[:2] == b"\x1f\x8b"
    holds(reply.status >= 500 or packed == (reply.header("content-encoding") == "gzip"), "packed and nobody says so")


@check("a poisonous request does not take the last engine with it")
async def _(s: Subject) -> None:
    reply = await s.ask(s.body("@fault=crash@"))
    alive = sum(engine.alive for engine in s.engines)
    holds(reply.status >= 500 and alive, f"{alive} engines are alive, the answer is {reply.status}")


@check("after an engine fails, its places are free again")
async def _(s: Subject) -> None:
    for fault in ("cut", "half", "reset", "s500", "garbage"):
        await s.ask(s.body(f"@fault={fault}@", stream=True))
    replies = await asyncio.gather(*(s.ask(s.body("@delay=50@")) for _ in range(30)))
    fine = sum(reply.status == 200 for reply in replies)
    holds(fine == 30, f"{fine} of 30 are served afterwards")
