"""Requests whose bytes go through: what an engine is sent, and its answer on the way to its bidder.

The dispatcher opens an answer and reads its first event; until then the request may be tried elsewhere. From then on it
reads at the engine's pace, and whoever asked at their own: a slow reader keeps no engine's place.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from math import inf

from prediction import Tokens
from runtime.engines.call import Answer, Call, Usage
from runtime.engines.request import Completion, Request
from runtime.errors import Broken, CutOff, Stopped

#: Bytes that an answer may be ahead of its reader; the engine waits beyond them.
_AHEAD_BYTES = 16 << 20
#: Seconds for which it waits.
_BEHIND_S = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Relayed:
    """A request that is passed on as it came.

    Args:
        request: who asks, and for how many tokens; its messages may be left out, as nobody reads them.
        agents: who may serve it, ascending and at least one.
        pieces: its prompt, cut up so that prompts which begin alike have pieces that do, about as many as tokens.
        turn: assistant's messages in it.
        call: what an agent is sent at an attempt, counted from 1.
        within_s: seconds from arrival after which an engine is asked no more; nothing is charged then.
        prompts: how many prompts it is.
    """

    request: Request
    agents: tuple[int, ...]
    pieces: Tokens
    turn: int
    call: Callable[[int, int], Call]
    within_s: float = inf
    prompts: int = 1


class HungUp(Exception):  # noqa: N818
    """Whoever read an answer did not want the rest."""


class Live:
    """An answer that has begun, for one reader: iterate it to its end, or close it.

    `charge` is what the auction said, in micro-units. The reader sees the end, or what broke, once the books have it.

    Args:
        answer: the engine's, of which nothing was read yet.
        agent: its number.
        charge: what the auction decided.
        round: which round decided.
        streamed: whether it comes event by event.
        counted: tokens of the prompt, for an engine that does not tell.
        most: tokens of prompt and of output that can be: whatever an engine reports, no more is believed.
        first_token: called once, when the first token is there.
        final: the settlement: from a completion, the final charge and the measured cost, in micro-units.
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
        most: tuple[int, int],
        first_token: Callable[[], None],
        final: Callable[[Completion], tuple[int, int]],
    ) -> None:
        self.status: int = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self.agent, self.charge, self.round = agent, charge, round
        #: Whether its reader left before the engine was done.
        self.hung_up = False
        self._answer, self._streamed, self._counted, self._most = answer, streamed, counted, most
        self._first_token: Callable[[], None] | None = first_token if streamed else None
        self._final = final
        self._events: deque[bytes] = deque()
        self._size = 0
        self._over = False
        self._error: BaseException | None = None
        self._dropped: Broken | None = None
        #: The reader, or the dispatcher that waits for it to catch up.
        self._waiter: asyncio.Future[None] | None = None

    @property
    def usage(self) -> Usage | None:
        """Tokens, counted so far or reported."""
        return self._answer.usage

    async def fill(self, begun: Callable[[], None]) -> None:
        """For the dispatcher: read the engine's answer to its end; `begun` is called once its first event is there.

        Raises:
            Broken: it breaks off.
            HungUp: nobody wants the rest.
        """
        first = self._streamed
        async for event in self._answer:
            self._events.append(event)
            self._size += len(event)
            if self._first_token is not None and self._answer.first_token_s is not None:
                told, self._first_token = self._first_token, None
                told()
            if first:
                first = False
                begun()
            self._tell()
            # A whole answer has no reader before it is here.
            if self._streamed and self._size > _AHEAD_BYTES and not self.hung_up:
                await self._wait_for_reader()
        if self._answer.finished:
            return
        if self.hung_up:
            raise HungUp
        raise Broken("the engine ended its answer before it began" if first else "the answer was closed")

    def end(self, error: BaseException | None) -> None:
        """For the dispatcher: the books have it; after the events that came there are no more, or this error."""
        self._over, self._error = True, error
        self._tell()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._events:
            if self._over:
                error, self._error, self._dropped = self._error or self._dropped, None, None
                if error is None:
                    raise StopAsyncIteration
                raise error
            await self._wait()
        event = self._events.popleft()
        self._size -= len(event)
        if self._size < _AHEAD_BYTES <= self._size + len(event):
            self._tell()
        return event

    async def aclose(self) -> None:
        """Nobody wants the rest: the engine is told so at once; after the end it does nothing."""
        self._events.clear()
        self._size = 0
        if not self._over:
            self.hung_up = True
            self._tell()
            await self._answer.aclose()

    def completion(self) -> Completion:
        """What was measured up to now; what the engine did not count is counted by us."""
        answer, usage = self._answer, self._answer.usage
        told = usage is not None and usage.reported
        prompt = usage.prompt if usage is not None and (told or usage.prompt) else self._counted
        prompt = min(prompt, self._most[0])
        return Completion(
            text="",
            prompt_tokens=prompt,
            cached_tokens=min(0 if usage is None else usage.cached or 0, prompt),
            output_tokens=min(0 if usage is None else usage.output, self._most[1]),
            first_token_s=answer.first_token_s or 0.0,
            latency_s=answer.latency_s or 0.0,
            streamed=self._streamed,
            finish_reason=_end(answer) if answer.finished else "abort",
        )

    def receipt(self) -> tuple[Completion, int, int]:
        """What was measured up to now, the charge that comes of it, and the cost; both in micro-units."""
        measured = self.completion()
        charge, cost = self._final(measured)
        return measured, charge, cost

    async def _wait_for_reader(self) -> None:
        """Until the reader has caught up; one that does not keeps an engine's place, and is taken to have left."""
        try:
            async with asyncio.timeout(_BEHIND_S):
                while self._size > _AHEAD_BYTES and not self.hung_up:
                    await self._wait()
        except TimeoutError:
            self.hung_up = True
            # It may read on one day, and must not take what it has for the whole.
            self._dropped = CutOff(
                "the answer was not read for too long, and is cut off here; it is charged all the same"
            )
            raise HungUp from None

    def _tell(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter


#: Why answers end, in OpenAI's words; an engine's own are one, so that nobody can make up any number of them.
_ENDS = ("stop", "length", "tool_calls", "function_call", "content_filter")


def _end(answer: Answer) -> str:
    end = getattr(answer, "end", None) or "stop"
    return end if end in _ENDS else "other"


def as_broken(error: BaseException | None) -> Broken:
    """What the reader of an answer is told of its end."""
    if isinstance(error, Stopped):
        return CutOff("the gateway was stopped before the end of the answer; nothing is charged")
    return error if isinstance(error, Broken) else Broken(str(error) or "the answer was given up before its end")
