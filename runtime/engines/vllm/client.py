"""What vLLM's HTTP server is asked and what its answers must look like; every odd answer is a typed error."""

import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

import httpx

from runtime.engines.engine import Completion, Message, Request
from runtime.errors import EngineBusyError, EngineDownError, EngineError, ModelError, RequestError

_DETAILS_FLAG = "--enable-prompt-tokens-details"
_LINE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a /metrics page."""

    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as /v1/models lists it; `max_model_len` in tokens."""

    name: str
    max_model_len: int


class VllmClient:
    """One server's address and its connections. Raises `EngineError`, `RequestError` and `ModelError` alone.

    Of engine errors, `EngineDownError` says that nobody listens there, `EngineBusyError` that it takes no more for now;
    any other is of one request.
    """

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        _check_address(url)
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise EngineError(f"the API key for {self.url} holds characters that no header can carry; copy it again")
        try:
            self._http = httpx.AsyncClient(
                base_url=self.url,
                headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
                # A long prompt behind others takes minutes on a CPU before its first byte.
                timeout=httpx.Timeout(connect=5.0, read=600.0, write=30.0, pool=None),
                # The server hangs up after 5 idle seconds; a connection kept longer may be closed when it is used.
                limits=httpx.Limits(max_connections=256, max_keepalive_connections=32, keepalive_expiry=2.0),
                trust_env=False,
            )
        except httpx.InvalidURL as error:
            raise EngineError(f"{url!r} is no address ({error}); write it as http://host:port") from None

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def healthy(self) -> bool:
        """Whether the server answers and is well, within two seconds."""
        try:
            return (await self._http.get("/health", timeout=2.0)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    async def model(self, name: str | None = None) -> ServedModel:
        """The model called `name`, or the first that the server lists."""
        answer = await self._ask("GET", "/v1/models")
        try:
            listed = [ServedModel(str(each["id"]), int(each["max_model_len"])) for each in answer["data"]]
        except (KeyError, TypeError, ValueError):
            raise self._nonsense("/v1/models", "no max_model_len; is it vLLM?") from None
        chosen = [each for each in listed if name in (None, each.name)]
        if not chosen:
            if not listed:
                raise EngineError(f"{self.url} lists no model at all; start the server with one")
            names = ", ".join(each.name for each in listed)
            raise EngineError(f"{self.url} serves no model {name!r}; it serves {names}")
        return chosen[0]

    async def metrics(self) -> list[Sample]:
        """Every sample of the page /metrics."""
        response = await self._send("GET", "/metrics")
        return [
            Sample(line["name"], dict(_LABEL.findall(line["labels"] or "")), float(line["value"]))
            for line in map(_LINE.match, response.text.split("\n"))
            if line is not None
        ]

    async def tokenize(self, model: str, messages: Sequence[Message]) -> tuple[int, ...]:
        """The prompt's token ids, chat template and generation prompt included."""
        question = {"model": model, "messages": _plain(messages), "add_generation_prompt": True}
        answer = await self._ask("POST", "/tokenize", question)
        try:
            return tuple(int(token) for token in answer["tokens"])
        except (KeyError, TypeError, ValueError):
            raise self._nonsense("/tokenize", "no list of tokens") from None

    async def reset_prefix_cache(self) -> None:
        """Empty the prefix cache."""
        await self._send("POST", "/reset_prefix_cache")

    async def complete(self, model: str, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        """Serve one request, greedily, and time its tokens as they arrive."""
        question = {
            "model": model,
            "messages": _plain(request.messages),
            "max_tokens": request.max_tokens,
            "temperature": 0.0,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
        }
        answer = _Answer()
        began = time.perf_counter()
        try:
            async with self._http.stream("POST", "/v1/chat/completions", json=question) as response:
                if response.is_error:
                    await response.aread()
                    raise self._refusal(response.status_code, response.text, response.headers)
                async for chunk in self._chunks(response):
                    waiting = answer.first_s is None
                    answer.take(chunk, time.perf_counter() - began)
                    if waiting and answer.first_s is not None and first_token is not None:
                        first_token()
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._nonsense("/v1/chat/completions", f"a chunk out of shape: {error!r}") from error
        return self._completion(answer)

    def _completion(self, answer: "_Answer") -> Completion:
        where = "/v1/chat/completions"
        if answer.usage is None or answer.first_s is None or answer.finish_reason is None:
            raise self._nonsense(where, "the stream ended before the answer did")
        if answer.finish_reason == "abort":
            raise EngineError(f"{self.url} gave up the request while serving it; look at the server's log")
        details = answer.usage.get("prompt_tokens_details")
        if not isinstance(details, dict) or details.get("cached_tokens") is None:
            raise EngineError(f"{self.url} does not report what it found in its cache: start it with {_DETAILS_FLAG}")
        try:
            prompt, cached = int(answer.usage["prompt_tokens"]), int(details["cached_tokens"])
            output = int(answer.usage["completion_tokens"])
            if not (0 <= cached <= prompt and output >= 0):
                raise ValueError(f"{cached} of {prompt} prompt tokens cached, {output} out")
            return Completion(
                text="".join(answer.text),
                prompt_tokens=prompt,
                cached_tokens=cached,
                output_tokens=output,
                first_token_s=answer.first_s,
                latency_s=answer.last_s,
                token_ids=(*answer.prompt_ids, *answer.output_ids) if answer.prompt_ids else (),
                finish_reason=answer.finish_reason,
            )
        except (ArithmeticError, KeyError, TypeError, ValueError):
            raise self._nonsense(where, f"usage {answer.usage}") from None

    async def _chunks(self, response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
        """The server-sent events of one answer, up to the mark of its end."""
        async for line in _lines(response):
            data = line.removeprefix(b"data:").strip()
            if not line.startswith(b"data:") or data == b"[DONE]":
                continue
            chunk = json.loads(data)
            if "error" in chunk:
                code = chunk["error"].get("code") if isinstance(chunk["error"], dict) else None
                raise self._refusal(code if isinstance(code, int) else 500, data.decode(), {})
            yield chunk

    async def _ask(self, method: str, path: str, question: object = None) -> dict[str, Any]:
        response = await self._send(method, path, question)
        try:
            answer = response.json()
        except ValueError:
            raise self._nonsense(path, "no JSON") from None
        if not isinstance(answer, dict):
            raise self._nonsense(path, "no JSON object")
        return answer

    async def _send(self, method: str, path: str, question: object = None) -> httpx.Response:
        try:
            response = await self._http.request(method, path, json=question)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise self._refusal(response.status_code, response.text, response.headers)
        return response

    def _refusal(self, status: int, body: str, headers: Mapping[str, str]) -> EngineError | RequestError | ModelError:
        """The error that an answer with this status means."""
        reason = _reason(body)
        if "chat template" in reason:
            return ModelError(
                f"the model behind {self.url} has no chat template: serve an instruction-tuned model, "
                "or start vLLM with --chat-template"
            )
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return EngineError(f"{self.url} wants another API key ({status}): pass api_key")
        if status == httpx.codes.NOT_FOUND:
            return EngineError(f"{self.url} does not know what was asked ({reason}); is it a vLLM server?")
        if status in (httpx.codes.BAD_REQUEST, httpx.codes.REQUEST_ENTITY_TOO_LARGE, httpx.codes.UNPROCESSABLE_ENTITY):
            return RequestError(f"{self.url} cannot serve this request: {reason}")
        if status in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
            return EngineBusyError(f"{self.url} takes no more for now ({status}): {reason}", _retry_after(headers))
        return EngineError(f"{self.url} failed with status {status}: {reason}")

    def _unreachable(self, error: httpx.HTTPError) -> EngineError:
        kind = EngineDownError if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else EngineError
        return kind(f"{self.url} cannot be reached ({type(error).__name__}: {error}); is the server running?")

    def _nonsense(self, path: str, what: str) -> EngineError:
        return EngineError(f"{self.url}{path} answered with nonsense ({what})")


@dataclass(slots=True)
class _Answer:
    """A streamed answer as it grows; times in seconds from dispatch."""

    text: list[str] = field(default_factory=list)
    prompt_ids: list[int] = field(default_factory=list)
    output_ids: list[int] = field(default_factory=list)
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    first_s: float | None = None
    last_s: float = 0.0

    def take(self, chunk: dict[str, Any], now_s: float) -> None:
        self.prompt_ids += map(int, chunk.get("prompt_token_ids") or [])
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk["choices"]:
            text, tokens = choice["delta"].get("content") or "", choice.get("token_ids") or []
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            # The chunk that only names the role may come before any token does.
            if text or tokens or choice.get("finish_reason"):
                self.first_s = now_s if self.first_s is None else self.first_s
                self.last_s = now_s
            self.text.append(text)
            self.output_ids += map(int, tokens)


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """Lines as server-sent events have them: U+2028 and its like, where Python's own lines end, are text."""
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
    yield rest


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds after which a busy server wants to be asked again, 1 where it does not say so in seconds."""
    try:
        seconds = float(headers.get("retry-after", "1"))
    except ValueError:
        return 1.0
    return min(max(seconds, 0.0), 60.0) if isfinite(seconds) else 1.0


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise EngineError(f"{url!r} is no address ({error}); write it as http://host:port") from None
    if not whole:
        raise EngineError(f"{url!r} is no address; write it as http://host:port")


def _plain(messages: Sequence[Message]) -> list[dict[str, str]]:
    """The messages as JSON takes them; text that UTF-8 cannot carry is the request's fault, not the engine's."""
    for number, message in enumerate(messages):
        try:
            message.content.encode()
        except UnicodeEncodeError as error:
            raise RequestError(f"message {number} is no text ({error.reason} at {error.start}); send UTF-8") from None
    return [{"role": message.role, "content": message.content} for message in messages]


def _reason(body: str) -> str:
    """The message inside an error's body, however deep the server put it."""
    try:
        found = json.loads(body)
    except ValueError:
        return body.strip()[:300] or "no reason given"
    if isinstance(found, dict):
        inner = found.get("error", found)
        if isinstance(inner, dict):
            return str(inner.get("message") or inner.get("detail") or inner)[:500]
    return str(found)[:500]
