"""What the fake engine says, as bytes: whole answers, events of a stream, and errors in OpenAI's schema.

A request is answered after its own words, so that answers that were mixed up are seen: `#TAG#` anywhere in a body comes
back in every piece of the answer. `@NAME=WORD@` is an order to the engine; the last of each name counts:

    @tokens=33@  pieces of the answer           @pace=5@     milliseconds between two
    @delay=100@  milliseconds before the first  @fault=...@  see `fake_engine`
"""

import json
import re
from dataclasses import dataclass
from typing import Any

MODEL = "fake"

_ORDER = re.compile(rb"@([a-z]+)=([\w.-]+)@")
_TAG = re.compile(rb"#([\w.-]+)#")


@dataclass(slots=True)
class Request:
    """What a body asks."""

    fields: dict[str, Any]
    chat: bool
    tag: str
    orders: dict[str, str]
    stream: bool
    usage: bool
    pieces: int
    capped: bool
    prompt_tokens: int

    @classmethod
    def read(cls, path: str, body: bytes) -> "Request":
        """Raises ValueError if the body is none."""
        fields = json.loads(body)
        if not isinstance(fields, dict):
            raise ValueError("no object")
        chat = path.endswith("chat/completions")
        if fault := fault_of(fields, chat):
            raise ValueError(fault)
        orders = {name.decode(): word.decode() for name, word in _ORDER.findall(body)}
        tags = _TAG.findall(body)
        asked = int(orders.get("tokens", 8))
        limit = fields.get("max_completion_tokens") or fields.get("max_tokens") or 1 << 20
        options = fields.get("stream_options") or {}
        return cls(
            fields,
            chat=chat,
            tag=tags[-1].decode() if tags else "none",
            orders=orders,
            stream=fields.get("stream") is True,
            usage=options.get("include_usage") is True,
            pieces=min(asked, limit),
            capped=limit < asked,
            prompt_tokens=max(1, len(body) // 4),
        )

    @property
    def choices(self) -> int:
        """How many answers are due."""
        prompts = self.fields.get("prompt")
        many = len(prompts) if isinstance(prompts, list) and prompts and isinstance(prompts[0], str) else 1
        return many * int(self.fields.get("n") or 1)


def fault_of(fields: dict[str, Any], chat: bool) -> str | None:
    """What vLLM would refuse, as far as types go."""
    turns, n, limit = fields.get("messages"), fields.get("n"), fields.get("max_tokens")
    if chat and not (isinstance(turns, list) and turns and all(isinstance(turn, dict) for turn in turns)):
        return "messages: Input should be a valid list"
    if not chat and not fields.get("prompt"):
        return "prompt: Field required"
    if not isinstance(fields.get("model", ""), str):
        return "model: Input should be a valid string"
    if fields.get("stream") not in (None, True, False):
        return "stream: Input should be a valid boolean"
    if not (n is None or (isinstance(n, int) and n > 0)):
        return "n: Input should be greater than or equal to 1"
    if not (limit is None or (isinstance(limit, int) and limit > 0)):
        return "max_tokens: Input should be a valid integer"
    return None


def usage_of(request: Request) -> dict[str, Any]:
    """Token counts: half of the prompt comes from the cache, in blocks of 16."""
    prompt, output = request.prompt_tokens, request.pieces * request.choices
    cached = prompt // 32 * 16
    counts = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    return counts | {"prompt_tokens_details": {"cached_tokens": cached}}


def _call(request: Request) -> dict[str, Any] | None:
    tools = request.fields.get("tools")
    if not tools or request.fields.get("tool_choice") == "none":
        return None
    name = tools[0].get("function", {}).get("name", "tool")
    arguments = json.dumps({"tag": request.tag})
    return {"id": f"call-{request.tag}", "type": "function", "function": {"name": name, "arguments": arguments}}


def words(request: Request, i: int, choice: int = 0) -> str:
    """Piece `i` of an answer."""
    return f"{request.tag}.{choice}.{i} "


def _text(request: Request, choice: int) -> str:
    kind = (request.fields.get("response_format") or {}).get("type", "text")
    if kind != "text":
        return json.dumps({"tag": request.tag})
    images = sum(
        part.get("type") == "image_url"
        for message in request.fields.get("messages", ())
        if isinstance(message.get("content"), list)
        for part in message["content"]
    )
    text = "".join(words(request, i, choice) for i in range(request.pieces))
    return text + f"images={images}" if images else text


def _finish(request: Request) -> str:
    return "tool_calls" if request.chat and _call(request) else "length" if request.capped else "stop"


def _logprobs(request: Request, text: str) -> dict[str, Any]:
    if not request.chat:
        return {"tokens": [text], "token_logprobs": [-0.25], "top_logprobs": [{text: -0.25}], "text_offset": [0]}
    token = {"token": text, "logprob": -0.25, "bytes": list(text.encode())}
    return {"content": [token | {"top_logprobs": [token]}], "refusal": None}


def _head(request: Request, kind: str) -> dict[str, Any]:
    return {"id": f"fake-{request.tag}", "object": kind, "created": 1, "model": request.fields.get("model", MODEL)}


def whole(request: Request) -> dict[str, Any]:
    """The answer at once."""
    choices = []
    for i in range(request.choices):
        text = _text(request, i)
        choice: dict[str, Any] = {"index": i, "finish_reason": _finish(request), "logprobs": None}
        if request.fields.get("logprobs"):
            choice["logprobs"] = _logprobs(request, text)
        if request.chat:
            call = _call(request)
            message = {"role": "assistant", "content": None if call else text}
            choice["message"] = message | ({"tool_calls": [call]} if call else {})
        else:
            choice["text"] = text
        choices.append(choice)
    kind = "chat.completion" if request.chat else "text_completion"
    return _head(request, kind) | {"choices": choices, "usage": usage_of(request)}


def events(request: Request) -> list[bytes]:
    """The answer piece by piece, `[DONE]` at its end."""
    kind = "chat.completion.chunk" if request.chat else "text_completion"
    head = json.dumps(_head(request, kind))[:-1].encode()
    said: list[bytes] = []

    def say(choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> None:
        rest = json.dumps({"choices": choices} | ({"usage": usage} if usage else {}))
        said.append(b"data: " + head + b", " + rest[1:].encode() + b"\n\n")

    if request.chat:
        roles = [
            {"index": c, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
            for c in range(request.choices)
        ]
        say(roles)
    call = _call(request) if request.chat else None
    if call:
        for part in ({"name": call["function"]["name"], "arguments": ""}, {"arguments": call["function"]["arguments"]}):
            piece = {"index": 0, "id": call["id"], "type": "function", "function": part}
            say([{"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": None}])
    else:
        for i in range(request.pieces):
            for c in range(request.choices):
                text = words(request, i, c)
                choice: dict[str, Any] = {"index": c, "finish_reason": None}
                choice |= {"delta": {"content": text}} if request.chat else {"text": text}
                if request.fields.get("logprobs"):
                    choice["logprobs"] = _logprobs(request, text)
                say([choice])
    for c in range(request.choices):
        say([{"index": c, "finish_reason": _finish(request), **({"delta": {}} if request.chat else {"text": ""})}])
    if request.usage:
        say([], usage_of(request))
    said.append(b"data: [DONE]\n\n")
    return said


def error(message: str, status: int) -> bytes:
    """A refusal in OpenAI's schema."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": status}}).encode()
