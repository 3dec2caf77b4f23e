"""Conversations of several turns through the `openai` client: sync and async, streamed and whole."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import openai

SYSTEM = (
    "You are assistant number {n} of a small library. You answer in one short sentence, you never guess, and you say "
    "so when a book is lent out. The library opens at nine, closes at six, and lends five books for four weeks. Fines "
    "are ten cents a day. There is a reading room upstairs, a children's corner, and a shelf of maps that may not be "
    "taken home. New members bring a letter with their address. "
)
_QUESTIONS = (
    "When do you open?",
    "How many books may I take home, and for how long?",
    "I kept one for three days too many. What do I owe?",
    "May I take a map home?",
    "What do I bring to become a member?",
)


@dataclass(frozen=True)
class Told:
    """An answer as a client saw it; `begun` says that something of it came, `receipt` what it carried itself."""

    conversation: int
    turn: int
    model: str
    id: str
    agent: str
    text: str
    finish: str | None
    usage: Any
    receipt: dict[str, Any]
    begun: bool = True
    error: Exception | None = None

    @property
    def whole(self) -> bool:
        """Whether it ended as an answer ends."""
        return self.error is None and self.finish in ("stop", "length")


@dataclass
class Talk:
    """A conversation with one model name."""

    number: int
    model: str
    streamed: bool
    is_async: bool
    turns: int
    max_tokens: int = 12
    told: list[Told] = field(default_factory=list)

    async def hold(self, url: str) -> None:
        """All its turns, one after the other."""
        messages: list[dict[str, str]] = [{"role": "system", "content": SYSTEM.format(n=self.number)}]
        for turn in range(self.turns):
            messages.append({"role": "user", "content": _QUESTIONS[turn % len(_QUESTIONS)]})
            ask = asking(self.model, messages, self.max_tokens)
            if self.is_async:
                told = await ask_async(url, ask, self.streamed, self.number, turn)
            else:
                told = await asyncio.to_thread(ask_sync, url, ask, self.streamed, self.number, turn)
            self.told.append(told)
            messages.append({"role": "assistant", "content": told.text})


def talks(requests: int, models: Sequence[str], turns: int = 4) -> list[Talk]:
    """So many requests as conversations, models and kinds of client taking turns."""
    return [
        Talk(n, models[n % len(models)], n // 2 % 2 == 0, n % 2 == 0, min(turns, requests - first))
        for n, first in enumerate(range(0, requests, turns))
    ]


async def hold_all(url: str, some: Sequence[Talk], at_once: int) -> list[Told]:
    """Hold conversations, so many at once."""
    places = asyncio.Semaphore(at_once)

    async def hold(one: Talk) -> None:
        async with places:
            await one.hold(url)

    await asyncio.gather(*map(hold, some))
    return [told for one in some for told in one.told]


def asking(model: str, messages: Sequence[dict[str, str]], max_tokens: int) -> dict[str, Any]:
    """What is asked, in the client's words; a bid that every agent's cost is well below."""
    return {
        "model": model,
        "messages": list(messages),
        "max_tokens": max_tokens,
        "temperature": 0,
        "extra_body": {"iemas": {"worth": 5.0, "delay_cost": 0.02}},
    }


_STREAM: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def ask_sync(url: str, ask: dict[str, Any], streamed: bool, number: int = 0, turn: int = 0) -> Told:
    """Ask with the synchronous client."""
    pending = Pending(number, turn, ask["model"])
    with openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0, timeout=300) as client:
        try:
            if streamed:
                answer = client.chat.completions.with_raw_response.create(**ask, **_STREAM)
                pending.headers = answer.headers
                for chunk in answer.parse():
                    pending.take(chunk)
            else:
                answer = client.chat.completions.with_raw_response.create(**ask)
                pending.whole(answer.headers, answer.parse())
        except openai.OpenAIError as error:
            pending.error = error
    return pending.told()


async def ask_async(url: str, ask: dict[str, Any], streamed: bool, number: int = 0, turn: int = 0) -> Told:
    """Ask with the asynchronous client."""
    pending = Pending(number, turn, ask["model"])
    async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="none", max_retries=0, timeout=300) as client:
        try:
            if streamed:
                answer = await client.chat.completions.with_raw_response.create(**ask, **_STREAM)
                pending.headers = answer.headers
                async for chunk in answer.parse():
                    pending.take(chunk)
            else:
                answer = await client.chat.completions.with_raw_response.create(**ask)
                pending.whole(answer.headers, answer.parse())
        except openai.OpenAIError as error:
            pending.error = error
    return pending.told()


class Pending:
    """An answer as it comes."""

    def __init__(self, conversation: int, turn: int, model: str) -> None:
        self._asked = (conversation, turn, model)
        self.headers: Any = {}
        self.text, self.finish, self.usage, self.error = "", None, None, None
        self.receipt: dict[str, Any] = {}
        self.begun = False

    def take(self, chunk: Any) -> None:
        """The next of a stream's chunks."""
        self.begun = True
        for choice in chunk.choices:
            self.text += choice.delta.content or ""
            self.finish = choice.finish_reason or self.finish
        if chunk.usage is not None:
            self._usage(chunk)

    def whole(self, headers: Any, answer: Any) -> None:
        """A body."""
        self.headers, self.begun = headers, True
        self.text, self.finish = answer.choices[0].message.content or "", answer.choices[0].finish_reason
        self._usage(answer)

    def told(self) -> Told:
        """What became of it."""
        headers = self.headers or getattr(getattr(self.error, "response", None), "headers", {})
        name, agent = headers.get("x-request-id", ""), headers.get("x-iemas-agent", "")
        return Told(*self._asked, name, agent, self.text, self.finish, self.usage, self.receipt, self.begun, self.error)

    def _usage(self, answer: Any) -> None:
        self.usage = answer.usage
        self.receipt = (answer.model_extra or {}).get("iemas", {})
