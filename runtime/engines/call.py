"""One call to an engine and its answer: the client's bytes go in, whole events come out, and both are only looked at.

    answer = await engine.open(call, deadline)
    async with aclosing(answer):
        async for event in answer:
            forward(event)

Bytes are never written anew, so that fields nobody here knows, integers of thirty digits and 1.10 arrive as they were.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

from runtime.engines.chunks import Tally, Usage
from runtime.engines.request import Completion, Message, Request, Role
from runtime.engines.sse import event_data
from runtime.errors import RequestError

__all__ = ["CHAT", "Answer", "Call", "Usage", "View", "chat_call", "collect"]

CHAT = "/v1/chat/completions"
#: More choices of one answer than these no engine is asked for.
_MOST_CHOICES = 128
#: No vocabulary has as many tokens; ids are kept as 32 bits.
_MOST_IDS = 1 << 31
_ROLES: Mapping[object, Role] = {"system": "system", "developer": "system", "assistant": "assistant"}


@dataclass(frozen=True, slots=True)
class View:
    """What of a call's body is looked at; the body itself is what is sent.

    `n` counts the choices of all prompts together. `max_tokens` is None where the client leaves it to the engine,
    `salt` separates caches (vLLM's `cache_salt`), `include_usage` and `token_ids` say whether a stream was asked to
    report them. `messages` are the conversation's texts: what is no text (images, calls of tools) is left out, and
    whoever is neither system nor assistant is a user. `prompts` are those of /v1/completions, texts or token ids;
    `stop` are texts before which an answer ends.
    """

    model: str = ""
    stream: bool = False
    n: int = 1
    max_tokens: int | None = None
    salt: str = ""
    has_tools: bool = False
    include_usage: bool = False
    token_ids: bool = False
    messages: tuple[Message, ...] = ()
    prompts: tuple[str | tuple[int, ...], ...] = ()
    stop: tuple[str, ...] = ()

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Look at a body of /v1/chat/completions or /v1/completions.

        Raises:
            RequestError: it is no JSON object, or a field that is looked at is not of its type.

        >>> View.read(b'{"model": "m", "prompt": "hi", "max_tokens": 3, "x": 1.10}').text
        'hi'
        """
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise RequestError(f"the body is no JSON ({error})") from None
        if not isinstance(asked, dict):
            raise RequestError(f"the body is JSON of type {type(asked).__name__}; send an object")
        options = _field(asked, "stream_options", dict, {})
        most = "max_completion_tokens" if asked.get("max_completion_tokens") is not None else "max_tokens"
        prompts = _prompts(asked)
        return cls(
            model=_field(asked, "model", str, ""),
            stream=_field(asked, "stream", bool, False),
            n=(_number(asked, "n", _MOST_CHOICES) or 1) * max(len(prompts), 1),
            max_tokens=_number(asked, most, 1 << 31),
            salt=_field(asked, "cache_salt", str, ""),
            has_tools=bool(asked.get("tools") or asked.get("functions")),
            include_usage=_field(options, "include_usage", bool, False),
            token_ids=_field(asked, "return_token_ids", bool, False),
            messages=_conversation(asked),
            prompts=prompts,
            stop=_stops(asked),
        )

    @property
    def text(self) -> str:
        """All texts of the conversation, one after the other."""
        return "\n".join(message.content for message in self.messages)


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt to have a request served.

    `body` is what is sent, to `path`. `headers` go with it: an allow-list, never the client's key. `id` and `attempt`
    name it in books and logs; `bidder` is who pays.
    """

    id: str
    body: bytes
    view: View
    bidder: str = ""
    path: str = CHAT
    attempt: int = 1
    headers: Mapping[bytes, bytes] = field(default_factory=dict)


@runtime_checkable
class Answer(Protocol):
    """An answer that has begun: its headers are here, and nothing was forwarded yet.

    Iterate once. `first_token_s` and `latency_s` are seconds from dispatch to the first token and to the last so far,
    None before there is one; `usage` counts on until the engine reports; `finished` says that every choice ended and
    the mark of the end was seen. An answer may also have `end`, why its first choice ended. Iteration
    raises `Broken` when the engine breaks off, and has then closed itself, as it has when the task that iterates is
    cancelled in it. Whoever stops earlier calls `aclose`, which ends iteration.
    """

    status: int
    headers: Mapping[str, str]

    @property
    def usage(self) -> Usage | None:
        """Tokens, counted so far or reported."""
        ...

    @property
    def first_token_s(self) -> float | None:
        """Seconds from dispatch to the first token."""
        ...

    @property
    def latency_s(self) -> float | None:
        """Seconds from dispatch to the last token so far."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the answer is whole."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Whole server-sent events, or one body, byte for byte."""
        ...

    async def aclose(self) -> None:
        """Hang up, which ends the work upstream, and give back the engine's place; may be called again."""
        ...


def chat_call(request: Request, model: str, *, token_ids: bool = False) -> Call:
    """A request as a call that is served greedily, streamed, and reports its usage; with token ids only vLLM knows.

    Raises:
        RequestError: a message is no text that UTF-8 can carry.
    """
    question: dict[str, Any] = {
        "model": model,
        "messages": plain(request.messages),
        "max_tokens": request.max_tokens,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if token_ids:
        question["return_token_ids"] = True
    view = View(model, True, 1, request.max_tokens, "", False, True, token_ids, request.messages)
    return Call(request.id, json.dumps(question, ensure_ascii=False).encode(), view, request.bidder)


def plain(messages: Sequence[Message]) -> list[dict[str, str]]:
    """The messages as JSON takes them; text that UTF-8 cannot carry is the request's fault, not the engine's.

    Raises:
        RequestError: there is such a text.
    """
    for number, message in enumerate(messages):
        try:
            message.content.encode()
        except UnicodeEncodeError as error:
            raise RequestError(f"message {number} is no text ({error.reason} at {error.start}); send UTF-8") from None
    return [{"role": message.role, "content": message.content} for message in messages]


async def collect(answer: Answer, first_token: Callable[[], None] | None = None) -> Completion:
    """Read an answer to its end and close it; `first_token` is called once, when the first token is there.

    Of several choices the first is the text. Where the engine does not say what it found in its cache, that is 0.

    Raises:
        Broken: the answer breaks off, or does not report its usage.
    """
    tally = Tally()
    waiting = True
    try:
        async for event in answer:
            if waiting and answer.first_token_s is not None:
                waiting = False
                if first_token is not None:
                    first_token()
            # No event begins so, and not every server names the type of what it sends.
            if event.lstrip().startswith(b"{"):
                tally.take_body(event)
            elif (data := event_data(event)) is not None:
                tally.take(data)
    finally:
        await answer.aclose()
    usage = answer.usage
    if not answer.finished or answer.first_token_s is None or answer.latency_s is None:
        raise tally.nonsense("the stream ended before the answer did")
    if usage is None or not usage.reported:
        raise tally.nonsense("the answer came without its usage")
    return Completion(
        text=tally.text,
        prompt_tokens=usage.prompt,
        cached_tokens=usage.cached or 0,
        output_tokens=usage.output,
        first_token_s=answer.first_token_s,
        latency_s=answer.latency_s,
        token_ids=(*tally.prompt_ids, *tally.output_ids) if tally.prompt_ids else (),
        finish_reason=tally.ends.get(0, "stop"),
    )


def _field(asked: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = asked.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise RequestError(f"{name} is {str(value)[:40]!r}; it must be of type {kind.__name__}")
    return value


def _number(asked: Mapping[str, Any], name: str, most: int) -> int | None:
    value = asked.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise RequestError(f"{name} is {str(value)[:40]!r}; it must be an integer from 1 to {most}")
    return value


def _conversation(asked: Mapping[str, Any]) -> tuple[Message, ...]:
    if "messages" not in asked:
        prompt = asked.get("prompt")
        return (Message("user", prompt),) if isinstance(prompt, str) else ()
    told = _field(asked, "messages", list, [])
    if not all(isinstance(message, dict) for message in told):
        raise RequestError("messages holds what is no object")
    return tuple(Message(_role(message.get("role")), _text(message.get("content"))) for message in told)


def _prompts(asked: Mapping[str, Any]) -> tuple[str | tuple[int, ...], ...]:
    """A list of token ids is one prompt, any other list one for each of its members."""
    prompt = None if "messages" in asked else asked.get("prompt")
    if prompt is None:
        return ()
    some = prompt if isinstance(prompt, list) and not all(map(_is_token, prompt)) else [prompt]
    if not all(isinstance(one, str) or (isinstance(one, list) and all(map(_is_token, one))) for one in some):
        raise RequestError("prompt must be a text, token ids, or a list of such")
    return tuple(one if isinstance(one, str) else tuple(one) for one in some)


def _is_token(one: object) -> bool:
    return isinstance(one, int) and not isinstance(one, bool) and 0 <= one < _MOST_IDS


def _stops(asked: Mapping[str, Any]) -> tuple[str, ...]:
    stop = asked.get("stop")
    some = [] if stop is None else stop if isinstance(stop, list) else [stop]
    if not all(isinstance(one, str) and one for one in some):
        raise RequestError("stop must be a text that is not empty, or a list of such")
    return tuple(some)


def _role(role: object) -> Role:
    return _ROLES.get(role, "user") if isinstance(role, str) else "user"


def _text(content: object) -> str:
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""
