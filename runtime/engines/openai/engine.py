"""`OpenAIEngine`: any server that speaks OpenAI's API, at a URL and with a key, as an agent.

    engine = OpenAIEngine("b", "https://api.example.com/v1", api_key, model="m", slots=32)

Such a server says nothing of its cache or its tokenizer, so that both are declared: prompts are cut into the simulated
engines' word pieces, about as many as a model's tokens, which is enough to see which prompts begin alike.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from math import inf
from types import TracebackType
from typing import Self

from runtime.engines.call import Answer, Call, chat_call
from runtime.engines.chunks import context_lengths
from runtime.engines.engine import EngineInfo
from runtime.engines.openai.answer import Limits
from runtime.engines.openai.attempt import attempt, check_request
from runtime.engines.openai.connection import Connection
from runtime.engines.openai.refusals import reworded
from runtime.engines.request import Completion, Message, Request
from runtime.engines.simulated.tokens import VOCABULARY, encode_chat
from runtime.errors import EngineError, Refused, RequestError, Unreachable

__all__ = ["Limits", "OpenAIEngine"]

_CONTEXT = 1 << 17
_HEALTHY_S = 2.0

_log = logging.getLogger(__name__)


class OpenAIEngine:
    """A server behind the `Engine` protocol.

    Args:
        name: what reports call it.
        url: with or without `/v1` at its end.
        api_key: the operator's; a client's is never sent.
        model: which of the server's to ask for; the first that it lists, if not given.
        context: tokens that fit into a prompt and its answer, where the server does not say.
        slots: how many requests it shall get at once.
        block_size, cache_blocks: its prefix cache, as far as known, in tokens and in blocks; a vLLM server says it.
        limits: for how long it may be silent.
        patient: whether `start` takes a server that is down for what was declared of it; `healthy` then asks it again.

    Raises:
        EngineError: what was given is no address, or no key.
    """

    def __init__(
        self,
        name: str,
        url: str,
        api_key: str | None = None,
        *,
        model: str | None = None,
        context: int = _CONTEXT,
        slots: int = 16,
        block_size: int = 128,
        cache_blocks: int = 1 << 14,
        limits: Limits | None = None,
        patient: bool = False,
    ) -> None:
        self.name, self._patient = name, patient
        self._connection = Connection(url, api_key, limits)
        self._model, self._context, self._slots = model, context, slots
        self._block_size, self._cache_blocks = block_size, cache_blocks
        self._info: EngineInfo | None = None
        self._changing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The server's address."""
        return self._connection.url

    @property
    def in_flight(self) -> int:
        """Calls that the server has and is not done with."""
        return self._connection.in_flight

    async def start(self) -> EngineInfo:
        """Ask the server for its models; one without such a list is believed to serve the model that was named."""
        async with self._changing:
            if self._info is None:
                try:
                    self._info = await self._describe()
                except EngineError as error:
                    await self._connection.close()
                    if not self._patient:
                        raise
                    _log.warning("engine %s is not up, and taken for what the fleet's file says: %s", self.name, error)
                    self._info = self._declared({})
                except BaseException:
                    await self._connection.close()
                    raise
            return self._info

    async def healthy(self) -> bool:
        """Whether the server answers, with anything that is no failure of its own, within seconds.

        Not every server has such a page, or shows it to everybody: 404, 401, 429 and a redirect are answers too.
        """
        try:
            return await self._connection.status("/health", _HEALTHY_S) < 500
        except EngineError:
            return False

    async def stop(self) -> None:
        """Hang up."""
        async with self._changing:
            self._info = None
            await self._connection.close()

    async def tokenize(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Word pieces, for a server does not tell its tokens."""
        return encode_chat(messages)

    async def reset_cache(self) -> None:
        """No such server forgets on demand.

        Raises:
            EngineError: always.
        """
        raise EngineError(f"engine {self.name!r}: {self.url} has no way to reset its cache")

    async def open(self, call: Call, deadline: float = inf) -> Answer:
        """Send a call; see `Engine.open`."""
        self._described()
        try:
            return await self._connection.open(call, deadline)
        except (EngineError, RequestError) as error:
            raise reworded(error, f"engine {self.name!r}: {error}") from error

    async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        """Serve one request with temperature 0 and measure it; see `Engine.generate`."""
        check_request(request)
        model = self._described().model
        try:
            completion, _ = await attempt(self._connection, chat_call(request, model), first_token)
        except RequestError as error:
            raise reworded(error, f"request {request.id!r}: {error}") from error
        except EngineError as error:
            raise reworded(error, f"engine {self.name!r}: {error}") from error
        return completion

    async def _describe(self) -> EngineInfo:
        lengths: dict[str, int | None] = {}
        is_vllm = False
        try:
            listing = await self._connection.fetch_object("GET", "/v1/models")
            lengths = context_lengths(listing)
            is_vllm = any(card.get("owned_by") == "vllm" for card in listing["data"])
        except Refused as error:
            if self._model is None:
                raise EngineError(f"{self.url} lists no models ({error.status}); name the one to ask for") from error
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._connection.nonsense("/v1/models", "no list of models") from None
        model = self._model or next(iter(lengths), None)
        if model is None:
            raise EngineError(f"{self.url} lists no model at all; name the one to ask for")
        if lengths and model not in lengths:
            raise EngineError(f"{self.url} serves no model {model!r}; it serves {', '.join(lengths)}")
        return self._declared(lengths, await self._cache() if is_vllm else None)

    def _declared(self, lengths: Mapping[str, int | None], cache: tuple[int, int] | None = None) -> EngineInfo:
        """What it is, as far as it said; the rest as it was declared."""
        model = self._model or next(iter(lengths), self.name)
        block_size, cache_blocks = cache or (self._block_size, self._cache_blocks)
        return EngineInfo(
            model=model,
            block_size=block_size,
            cache_blocks=cache_blocks,
            max_model_len=lengths.get(model) or self._context,
            slots=self._slots,
            tokenizer=VOCABULARY,
            simulated=False,
            adapters=tuple(name for name in lengths if name != model),
        )

    async def _cache(self) -> tuple[int, int] | None:
        """Block size in tokens and number of blocks, of a server that tells them as vLLM does."""
        try:
            page = await self._connection.fetch("GET", "/metrics", within_s=_HEALTHY_S)
            described = next(line for line in page.split(b"\n") if line.startswith(b"vllm:cache_config_info{"))
            size, blocks = (
                re.search(rb'[{,]%s="(\d+)"' % name, described) for name in (b"block_size", b"num_gpu_blocks")
            )
        except (EngineError, RequestError, StopIteration):
            return None
        return None if size is None or blocks is None else (int(size[1]), int(blocks[1]))

    def _described(self) -> EngineInfo:
        if self._info is None:
            words = f"engine {self.name!r} is not running; use `async with engine:` or await engine.start()"
            raise Unreachable(words, sent=False)
        return self._info
