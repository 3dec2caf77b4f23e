"""`Player`: a simulated engine that also takes prompts of which only token ids are known, by the ids of requests."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from experiments.errors import StudyError
from runtime import Completion, EngineInfo, Message, Request, SimulatedEngine
from runtime.engines.call import Answer, Call

_IDS = 2**31 - 2**20


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as a simulated engine takes it: tokens of the prompt and of the answer, at least one each."""

    tokens: tuple[int, ...]
    answer: tuple[int, ...]


class Player:
    """An engine that serves some requests by their ids, which are all that their messages hold, and others as text.

    Args:
        engine: whose scheduler and cache serve both.
        prompts: those that are known by id.
        said: the text of its answer to one of them.
    """

    def __init__(
        self,
        engine: SimulatedEngine,
        prompts: Mapping[str, Prompt],
        said: Callable[[str], str] = lambda request: "",
    ) -> None:
        self.name, self._engine, self._prompts, self._said = engine.name, engine, prompts, said

    async def start(self) -> EngineInfo:
        """As the simulated engine."""
        return await self._engine.start()

    async def stop(self) -> None:
        """As the simulated engine."""
        await self._engine.stop()

    async def tokenize(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The prompt's tokens."""
        known = self._prompts.get(messages[0].content)
        return await self._engine.tokenize(messages) if known is None else known.tokens

    async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        """Compute the prompt, and the recorded answer where there is one."""
        known = self._prompts.get(request.id)
        if known is None:
            return await self._engine.generate(request, first_token)
        done = await self._engine.generate_tokens(known.tokens, known.answer, name=request.id, first_token=first_token)
        return replace(done, text=self._said(request.id))

    async def open(self, call: Call, deadline: float = float("inf")) -> Answer:
        """A call of text, as the simulated engine.

        Raises:
            StudyError: it asks for a request that is known by its id: no body says of which tokens that is.
            Exception: as the simulated engine.
        """
        first = call.view.messages[0].content if call.view.messages else ""
        if first in self._prompts:
            raise StudyError(
                f"request {first} is known by its tokens alone, which no call over HTTP says; play its traffic (Study, "
                "`iemas replay`), or serve texts with a SimulatedEngine"
            )
        return await self._engine.open(call, deadline)

    async def reset_cache(self) -> None:
        """As the simulated engine."""
        await self._engine.reset_cache()


def tokens_named(name: str, count: int) -> list[int]:
    """So many token ids that no other name has, always the same."""
    start = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())
    return [(start + 7919 * k) % _IDS + 2**20 for k in range(count)]
