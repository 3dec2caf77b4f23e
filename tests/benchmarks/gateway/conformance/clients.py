"""Clients that people use: openai's own, sync and async, LiteLLM's, curl. What they make of it is what counts."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from functools import cache
from pathlib import Path
from subprocess import run
from typing import Any

from tests.benchmarks.gateway.conformance.answers import TOOL
from tests.benchmarks.gateway.conformance.check import Failed, Subject, check, equal, holds
from tests.benchmarks.gateway.engines import ROOT, quiet
from tests.benchmarks.gateway.peers import program


@cache
def litellm_python() -> str | None:
    """An interpreter that has LiteLLM: where the peers are."""
    beside = program("litellm")
    python = str(Path(beside).with_name("python")) if beside else sys.executable
    return (
        python
        if beside or not run([python, "-c", "import litellm"], capture_output=True, check=False).returncode
        else None
    )


def _blocking(name: str) -> Callable[[Callable[[Subject, Any], None]], None]:
    """A check with `openai.OpenAI`, on a thread."""

    def add(story: Callable[[Subject, Any], None]) -> None:
        @check(f"openai: {name}", "openai")
        async def _(s: Subject) -> None:
            from openai import OpenAI

            with OpenAI(base_url=f"{s.base}/v1", api_key=s.proxy.key or "none", max_retries=0, timeout=10) as client:
                await asyncio.to_thread(story, s, client)

    return add


def _async(name: str) -> Callable[[Callable[[Subject, Any], Coroutine[Any, Any, None]]], None]:
    """A check with `openai.AsyncOpenAI`."""

    def add(story: Callable[[Subject, Any], Coroutine[Any, Any, None]]) -> None:
        @check(f"openai, async: {name}", "openai")
        async def _(s: Subject) -> None:
            from openai import AsyncOpenAI

            key = s.proxy.key or "none"
            async with AsyncOpenAI(base_url=f"{s.base}/v1", api_key=key, max_retries=0, timeout=10) as client:
                await story(s, client)

    return add


def _words(s: Subject, count: int = 8) -> str:
    return "".join(f"{s.tag}.0.{i} " for i in range(count))


@_blocking("models.list and models.retrieve")
def _(s: Subject, client: Any) -> None:
    holds("fake" in [model.id for model in client.models.list()], "no model fake")
    equal(client.models.retrieve("fake").id, "fake", "id")


@_blocking("chat.completions.create")
def _(s: Subject, client: Any) -> None:
    made = client.chat.completions.create(**s.body())
    equal(made.choices[0].message.content, _words(s), "content")
    equal(made.usage.prompt_tokens_details.cached_tokens >= 0, True, "cached_tokens")


@_blocking("chat.completions.create, streamed")
def _(s: Subject, client: Any) -> None:
    chunks = list(client.chat.completions.create(**s.body(stream=True)))
    equal("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), _words(s), "content")


@_blocking("chat.completions.stream, its helper")
def _(s: Subject, client: Any) -> None:
    with client.chat.completions.stream(**s.body()) as stream:
        equal(stream.get_final_completion().choices[0].message.content, _words(s), "content")


@_blocking("completions.create, whole and streamed")
def _(s: Subject, client: Any) -> None:
    asked = {"model": "fake", "prompt": f"#{s.tag}#", "max_tokens": 16}
    equal(client.completions.create(**asked).choices[0].text, _words(s), "text")
    pieces = client.completions.create(**asked, stream=True)
    equal("".join(piece.choices[0].text for piece in pieces), _words(s), "text of the stream")


@_blocking("a streamed call of a tool")
def _(s: Subject, client: Any) -> None:
    chunks = list(client.chat.completions.create(**s.body(stream=True, tools=[TOOL])))
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    equal("".join(call.function.arguments for call in calls), json.dumps({"tag": s.tag}), "arguments")


@_blocking("with_raw_response tells x-request-id")
def _(s: Subject, client: Any) -> None:
    raw = client.chat.completions.with_raw_response.create(**s.body())
    holds(raw.headers.get("x-request-id"), "there is none")


@_blocking("extra_body, extra_headers and extra_query do no harm")
def _(s: Subject, client: Any) -> None:
    extra = {"extra_body": {"top_k": 3}, "extra_headers": {"x-mine": "1"}, "extra_query": {"a": "1"}}
    equal(client.chat.completions.create(**s.body(), **extra).choices[0].message.content, _words(s), "content")


@_blocking("an unknown model is NotFoundError")
def _(s: Subject, client: Any) -> None:
    from openai import NotFoundError

    try:
        client.chat.completions.create(**s.body(model="nobody"))
    except NotFoundError as error:
        holds(isinstance(error.body, dict) and error.body.get("message"), f"its body is {error.body!r}")
    else:
        raise Failed("it was served")


@_blocking("an engine's 400 is BadRequestError with its words")
def _(s: Subject, client: Any) -> None:
    from openai import BadRequestError

    try:
        client.chat.completions.create(**s.body("@fault=s400@"))
    except BadRequestError as error:
        holds(f"{s.tag} refused" in str(error), f"it says {error}")
    else:
        raise Failed("it was served")


@_blocking("a stream that breaks is APIError, not an end")
def _(s: Subject, client: Any) -> None:
    from openai import APIError

    try:
        list(client.chat.completions.create(**s.body("@fault=cut@ @tokens=20@ @pace=5@", stream=True)))
    except APIError as error:
        holds(type(error).__name__ == "APIError", f"it is {type(error).__name__}: {error}")
    else:
        raise Failed("it ended as if it were whole")


@_async("64 at once, streamed and whole, nothing mixed up")
async def _(s: Subject, client: Any) -> None:
    async def one(i: int) -> str:
        turns = [{"role": "user", "content": f"@delay=20@ #{s.tag}-{i}#"}]
        if i % 2:
            made = await client.chat.completions.create(model="fake", messages=turns, max_tokens=16)
            return str(made.choices[0].message.content)
        stream = await client.chat.completions.create(model="fake", messages=turns, max_tokens=16, stream=True)
        return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

    told = await asyncio.gather(*(one(i) for i in range(64)))
    wrong = [text for i, text in enumerate(told) if not text.startswith(f"{s.tag}-{i}.0.0 ")]
    holds(not wrong, f"{len(wrong)} of 64 got something else, such as {wrong[:1]}")


@_async("leaving a stream frees the engine")
async def _(s: Subject, client: Any) -> None:
    stream = await client.chat.completions.create(**s.body("@pace=200@ @tokens=60@", stream=True))
    async for _ in stream:
        break
    await stream.close()
    holds(await quiet(s.engines, 0.3), "the engine is still busy")


@_async("cancelling a request frees the engine")
async def _(s: Subject, client: Any) -> None:
    task = asyncio.create_task(client.chat.completions.create(**s.body("@delay=4000@")))
    await asyncio.sleep(0.3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    holds(await quiet(s.engines, 0.3), "the engine is still busy")


@_async("usage in a stream, if asked")
async def _(s: Subject, client: Any) -> None:
    stream = await client.chat.completions.create(**s.body(stream=True, stream_options={"include_usage": True}))
    usages = [chunk.usage async for chunk in stream if chunk.usage]
    equal([usage.completion_tokens for usage in usages], [8], "completion_tokens")


@check("LiteLLM: whole, streamed, tools, an error, async", "litellm")
async def _(s: Subject) -> None:
    python = litellm_python()
    assert python is not None
    command = [
        python,
        "-m",
        "tests.benchmarks.gateway.conformance.litellm_client",
        s.base,
        s.proxy.key or "none",
        s.tag,
    ]
    env = os.environ | {"PYTHONPATH": str(ROOT), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    child = await asyncio.create_subprocess_exec(*command, env=env, stdout=-1, stderr=-1)
    out, err = await child.communicate()
    holds(child.returncode == 0, f"LiteLLM's client says {(out + err)[-400:].decode(errors='replace')}")


async def _curl(s: Subject, *arguments: str) -> tuple[int, bytes]:
    key = ["-H", f"authorization: Bearer {s.proxy.key}"] if s.proxy.key else []
    child = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--noproxy", "*", *key, *arguments, stdout=-1, stderr=-1
    )
    out, err = await child.communicate()
    return child.returncode or 0, out + err


@check("curl: the line from the documentation", "curl")
async def _(s: Subject) -> None:
    data = ["-H", "content-type: application/json", "-d", json.dumps(s.body())]
    code, out = await _curl(s, f"{s.base}/v1/chat/completions", *data)
    equal(code, 0, "exit code")
    equal(json.loads(out)["choices"][0]["message"]["content"], _words(s), "content")


@check("curl: a stream with -N, a body of 2 MB with Expect", "curl")
async def _(s: Subject) -> None:
    data = json.dumps(s.body("long " * 400_000, stream=True)).encode()
    arguments = ["-N", "-H", "content-type: application/json", "-H", "expect: 100-continue", "--data-binary", "@-"]
    key = ["-H", f"authorization: Bearer {s.proxy.key}"] if s.proxy.key else []
    child = await asyncio.create_subprocess_exec(
        "curl", "-sS", *key, *arguments, f"{s.base}/v1/chat/completions", stdin=-1, stdout=-1, stderr=-1
    )
    out, err = await child.communicate(data)
    equal(child.returncode, 0, f"exit code ({err[-200:]!r})")
    holds(out.rstrip().endswith(b"data: [DONE]"), f"it ends with {out[-60:]!r}")


@check("curl --http2 falls back to HTTP/1.1", "curl")
async def _(s: Subject) -> None:
    code, out = await _curl(s, "--http2", "-o", "/dev/null", "-w", "%{http_code}", f"{s.base}/v1/models")
    equal((code, out[-3:]), (0, b"200"), "exit code and status")
