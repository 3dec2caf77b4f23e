"""The protocol between the router and whatever serves: a `Call` goes in and is answered event by event.

An engine is one agent of the market. `SimulatedEngine`, `VllmEngine` and `OpenAIEngine` implement the same protocol, so
the round loop, the auction and the reports cannot tell them apart except by what they measured.
"""

from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from typing import Protocol, runtime_checkable

from runtime.engines.call import Answer, Call
from runtime.engines.request import Completion, Message, Request, Role
from runtime.errors import EngineError

__all__ = ["CacheContents", "Completion", "Engine", "EngineInfo", "Message", "Request", "Role", "running"]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What a running engine reports about itself.

    `block_size` is in tokens, `cache_blocks` counts the KV blocks, `slots` is its capacity: how many requests run at
    once (vLLM's max_num_seqs), `tokenizer` names the vocabulary: engines with the same name tokenise alike. `adapters`
    are other names that it answers to, such as those of LoRA adapters.
    """

    model: str
    block_size: int
    cache_blocks: int
    max_model_len: int
    slots: int
    tokenizer: str
    simulated: bool
    adapters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("block_size", "cache_blocks", "max_model_len", "slots"):
            number = getattr(self, name)
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise EngineError(f"engine of {self.model}: {name} is {number!r}; it must be an integer >= 1")


@dataclass(frozen=True, slots=True)
class Stored:
    """Blocks that one request filled, in order, each of `size` tokens; `parent` precedes the first, None at the start.

    A block is named as its engine names it.
    """

    parent: Hashable | None
    blocks: tuple[Hashable, ...]
    size: int


class CacheContents(Protocol):
    """What an engine publishes of its KV cache, for one reader; an engine that does has it as `contents`."""

    #: How often anything was heard, or given up.
    heard: int
    #: How often all that was known was given up: the engine restarted or cleared its cache, or news of it was lost.
    forgotten: int

    def __contains__(self, block: object) -> bool:
        """Whether a block is in the cache."""
        ...

    def stored(self, request: str) -> Stored | None:
        """The blocks that a request has filled, as far as was heard."""
        ...

    def chain(self, block: Hashable) -> tuple[Hashable, ...]:
        """A block and those before it, the first of them first, as far as they are in the cache."""
        ...

    def release(self, request: str) -> None:
        """Nobody will ask for a request's blocks again."""
        ...

    def gone(self) -> Sequence[Hashable]:
        """Blocks that were removed since this was last asked."""
        ...


@runtime_checkable
class Engine(Protocol):
    """One agent: start it, ask what it is, tokenise, generate, stop it.

    `start` is idempotent and returns once the engine is ready; `stop` is idempotent, never raises and leaves no
    process. `open` and `generate` may be called concurrently; both raise `Unreachable` when the engine cannot be
    reached, `Busy` when it takes no more for now, another `EngineError` when it fails this request, and `RequestError`
    (`open`: `Refused`) when the request itself cannot be served. What breaks after `open` breaks in the `Answer`.

    An engine may also have `async def healthy(self) -> bool`: it is asked while it is left out, and when an answer
    of it broke off, and says whether it could serve.
    """

    name: str

    async def start(self) -> EngineInfo:
        """Make the engine ready and return what it reports about itself."""
        ...

    async def stop(self) -> None:
        """Stop whatever `start` started."""
        ...

    async def tokenize(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Token ids of the prompt that `generate` would see for these messages, chat template applied."""
        ...

    async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        """Serve one request and measure it; `first_token` is called once, when the first token is there."""
        ...

    async def open(self, call: Call, deadline: float = inf) -> Answer:
        """Send a call; returns when its answer begins, with nothing read of it yet.

        `deadline` is a moment on the event loop's clock past which the call is given up, answered or not.
        """
        ...

    async def reset_cache(self) -> None:
        """Forget every cached prefix; nothing may be in flight."""
        ...


@asynccontextmanager
async def running(engines: Sequence[Engine]) -> AsyncIterator[tuple[EngineInfo, ...]]:
    """Start engines one after the other, and stop every one of them whatever happens meanwhile.

    Raises:
        EngineError: an engine did not come up.
    """
    try:
        yield tuple([await engine.start() for engine in engines])
    finally:
        for engine in engines:
            await engine.stop()
