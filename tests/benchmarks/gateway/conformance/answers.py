"""What is asked and answered: each feature of the API gets through, in one piece."""

import asyncio
import json
from typing import Any

from tests.benchmarks.gateway.conformance.check import Subject, check, equal, holds, refuses
from tests.benchmarks.gateway.wire import COMPLETIONS

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


@check("GET /v1/models lists the model as OpenAI does")
async def _(s: Subject) -> None:
    reply = await s.ask(path="/v1/models", method="GET")
    equal(reply.status, 200, "status")
    told = reply.json()
    equal(told["object"], "list", "object")
    holds("fake" in [card["id"] for card in told["data"]], f"no model fake in {told}")
    holds(all(card["object"] == "model" for card in told["data"]), "a card is no `model`")


@check("GET /v1/models/NAME is the model's card")
async def _(s: Subject) -> None:
    reply = await s.ask(path="/v1/models/fake", method="GET")
    equal(reply.status, 200, "status")
    equal(reply.json()["id"], "fake", "id")


@check("GET /v1/models/NAME of nobody is 404")
async def _(s: Subject) -> None:
    refuses(await s.ask(path="/v1/models/nobody", method="GET"), 404)


@check("GET /health answers 200")
async def _(s: Subject) -> None:
    equal((await s.ask(path="/health", method="GET", key=False)).status, 200, "status")


@check("a chat is answered whole")
async def _(s: Subject) -> None:
    reply = await s.ask()
    equal(reply.status, 200, "status")
    equal(reply.text, "".join(f"{s.tag}.0.{i} " for i in range(8)), "text")
    equal(reply.json()["object"], "chat.completion", "object")
    holds(reply.header("content-type").startswith("application/json"), "it is not application/json")


@check("a completion is answered whole")
async def _(s: Subject) -> None:
    reply = await s.ask({"model": "fake", "prompt": f"#{s.tag}#", "max_tokens": 16}, path=COMPLETIONS)
    equal(reply.status, 200, "status")
    holds(reply.text.startswith(f"{s.tag}.0.0 "), "other words")
    equal(reply.json()["object"], "text_completion", "object")


@check("a list of prompts has an answer each")
async def _(s: Subject) -> None:
    reply = await s.ask({"model": "fake", "prompt": ["a", "b", f"#{s.tag}#"], "max_tokens": 16}, path=COMPLETIONS)
    equal(reply.status, 200, "status")
    equal([choice["index"] for choice in reply.json()["choices"]], [0, 1, 2], "choices")


@check("a prompt of token ids arrives as it is")
async def _(s: Subject) -> None:
    body = f'{{"model": "fake", "prompt": [1, 2, 3, 151643], "max_tokens": 16, "user": "#{s.tag}#"}}'.encode()
    _, seen = await s.sent(body, path=COMPLETIONS)
    equal(json.loads(seen.body)["prompt"], [1, 2, 3, 151643], "prompt")


@check("a whole answer tells its usage, cached tokens as well")
async def _(s: Subject) -> None:
    usage = (await s.ask(s.body("x" * 400))).json()["usage"]
    holds(usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"], f"usage is {usage}")
    holds(usage["prompt_tokens_details"]["cached_tokens"] > 0, f"usage is {usage}")


@check("n = 3 gives three choices")
async def _(s: Subject) -> None:
    reply = await s.ask(s.body(n=3))
    equal(reply.status, 200, "status")
    equal([choice["index"] for choice in reply.json()["choices"]], [0, 1, 2], "choices")


@check("tools get through, and a call comes back")
async def _(s: Subject) -> None:
    reply, seen = await s.sent(s.body(tools=[TOOL], tool_choice="auto"))
    call = reply.json()["choices"][0]["message"]["tool_calls"][0]
    equal(call["function"], {"name": "look_up", "arguments": json.dumps({"tag": s.tag})}, "function")
    equal(json.loads(seen.body)["tools"], [TOOL], "tools at the engine")
    equal(json.loads(seen.body)["tool_choice"], "auto", "tool_choice at the engine")


@check("turns of tools arrive with their ids")
async def _(s: Subject) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"a": 1}'}}
    turns = [
        {"role": "user", "content": f"#{s.tag}#"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "it is so"},
    ]
    _, seen = await s.sent({"model": "fake", "messages": turns, "max_tokens": 16})
    equal(json.loads(seen.body)["messages"], turns, "messages at the engine")


@check("images get through")
async def _(s: Subject) -> None:
    parts = [{"type": "text", "text": f"#{s.tag}#"}, {"type": "image_url", "image_url": {"url": DOT, "detail": "low"}}]
    turns = [{"role": "user", "content": parts}]
    reply, seen = await s.sent({"model": "fake", "messages": turns, "max_tokens": 16})
    holds(reply.text.endswith("images=1"), f"the engine saw no image: {reply.text}")
    equal(json.loads(seen.body)["messages"], turns, "messages at the engine")


@check("log-probabilities get through both ways")
async def _(s: Subject) -> None:
    reply, seen = await s.sent(s.body(logprobs=True, top_logprobs=2))
    equal(reply.json()["choices"][0]["logprobs"]["content"][0]["logprob"], -0.25, "logprob")
    equal(json.loads(seen.body)["top_logprobs"], 2, "top_logprobs at the engine")


@check("a JSON schema gets through")
async def _(s: Subject) -> None:
    schema = {"type": "object", "properties": {"z": {"type": "number"}, "a": {"enum": [1, 1.5, None]}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    reply, seen = await s.sent(s.body(response_format=form))
    equal(json.loads(reply.text), {"tag": s.tag}, "content")
    equal(json.loads(seen.body)["response_format"], form, "response_format at the engine")


@check("what samples get through: seed, stop, logit_bias, penalties")
async def _(s: Subject) -> None:
    fields: dict[str, Any] = {
        "seed": 7,
        "stop": ["\n", "END"],
        "logit_bias": {"50256": -100},
        "frequency_penalty": 0.5,
        "top_p": 0.9,
    }
    _, seen = await s.sent(s.body(**fields))
    told = json.loads(seen.body)
    equal({name: told.get(name) for name in fields}, fields, "fields at the engine")


@check("vLLM's own fields get through: top_k, guided_regex, min_p, cache_salt")
async def _(s: Subject) -> None:
    fields: dict[str, Any] = {"top_k": 5, "guided_regex": "a+", "min_p": 0.1, "cache_salt": "salt", "ignore_eos": True}
    _, seen = await s.sent(s.body(**fields))
    told = json.loads(seen.body)
    equal({name: told.get(name) for name in fields}, fields, "fields at the engine")


@check("temperature 0 stays 0, null stays null")
async def _(s: Subject) -> None:
    _, seen = await s.sent(s.body(temperature=0, stop=None))
    told = json.loads(seen.body)
    holds(told.get("temperature", 9) == 0 and told.get("stop", 9) is None, f"the engine got {seen.body!r:.300}")


@check("max_completion_tokens is honoured")
async def _(s: Subject) -> None:
    body = s.body(max_completion_tokens=3)
    del body["max_tokens"]
    reply, _ = await s.sent(body)
    equal(reply.json()["choices"][0]["finish_reason"], "length", "finish_reason")
    equal(reply.json()["usage"]["completion_tokens"], 3, "completion_tokens")


@check("the model's name in the answer is the one that was asked for")
async def _(s: Subject) -> None:
    equal((await s.ask()).json()["model"], "fake", "model")


@check("64 at once each get their own words")
async def _(s: Subject) -> None:
    async def one(i: int) -> str:
        turn = {"role": "user", "content": f"@delay=20@ #{s.tag}-{i}#"}
        reply = await s.ask({"model": "fake", "messages": [turn], "stream": i % 2 == 0, "max_tokens": 16})
        return reply.text if reply.status == 200 else f"{reply.status}"

    told = await asyncio.gather(*(one(i) for i in range(64)))
    wrong = [text for i, text in enumerate(told) if not text.startswith(f"{s.tag}-{i}.0.0 ")]
    holds(not wrong, f"{len(wrong)} of 64 got something else, such as {wrong[:1]}")


@check("requests are spread over engines")
async def _(s: Subject) -> None:
    # Slow enough that all are there at once: as long as one engine has room, whom it prefers is a proxy's own affair.
    async def one(i: int) -> None:
        turn = {"role": "user", "content": f"{i} other words {i} " * 20 + f"@delay=1000@ #{s.tag}#"}
        await s.ask({"model": "fake", "messages": [turn], "max_tokens": 16})

    await asyncio.gather(*(one(i) for i in range(160)))
    served = [len(list(await engine.seen())) for engine in s.engines]
    holds(sum(bool(count) for count in served) > 1, f"160 requests went to engines as {served}")
