"""`SimulatedEngine`: vLLM's scheduler and prefix cache on whatever clock the loop has, virtual or real.

Token counts, cache hits, queueing, chunked prefill and preemption follow vLLM 0.32.0's rules; step durations come
from a `StepTime` fitted to a real engine; what is answered comes from a function, for there is no model here.
"""

import asyncio
import contextlib
import logging
from bisect import insort
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count as count_up
from math import inf

from runtime.engines.call import Answer, Call, View
from runtime.engines.engine import EngineInfo
from runtime.engines.request import Completion, Message, Request
from runtime.engines.simulated.ahead import Ahead, Step
from runtime.engines.simulated.block_cache import BlockCache
from runtime.engines.simulated.sequences import FirstToken, RunningSequence
from runtime.engines.simulated.shape import EngineShape
from runtime.engines.simulated.step_time import StepTime
from runtime.engines.simulated.streaming import SimulatedAnswer, refused
from runtime.engines.simulated.tokens import VOCABULARY, cut_answer, encode_chat, prompt_ids, stopped_pieces
from runtime.errors import EngineError, RequestError, Unreachable

Reply = Callable[[Request], str]

_log = logging.getLogger(__name__)


class SimulatedEngine:
    """An agent that behaves as vLLM would and answers with what `reply` returns.

    Args:
        name: what reports call it.
        reply: the answer's text for a request; must be a pure function, or runs do not repeat.
        step_time: durations, fitted to a real engine.
        shape: sizes of the cache and of a step.
        model: what it says it serves; default: what its speed was fitted to. Agents of one model are taken to answer
            alike.
    """

    def __init__(
        self, name: str, reply: Reply, step_time: StepTime, shape: EngineShape | None = None, model: str = ""
    ) -> None:
        self.name, self._model = name, model
        self.shape = shape or EngineShape()
        self.step_time = step_time
        self._reply = reply
        self._cache = BlockCache(self.shape.cache_blocks, self.shape.block_size)
        self._waiting: deque[RunningSequence] = deque()
        self._tickets = count_up()
        self._last_arrival = float("-inf")
        self._arriving = 0
        self._running: list[RunningSequence] = []
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._ahead: Ahead | None = None

    async def start(self) -> EngineInfo:
        """Start the scheduler."""
        if self._worker is None:
            self._last_arrival = float("-inf")
            self._worker = asyncio.create_task(self._serve(), name=f"engine {self.name}")
        return EngineInfo(
            model=self._model or f"simulated ({self.step_time.fitted_to})",
            block_size=self.shape.block_size,
            cache_blocks=self.shape.cache_blocks,
            max_model_len=self.shape.max_model_len,
            slots=self.shape.max_num_seqs,
            tokenizer=VOCABULARY,
            simulated=True,
        )

    async def stop(self) -> None:
        """Stop the scheduler; whatever is still running fails with `Unreachable`."""
        if self._worker is None:
            return
        self._look()
        self._worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._worker
        self._worker = None
        for one in [*self._running, *self._waiting]:
            self._fail(one, Unreachable(f"engine {self.name} was stopped"))

    async def tokenize(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Token ids of the prompt."""
        return encode_chat(messages)

    async def reset_cache(self) -> None:
        """Forget every cached prefix.

        Raises:
            EngineError: requests are in flight.
        """
        if self._running or self._waiting:
            raise EngineError(f"engine {self.name} is serving {len(self._running)} requests; wait for them first")
        self._cache = BlockCache(self.shape.cache_blocks, self.shape.block_size)

    async def generate(self, request: Request, first_token: FirstToken | None = None) -> Completion:
        """Queue the request, and return once its last token was computed.

        Raises:
            RequestError: the prompt leaves no space for one token of answer.
            EngineError: the engine is not running.
        """
        prompt = encode_chat(request.messages)
        limit = self._answer_limit(request.id, prompt, request.max_tokens)
        text, answer = cut_answer(self._reply(request), min(request.max_tokens, limit))
        return await self._computed(prompt, answer, request.id, first_token, (text,), stopped=False)

    async def open(self, call: Call, deadline: float = inf) -> Answer:
        """Queue a call; its tokens come as events at the moments they are computed. See `Engine.open`.

        Choices (`n`) are sequences of their own, as in vLLM, and all to one prompt say the same.

        Raises:
            Refused: a prompt leaves no space for one token of answer, or there is none.
            Unreachable: the engine is not running.
            EngineError: the deadline passed.
        """
        if self._worker is None:
            raise Unreachable(f"engine {self.name} is not running; start it first", sent=False)
        view, loop = call.view, asyncio.get_running_loop()
        try:
            read = view if view.messages else View.read(call.body)
            prompts, sequences = max(len(read.prompts), 1), self._sequences(call, read, loop)
        except RequestError as error:
            raise refused(error) from error
        each = len(sequences) // prompts
        answer = SimulatedAnswer(call, self.name, sequences, each, loop.time(), deadline, self._withdraw)
        try:
            async with asyncio.timeout_at(None if deadline == inf else deadline):
                await self._queue_up(sequences)
                if not view.stream:
                    await answer.computed()
        except TimeoutError:
            await answer.aclose()
            raise EngineError(f"engine {self.name} had not begun to answer request {call.id} in time") from None
        except BaseException:
            await answer.aclose()
            raise
        return answer

    def _sequences(self, call: Call, read: View, loop: asyncio.AbstractEventLoop) -> list[RunningSequence]:
        """One for each choice, those of a prompt side by side.

        Raises:
            RequestError: a prompt leaves no space for one token of answer, or there is none.
        """
        view, sequences = call.view, []
        asked: list[tuple[tuple[int, ...], tuple[Message, ...]]]
        if read.prompts:
            asked = [(prompt_ids(one), (Message("user", one if isinstance(one, str) else ""),)) for one in read.prompts]
        else:
            asked = [(encode_chat(read.messages), read.messages)]
        if not all(messages and prompt for prompt, messages in asked):
            raise RequestError(f"request {call.id} has no messages, or a prompt that is empty")
        for prompt, messages in asked:
            limit = self._answer_limit(call.id, prompt, 1 if view.max_tokens is None else view.max_tokens)
            most = limit if view.max_tokens is None else min(limit, view.max_tokens)
            text = self._reply(Request(call.id, call.bidder, messages, most))
            pieces, ids, stopped = stopped_pieces(text, most, read.stop)
            sequences += [
                RunningSequence(
                    prompt,
                    ids,
                    next(self._tickets),
                    loop.time(),
                    loop.create_future(),
                    salt=view.salt,
                    pieces=pieces,
                    stopped=stopped,
                )
                for _ in range(max(view.n // len(asked), 1))
            ]
        return sequences

    async def generate_tokens(
        self,
        prompt: Sequence[int],
        answer: Sequence[int],
        *,
        name: str = "",
        first_token: FirstToken | None = None,
    ) -> Completion:
        """The same for token ids: the prompt's, and those that the engine is to generate.

        Raises:
            RequestError: the prompt leaves no space for the answer, or either is empty.
            EngineError: the engine is not running.
        """
        return await self._computed(tuple(prompt), tuple(answer), name, first_token)

    async def _computed(
        self,
        prompt: tuple[int, ...],
        answer: tuple[int, ...],
        name: str,
        first_token: FirstToken | None,
        pieces: tuple[str, ...] = (),
        *,
        stopped: bool = True,
    ) -> Completion:
        if self._worker is None:
            raise Unreachable(f"engine {self.name} is not running; start it first", sent=False)
        if not prompt or len(answer) > self._answer_limit(name, prompt, len(answer)):
            raise RequestError(
                f"request {name} has {len(prompt)} prompt tokens and {len(answer)} to generate: too many, or none"
            )
        loop = asyncio.get_running_loop()
        ticket = next(self._tickets)
        one = RunningSequence(
            prompt,
            answer,
            ticket,
            loop.time(),
            loop.create_future(),
            first_token,
            pieces=pieces,
            stopped=stopped,
            quiet=True,
        )
        try:
            await self._queue_up([one])
            return await one.done
        finally:
            self._withdraw(one)

    @property
    def in_flight(self) -> int:
        """Sequences that are on their way, wait or run."""
        return self._arriving + len(self._running) + len(self._waiting)

    async def _queue_up(self, sequences: Sequence[RunningSequence]) -> None:
        """Reach the scheduler, together, as one request."""
        worker = self._worker
        self._arriving += len(sequences)
        try:
            await asyncio.sleep(self._until_arrival(asyncio.get_running_loop().time()))
        finally:
            self._arriving -= len(sequences)
        if self._worker is not worker:
            raise Unreachable(f"engine {self.name} was stopped")
        self._look()
        for one in sequences:
            # First come, first served; of sleepers that end together, a loop may wake any first.
            insort(self._waiting, one, key=lambda other: other.ticket)
        self._wake.set()

    def _until_arrival(self, now: float) -> float:
        """Seconds until a request sent now reaches the scheduler."""
        soonest = self._last_arrival + self.step_time.arrival_gap_s
        self._last_arrival = max(now + self.step_time.overhead_s, soonest)
        return self._last_arrival - now

    def _answer_limit(self, name: str, prompt: Sequence[int], wanted: int) -> int:
        """Tokens of answer that fit behind the prompt, at least 1."""
        limit = min(self.shape.max_model_len, (self.shape.cache_blocks - 1) * self.shape.block_size) - len(prompt)
        if limit < 1 or wanted < 1:
            raise RequestError(
                f"request {name} has {len(prompt)} prompt tokens and asks for {wanted}; "
                f"engine {self.name} takes {self.shape.max_model_len} in all"
            )
        return limit

    def _withdraw(self, one: RunningSequence) -> None:
        """Take it from the scheduler, finished or not; harmless if that was done."""
        if not one.done.done() or one.holding is not None:
            self._look()
        self._forget(one)

    def _fail(self, one: RunningSequence, error: EngineError) -> None:
        self._forget(one)
        if not one.done.done():
            one.done.set_exception(error)

    def _forget(self, one: RunningSequence) -> None:
        if one in self._running:
            self._running.remove(one)
        elif one in self._waiting:
            self._waiting.remove(one)
        if one.holding is not None:
            self._cache.release(one.holding)
            one.holding = None

    async def _serve(self) -> None:
        while True:
            try:
                await self._step()
            except Exception as error:
                # Whoever waits would wait for ever.
                _log.exception("engine %s failed in a step", self.name)
                for one in [*self._running, *self._waiting]:
                    self._fail(one, EngineError(f"engine {self.name} failed in a step: {error!r}"))

    async def _step(self) -> None:
        """Plan a step, and finish it; or wait for work."""
        step = self._plan()
        if not step.work:
            self._wake.clear()
            await self._wake.wait()
            return
        quiet = 1 if self._waiting or len(step.work) < len(self._running) else step.quiet(self._cache)
        if quiet > 1:
            await self._run_ahead(step, quiet)
        else:
            await asyncio.sleep(step.seconds(self.step_time))
        self._finish(step, asyncio.get_running_loop().time())

    async def _run_ahead(self, step: Step, steps: int) -> None:
        """Compute a planned step and some more like it, up to the end of the last, which is still to be finished."""
        self._ahead = Ahead([one for one, _ in step.work], steps, self.step_time, self._cache)
        try:
            await self._ahead.ended()
        finally:
            self._ahead = None

    def _look(self) -> None:
        """Somebody comes or goes: be where the steps that have ended have led, and plan anew after the present one."""
        if self._ahead is not None:
            self._ahead.cut_short()

    def _plan(self) -> Step:
        """Running sequences first, then waiting ones, in the token budget; the youngest yields when blocks run out."""
        step = Step()
        budget = self.shape.max_num_batched_tokens
        position = 0
        preempted = False
        while position < len(self._running) and budget > 0:
            one = self._running[position]
            count = min(one.length - one.computed, budget)
            assert one.holding is not None
            if not self._cache.reserve(one.holding, one.computed + count):
                preempted = True
                self._preempt()
                continue
            step.work.append((one, count))
            budget -= count
            position += 1
        while self._waiting and not preempted and budget > 0 and len(self._running) < self.shape.max_num_seqs:
            one = self._waiting[0]
            one.holding = self._cache.admit(one.tokens, one.salt)
            if one.holding is None:
                break
            self._waiting.popleft()
            self._running.append(one)
            one.computed = one.holding.cached_tokens
            one.cached = one.cached if one.cached is not None else one.computed
            count = min(one.length - one.computed, budget)
            self._cache.reserve(one.holding, one.computed + count)
            step.work.append((one, count))
            budget -= count
        return self._plan() if preempted and not step.work else step

    def _preempt(self) -> None:
        victim = self._running.pop()
        assert victim.holding is not None
        self._cache.release(victim.holding)
        victim.holding = None
        victim.computed = 0
        self._waiting.appendleft(victim)

    def _finish(self, step: Step, now: float) -> None:
        for one, count in step.work:
            if one.holding is None:
                continue
            one.computed += count
            if one.computed < one.length:
                continue
            one.holding.names.extend(one.answer[one.produced : one.produced + 1])
            one.produced += 1
            if one.produced == 1:
                one.first_token = now
                if one.on_first_token is not None:
                    one.on_first_token()
            if one.on_token is not None:
                one.on_token(now)
            if one.produced == len(one.answer):
                self._complete(one, now)

    def _complete(self, one: RunningSequence, now: float) -> None:
        self._forget(one)
        if one.done.done():
            return
        one.done.set_result(
            Completion(
                text="".join(one.pieces) if one.quiet else "",
                prompt_tokens=len(one.prompt),
                cached_tokens=one.cached or 0,
                output_tokens=len(one.answer),
                first_token_s=one.first_token - one.arrived,
                latency_s=now - one.arrived,
                token_ids=one.prompt + one.answer,
                finish_reason=one.end,
            )
        )
