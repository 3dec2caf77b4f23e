"""Streams: events whole and at once, usage for who asked, an end that says so."""

import asyncio
import json
from typing import Any

from tests.benchmarks.gateway.conformance.answers import TOOL
from tests.benchmarks.gateway.conformance.check import Subject, check, equal, holds
from tests.benchmarks.gateway.wire import COMPLETIONS, Reply


async def _stream(s: Subject, text: str = "", **fields: Any) -> Reply:
    reply = await s.ask(s.body(text, stream=True, **fields))
    holds(reply.status == 200, f"the answer is {reply.status} {reply.body[:200]!r} ({reply.error})")
    return reply


def _told(reply: Reply) -> list[dict[str, Any]]:
    return [json.loads(data) for data in reply.data if data != b"[DONE]"]


@check("a chat streams all its words")
async def _(s: Subject) -> None:
    reply = await _stream(s)
    equal(reply.text, "".join(f"{s.tag}.0.{i} " for i in range(8)), "text")


@check("a completion streams all its words")
async def _(s: Subject) -> None:
    body = {"model": "fake", "prompt": f"#{s.tag}#", "max_tokens": 16, "stream": True}
    reply = await s.ask(body, path=COMPLETIONS)
    equal(reply.text, "".join(f"{s.tag}.0.{i} " for i in range(8)), "text")
    holds(reply.done, "it does not end")


@check("a stream is text/event-stream")
async def _(s: Subject) -> None:
    kind = (await _stream(s)).header("content-type")
    holds(kind.startswith("text/event-stream"), f"it is {kind}")


@check("a stream ends with [DONE], once, and HTTP's end follows")
async def _(s: Subject) -> None:
    reply = await _stream(s)
    holds(reply.done, f"it ends with {reply.body[-60:]!r}, {reply.error}")
    equal(reply.body.count(b"[DONE]"), 1, "the number of [DONE]")


@check("every event is JSON of the one answer")
async def _(s: Subject) -> None:
    told = _told(await _stream(s))
    equal({event["id"] for event in told}, {f"fake-{s.tag}"}, "ids")
    equal({event["object"] for event in told}, {"chat.completion.chunk"}, "objects")


@check("no usage in a stream unless asked")
async def _(s: Subject) -> None:
    told = _told(await _stream(s))
    holds(not any(event.get("usage") for event in told), "usage came unasked")
    holds(all(event["choices"] for event in told), "an event without choices came unasked")


@check("usage comes last if asked")
async def _(s: Subject) -> None:
    told = _told(await _stream(s, stream_options={"include_usage": True}))
    equal(told[-1]["choices"], [], "choices of the last event")
    equal(told[-1]["usage"]["completion_tokens"], 8, "completion_tokens")


@check("usage is not told if include_usage is false")
async def _(s: Subject) -> None:
    told = _told(await _stream(s, stream_options={"include_usage": False}))
    holds(not any(event.get("usage") for event in told), "usage came unasked")


@check("n = 2 streams both choices")
async def _(s: Subject) -> None:
    told = _told(await _stream(s, n=2))
    for i in range(2):
        words = [c["delta"].get("content") or "" for event in told for c in event["choices"] if c["index"] == i]
        equal("".join(words), "".join(f"{s.tag}.{i}.{k} " for k in range(8)), f"choice {i}")


@check("calls of tools stream")
async def _(s: Subject) -> None:
    told = _told(await _stream(s, tools=[TOOL]))
    parts = [call for event in told for c in event["choices"] for call in c["delta"].get("tool_calls") or ()]
    equal("".join(part["function"].get("arguments", "") for part in parts), json.dumps({"tag": s.tag}), "arguments")
    equal(told[-1]["choices"][0]["finish_reason"], "tool_calls", "finish_reason")


@check("log-probabilities stream")
async def _(s: Subject) -> None:
    told = _told(await _stream(s, logprobs=True))
    holds(any(c.get("logprobs") for event in told for c in event["choices"]), "none came")


@check("a stream that is cut at max_tokens says length")
async def _(s: Subject) -> None:
    told = _told(await _stream(s, max_tokens=3))
    equal(told[-1]["choices"][0]["finish_reason"], "length", "finish_reason")


@check("the first event comes before the last is there")
async def _(s: Subject) -> None:
    reply = await _stream(s, "@tokens=8@ @pace=100@")
    holds(reply.first_s < 0.4 * reply.total_s, f"the first came after {reply.first_s:.2f} of {reply.total_s:.2f} s")


@check("each event comes when it is sent, none is kept back")
async def _(s: Subject) -> None:
    connection = await s.connect()
    waiter = connection.send(s.raw(s.body("@tokens=6@ @pace=80@", stream=True)))
    sizes = []
    while not waiter.done():
        await asyncio.sleep(0.04)
        sizes.append(len(connection._buffer))
    holds(len(set(sizes)) >= 5, f"bytes came in {len(set(sizes))} lots")


@check("events in CRLF, comments between, and pieces of 7 bytes are understood")
async def _(s: Subject) -> None:
    for fault in ("crlf", "comments", "split"):
        reply = await _stream(s, f"@fault={fault}@")
        equal(reply.text, "".join(f"{s.tag}.0.{i} " for i in range(8)), f"text of {fault}")
        holds(reply.done, f"{fault} does not end")


@check("a stream of 2,000 events is whole")
async def _(s: Subject) -> None:
    reply = await _stream(s, "@tokens=2000@", max_tokens=4000)
    equal(reply.text, "".join(f"{s.tag}.0.{i} " for i in range(2000)), "text")


@check("a slow reader gets all of it")
async def _(s: Subject) -> None:
    connection = await s.connect()
    connection.transport.pause_reading()
    waiter = connection.send(s.raw(s.body("@tokens=2000@", stream=True, max_tokens=4000)))
    await asyncio.sleep(0.5)
    connection.transport.resume_reading()
    reply = await waiter
    equal(reply.text, "".join(f"{s.tag}.0.{i} " for i in range(2000)), "text")


@check("a stream with stream_options that asks for nothing else is not told to be another")
async def _(s: Subject) -> None:
    _, seen = await s.sent(s.body(stream=True, stream_options={"include_usage": True, "x_more": 1}))
    options = json.loads(seen.body)["stream_options"]
    equal((options.get("include_usage"), options.get("x_more")), (True, 1), "stream_options at the engine")
