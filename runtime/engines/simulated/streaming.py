"""A simulated answer as vLLM's server would send it: chunks as server-sent events, or one body."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any

from runtime.engines.call import Call, Usage
from runtime.engines.request import Completion
from runtime.engines.simulated.sequences import RunningSequence
from runtime.errors import Broken, Refused, RequestError

COMPLETIONS = "/v1/completions"


class SimulatedAnswer:
    """An `Answer` made of sequences that a scheduler runs; it listens to their tokens.

    Args:
        call: what was asked.
        name: the engine's.
        sequences: one for each choice, those of a prompt side by side.
        each: how many choices a prompt has.
        began_s: when the call was sent, on the loop's clock.
        deadline_s: when it is given up.
        forget: takes a sequence from the scheduler, finished or not; harmless if that was done.
    """

    status = 200

    def __init__(
        self,
        call: Call,
        name: str,
        sequences: Sequence[RunningSequence],
        each: int,
        began_s: float,
        deadline_s: float,
        forget: Callable[[RunningSequence], None],
    ) -> None:
        kind = "text/event-stream; charset=utf-8" if call.view.stream else "application/json"
        self.headers: Mapping[str, str] = {"content-type": kind}
        self._call, self._name, self._sequences = call, name, sequences
        self._each, self._chats = each, call.path != COMPLETIONS
        self._began_s, self._deadline_s, self._forget = began_s, deadline_s, forget
        #: As OpenAI has it, in Unix time; the loop's clock may be virtual.
        self._created = int(time.time())
        self._events: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._closed = self._sent = False
        self._first_s: float | None = None
        self._last_s: float | None = None
        for index, one in enumerate(sequences):
            one.on_token = partial(self._take, index, one)
            one.done.add_done_callback(self._done)

    @property
    def usage(self) -> Usage | None:
        """Tokens, counted so far or, once all are there, reported."""
        if self._first_s is None:
            return None
        firsts = self._sequences[:: self._each]
        output = sum(one.produced for one in self._sequences)
        cached = [one.cached for one in firsts if one.cached is not None]
        prompt = sum(len(one.prompt) for one in firsts)
        return Usage(prompt, sum(cached) if cached else None, output, reported=self._computed)

    @property
    def first_token_s(self) -> float | None:
        """Seconds from dispatch to the first token."""
        return self._first_s

    @property
    def latency_s(self) -> float | None:
        """Seconds from dispatch to the last token so far."""
        return self._last_s

    @property
    def finished(self) -> bool:
        """Whether all of it was given out."""
        return self._sent

    @property
    def end(self) -> str | None:
        """Why the first choice ended; None before it has."""
        first = self._sequences[0]
        return first.end if first.produced == len(first.answer) else None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._next()
        except BaseException:
            self._close()
            raise

    async def aclose(self) -> None:
        """Take what is left of it from the scheduler; again, it does nothing."""
        self._close()

    async def computed(self) -> None:
        """Wait until every token is there.

        Raises:
            EngineError: the engine was stopped.
        """
        await asyncio.gather(*(asyncio.shield(one.done) for one in self._sequences))

    @property
    def _computed(self) -> bool:
        return all(one.produced == len(one.answer) for one in self._sequences)

    async def _next(self) -> bytes:
        if not self._call.view.stream:
            if self._sent or self._closed:
                raise StopAsyncIteration
            self._sent = True
            return _compact(self._body())
        while not self._events:
            if self._sent or self._closed:
                raise StopAsyncIteration
            if any(_failed(one) for one in self._sequences):
                raise Broken(f"engine {self._name} was stopped while it answered request {self._call.id}")
            self._news.clear()
            try:
                async with asyncio.timeout_at(None if self._deadline_s == inf else self._deadline_s):
                    await self._news.wait()
            except TimeoutError:
                raise Broken(f"engine {self._name} was not done with request {self._call.id} in time") from None
        event = self._events.popleft()
        self._sent = not self._events and self._computed
        return event

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._events.clear()
        for one in self._sequences:
            one.on_token = None
            self._forget(one)
            one.done.cancel()

    def _done(self, future: "asyncio.Future[Completion]") -> None:
        if not future.cancelled():
            # Marks the error as seen: who iterates is told of it as `Broken`.
            future.exception()
        self._news.set()

    def _take(self, index: int, one: RunningSequence, now_s: float) -> None:
        """A token was computed, which `produced` counts already."""
        self._last_s = now_s - self._began_s
        if self._first_s is None:
            self._first_s = self._last_s
        if not self._call.view.stream:
            return
        view = self._call.view
        k = one.produced - 1
        if k == 0 and self._chats:
            start = _choice(index, {"role": "assistant", "content": ""})
            ids = {"prompt_token_ids": one.prompt} if view.token_ids else {}
            self._send({"choices": [start], **ids})
        end = one.end if one.produced == len(one.answer) else None
        text = one.pieces[k]
        choice = _choice(index, {"content": text}, end) if self._chats else _completed(index, text, end)
        if view.token_ids:
            choice["token_ids"] = [one.answer[k]]
        self._send({"choices": [choice]})
        if self._computed:
            if view.include_usage:
                self._send({"choices": [], "usage": self._counts()})
            self._events.append(b"data: [DONE]\n\n")
        self._news.set()

    def _send(self, fields: Mapping[str, Any]) -> None:
        self._events.append(b"data: " + _compact({**self._frame(".chunk"), **fields}) + b"\n\n")

    def _frame(self, part: str = "") -> dict[str, Any]:
        kind, prefix = (f"chat.completion{part}", "chatcmpl") if self._chats else ("text_completion", "cmpl")
        name = f"{prefix}-{self._call.id}"
        return {"id": name, "object": kind, "created": self._created, "model": self._call.view.model}

    def _body(self) -> dict[str, Any]:
        choices: list[dict[str, Any]] = []
        for index, one in enumerate(self._sequences):
            text = "".join(one.pieces)
            if self._chats:
                message = {"role": "assistant", "content": text}
                choices.append({"index": index, "message": message, "logprobs": None, "finish_reason": one.end})
            else:
                choices.append(_completed(index, text, one.end))
        ids: dict[str, Any] = {}
        if self._call.view.token_ids:
            ids = {"prompt_token_ids": self._sequences[0].prompt}
            for choice, one in zip(choices, self._sequences, strict=True):
                choice["token_ids"] = one.answer
        return {**self._frame(), "choices": choices, "usage": self._counts(), **ids}

    def _counts(self) -> dict[str, Any]:
        usage = self.usage
        assert usage is not None
        return {
            "prompt_tokens": usage.prompt,
            "total_tokens": usage.prompt + usage.output,
            "completion_tokens": usage.output,
            "prompt_tokens_details": {"cached_tokens": usage.cached},
        }


def refused(error: RequestError) -> Refused:
    """A refusal as a server words it."""
    words = {"message": str(error), "type": "BadRequestError", "param": None, "code": 400}
    return Refused(str(error), 400, _compact({"error": words}))


def _choice(index: int, delta: Mapping[str, str], end: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": end}


def _completed(index: int, text: str, end: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": end}


def _failed(one: RunningSequence) -> bool:
    return one.done.done() and not one.done.cancelled() and one.done.exception() is not None


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
