"""The protocol between the router and whatever serves: a `Request` goes in, a measured `Completion` comes out.

An engine is one agent of the market. `SimulatedEngine` and `VllmEngine` implement the same protocol, so the
round loop, the auction and the reports cannot tell them apart except by what they measured.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from runtime.errors import EngineError

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """One turn that a bidder wants answered.

    `messages` is the whole conversation so far, ending with the new message of role `user`. `dialogue` and `turn` say
    where it came from; nothing in the auction trusts them (a client could claim any).
    """

    id: str
    bidder: str
    messages: tuple[Message, ...]
    max_tokens: int = 64
    dialogue: str = ""
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine measured while serving one request.

    Token counts are the engine's own; `first_token_s` (time to first token) and `latency_s` (to the last
    token) are seconds from dispatch, on the engine's clock. `token_ids` holds prompt then output as the engine
    tokenised them, or is empty where the engine does not report them.
    """

    text: str
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    first_token_s: float
    latency_s: float
    token_ids: tuple[int, ...] = ()
    finish_reason: str = "stop"


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What a running engine reports about itself.

    `block_size` is in tokens, `cache_blocks` counts the KV blocks, `slots` is its capacity: how many requests run at
    once (vLLM's max_num_seqs), `tokenizer` names the vocabulary: engines with the same name tokenise alike.
    """

    model: str
    block_size: int
    cache_blocks: int
    max_model_len: int
    slots: int
    tokenizer: str
    simulated: bool

    def __post_init__(self) -> None:
        for name in ("block_size", "cache_blocks", "max_model_len", "slots"):
            number = getattr(self, name)
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise EngineError(f"engine of {self.model}: {name} is {number!r}; it must be an integer >= 1")


@runtime_checkable
class Engine(Protocol):
    """One agent: start it, ask what it is, tokenise, generate, stop it.

    `start` is idempotent and returns once the engine is ready; `stop` is idempotent, never raises and leaves no
    process. `generate` may be called concurrently; it raises `EngineDownError` when the engine cannot be reached,
    `EngineBusyError` when it takes no more for now, another `EngineError` when it fails this request, and
    `RequestError` when the request itself cannot be served.
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
