"""What vLLM's HTTP server is asked and what its answers must look like; every odd answer is a typed error."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from runtime.engines.call import Answer, Call, chat_call, plain
from runtime.engines.chunks import context_lengths
from runtime.engines.openai.answer import Limits
from runtime.engines.openai.attempt import attempt
from runtime.engines.openai.connection import Connection
from runtime.engines.openai.refusals import of_one_attempt
from runtime.engines.request import Completion, Message, Request
from runtime.errors import EngineError, Refused, ServingError

_DETAILS_FLAG = "--enable-prompt-tokens-details"
_LINE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_HEALTHY_S = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a /metrics page."""

    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as /v1/models lists it; `max_model_len` in tokens, `others` are listed beside it."""

    name: str
    max_model_len: int
    others: tuple[str, ...] = ()


class VllmClient:
    """One server's address and its connections. Raises `EngineError`, `RequestError` and `ModelError` alone.

    Of engine errors, `Unreachable` says that nobody listens there, `Busy` that it takes no more for now; any other is
    of one request.
    """

    def __init__(self, url: str, api_key: str | None = None, limits: Limits | None = None) -> None:
        self._connection = Connection(url, api_key, limits)

    @property
    def url(self) -> str:
        """The server's address."""
        return self._connection.url

    @property
    def in_flight(self) -> int:
        """Calls that the server has and is not done with."""
        return self._connection.in_flight

    async def close(self) -> None:
        """Close all connections."""
        await self._connection.close()

    async def healthy(self) -> bool:
        """Whether the server answers and is well, within two seconds."""
        try:
            await self._connection.fetch("GET", "/health", within_s=_HEALTHY_S)
        except ServingError:
            return False
        return True

    async def model(self, name: str | None = None) -> ServedModel:
        """The model called `name`, or the first that the server lists; an adapter has its parent's context."""
        answer = await self._ask("GET", "/v1/models")
        try:
            lengths = context_lengths(answer)
            listed = [
                ServedModel(each, int(length or 0), tuple(other for other in lengths if other != each))
                for each, length in lengths.items()
            ]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._connection.nonsense("/v1/models", "no list of models; is it vLLM?") from None
        chosen = [each for each in listed if name in (None, each.name)]
        if not chosen:
            if not listed:
                raise EngineError(f"{self.url} lists no model at all; start the server with one")
            names = ", ".join(each.name for each in listed)
            raise EngineError(f"{self.url} serves no model {name!r}; it serves {names}")
        if chosen[0].max_model_len < 1:
            raise self._connection.nonsense("/v1/models", "no max_model_len; is it vLLM?")
        return chosen[0]

    async def metrics(self) -> list[Sample]:
        """Every sample of the page /metrics."""
        page = (await self._fetch("GET", "/metrics")).decode(errors="replace")
        return [
            Sample(line["name"], dict(_LABEL.findall(line["labels"] or "")), float(line["value"]))
            for line in map(_LINE.match, page.split("\n"))
            if line is not None
        ]

    async def tokenize(self, model: str, messages: Sequence[Message]) -> tuple[int, ...]:
        """The prompt's token ids, chat template and generation prompt included."""
        question = {"model": model, "messages": plain(messages), "add_generation_prompt": True}
        answer = await self._ask("POST", "/tokenize", question)
        try:
            return tuple(int(token) for token in answer["tokens"])
        except (KeyError, TypeError, ValueError):
            raise self._connection.nonsense("/tokenize", "no list of tokens") from None

    async def reset_prefix_cache(self) -> None:
        """Empty the prefix cache."""
        await self._fetch("POST", "/reset_prefix_cache")

    async def open(self, call: Call, deadline: float = inf) -> Answer:
        """Send a call; see `Engine.open`."""
        return await self._connection.open(call, deadline)

    async def complete(self, model: str, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        """Serve one request, greedily, and time its tokens as they arrive."""
        call = chat_call(request, model, token_ids=True)
        completion, usage = await attempt(self._connection, call, first_token)
        if usage is None or usage.cached is None:
            raise EngineError(f"{self.url} does not report what it found in its cache: start it with {_DETAILS_FLAG}")
        return completion

    async def _ask(self, method: str, path: str, question: object = None) -> dict[str, Any]:
        try:
            return await self._connection.fetch_object(method, path, question)
        except Refused as error:
            raise of_one_attempt(self.url, error) from error

    async def _fetch(self, method: str, path: str) -> bytes:
        try:
            return await self._connection.fetch(method, path)
        except Refused as error:
            raise of_one_attempt(self.url, error) from error
