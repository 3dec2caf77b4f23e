"""`Player`: a simulated engine for prompts of which only token ids are known, asked by the ids of requests."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from runtime import Completion, EngineInfo, EngineShape, Message, Request, SimulatedEngine
from runtime.engines.call import Answer, Call
from runtime.engines.simulated.step_time import StepTime

_IDS = 2**31 - 2**20


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as a simulated engine takes it: tokens of the prompt and of the answer, at least one each."""

    tokens: tuple[int, ...]
    answer: tuple[int, ...]


class Player:
    """An engine that serves prompts by the ids of requests, which are all that a request's message holds.

    `said` is the text of its answer to a request.
    """

    def __init__(
        self,
        name: str,
        prompts: Mapping[str, Prompt],
        step_time: StepTime,
        shape: EngineShape,
        said: Callable[[str], str] = lambda request: "",
        model: str = "",
    ) -> None:
        self.name, self._prompts, self._said = name, prompts, said
        self._engine = SimulatedEngine(name, lambda request: "", step_time, shape, model)

    async def start(self) -> EngineInfo:
        """As the simulated engine."""
        return await self._engine.start()

    async def stop(self) -> None:
        """As the simulated engine."""
        await self._engine.stop()

    async def tokenize(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The prompt's tokens."""
        return self._prompts[messages[0].content].tokens

    async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        """Compute the prompt and the recorded answer."""
        prompt = self._prompts[request.id]
        done = await self._engine.generate_tokens(
            prompt.tokens, prompt.answer, name=request.id, first_token=first_token
        )
        return replace(done, text=self._said(request.id))

    async def open(self, call: Call, deadline: float = float("inf")) -> Answer:
        """Nobody asks for known tokens over HTTP."""
        raise NotImplementedError("known tokens are generated")

    async def reset_cache(self) -> None:
        """As the simulated engine."""
        await self._engine.reset_cache()


def tokens_named(name: str, count: int) -> list[int]:
    """So many token ids that no other name has, always the same."""
    start = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())
    return [(start + 7919 * k) % _IDS + 2**20 for k in range(count)]
