"""Requests whose bytes go through: what an engine is sent, and its answer on the way to its bidder.

The dispatcher opens an answer and reads its first event; until then the request may be tried elsewhere. From then on
whoever asked reads it, at their own pace, and the dispatcher waits to hear how that ended.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from prediction import Tokens
from runtime.engines.call import Answer, Call, Usage
from runtime.engines.request import Completion, Request
from runtime.errors import Broken


@dataclass(frozen=True, slots=True, eq=False)
class Relayed:
    """A request that is passed on as it came.

    Args:
        request: who asks, and for how many tokens; its messages may be left out, as nobody reads them.
        agents: who may serve it, ascending and at least one.
        pieces: its prompt, cut up so that prompts which begin alike have pieces that do, about as many as tokens.
        turn: assistant's messages in it.
        call: what an agent is sent at an attempt, counted from 1.
    """

    request: Request
    agents: tuple[int, ...]
    pieces: Tokens
    turn: int
    call: Callable[[int, int], Call]


class HungUp(Exception):  # noqa: N818
    """Whoever read an answer did not want the rest."""


class Live:
    """An answer that has begun, for one reader: iterate it to its end, or close it.

    `charge` is what the auction said, in micro-units; `final` tells what comes of it once the answer was measured, as
    (charge, cost) in micro-units.

    Args:
        answer: the engine's, of which nothing was read yet.
        agent: its number.
        charge: what the auction decided.
        round: which round decided.
        counted: tokens of the prompt, for an engine that does not tell.
        first_token: called once, when the first token is there.
        final: the settlement: from a completion, the final charge and the measured cost.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        agent: int,
        charge: int,
        round: int,
        streamed: bool,
        counted: int,
        first_token: Callable[[], None],
        final: Callable[[Completion], tuple[int, int]],
    ) -> None:
        self.status: int = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self.agent, self.charge, self.round = agent, charge, round
        self._answer, self._streamed, self._counted = answer, streamed, counted
        self._first_token, self._final = first_token, final
        self._events = aiter(answer)
        self._ahead: bytes | None = None
        self._seen = False
        loop = asyncio.get_running_loop()
        #: How reading it ended: well, or with what went wrong.
        self.over: asyncio.Future[None] = loop.create_future()
        #: Done once it is in the books; no reader sees the end before.
        self.settled: asyncio.Future[None] = loop.create_future()

    @property
    def usage(self) -> Usage | None:
        """Tokens, counted so far or reported."""
        return self._answer.usage

    async def begin(self) -> None:
        """Read its first event ahead.

        Raises:
            Broken: there is none.
        """
        try:
            self._ahead = await anext(self._events)
        except StopAsyncIteration:
            raise Broken("the engine ended its answer before it began") from None
        if self._streamed:
            self._look()
        else:
            self._end(None)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._ahead is not None:
            event, self._ahead = self._ahead, None
            if not self._streamed:
                await self.settled
            return event
        if self.over.done():
            await self._ended()
        try:
            event = await anext(self._events)
        except StopAsyncIteration:
            self._end(None if self._answer.finished else Broken("the gateway closed the answer before its end"))
            await self._ended()
        except asyncio.CancelledError:
            self._end(HungUp())
            raise
        except BaseException as error:
            self._end(error)
            raise
        if not self._seen:
            self._look()
        return event

    async def aclose(self) -> None:
        """Nobody wants the rest: the engine is told so at once; after the end it does nothing."""
        await self.close(HungUp())

    async def close(self, reason: BaseException) -> None:
        """End it for a reason; after the end it does nothing."""
        self._end(None if self._answer.finished and self._ahead is None else reason)
        await self._answer.aclose()

    def completion(self) -> Completion:
        """What was measured up to now; what the engine did not count is counted by us."""
        answer, usage = self._answer, self._answer.usage
        told = usage is not None and usage.reported
        prompt = usage.prompt if usage is not None and (told or usage.prompt) else self._counted
        return Completion(
            text="",
            prompt_tokens=prompt,
            cached_tokens=0 if usage is None else usage.cached or 0,
            output_tokens=0 if usage is None else usage.output,
            first_token_s=answer.first_token_s or 0.0,
            latency_s=answer.latency_s or 0.0,
            streamed=self._streamed,
            finish_reason="stop" if answer.finished else "abort",
        )

    def receipt(self) -> tuple[Completion, int, int]:
        """What was measured up to now, the charge that comes of it, and the cost; both in micro-units."""
        measured = self.completion()
        charge, cost = self._final(measured)
        return measured, charge, cost

    def _look(self) -> None:
        if self._answer.first_token_s is not None:
            self._seen = True
            self._first_token()

    def _end(self, error: BaseException | None) -> None:
        if self.over.done():
            return
        if error is None:
            self.over.set_result(None)
        else:
            self.over.set_exception(error)
            # Seen here: the dispatcher may be gone before it could look.
            self.over.exception()

    async def _ended(self) -> None:
        await self.settled
        error = self.over.exception()
        if isinstance(error, Broken):
            raise error
        raise StopAsyncIteration
