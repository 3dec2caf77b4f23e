"""Reads what an engine answers (OpenAI's chunks and bodies, as vLLM and others write them) without touching a byte.

Lenient where engines differ: `choices` and usage details may be null, the text may be a completion's `text`, thinking
comes as `reasoning` or `reasoning_content`, and what is not known is passed over. Strict where money hangs on it:
counts are whole numbers that can be.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.errors import Broken

_quick: Callable[[bytes], Any] | None
try:
    from orjson import loads as _quick
except ImportError:
    _quick = None

DONE = b"[DONE]"
#: Reasons for an end that is none: the engine gave up.
_GIVEN_UP = ("abort", "error")
_MOST_TOKENS = 1 << 31


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer: of its prompt, of those found in the cache, and of its output over all choices.

    `reported` says that the engine counted; until then `prompt` is 0 unless its ids came, and `output` is our count of
    what came, a lower bound. `cached` is None where the engine does not say.
    """

    prompt: int
    cached: int | None
    output: int
    reported: bool


class Tally:
    """What an answer has said so far, read from its events as they come.

    Args:
        where: who answers, for messages.
        choices: how many choices it has to end (`n`); embeddings have none.
    """

    def __init__(self, where: str = "the engine", choices: int = 1) -> None:
        self._where, self._choices = where, choices
        self._texts: list[str] = []
        self._counted = 0
        self._reported: Usage | None = None
        self.prompt_ids: list[int] = []
        self.output_ids: list[int] = []
        #: Reasons for the end, by choice.
        self.ends: dict[int, str] = {}
        #: Whether anything was generated yet.
        self.started = False
        #: Whether the mark of the end was seen.
        self.done = False

    @property
    def text(self) -> str:
        """The first choice's text."""
        return "".join(self._texts)

    @property
    def usage(self) -> Usage | None:
        """As the engine reported it, else as counted so far; None before anything was generated."""
        if self._reported is not None or not self.started:
            return self._reported
        return Usage(len(self.prompt_ids), None, self._counted, reported=False)

    @property
    def ended(self) -> bool:
        """Whether every choice has ended; after the mark of the end, one is enough: some engines know no `n`."""
        return len(self.ends) >= (min(self._choices, 1) if self.done else self._choices)

    def take(self, data: bytes) -> bool:
        """Read an event's data; whether it brought a token, or a choice's end.

        Raises:
            Broken: it is nonsense, or says that the engine failed.
        """
        if data.strip() == DONE:
            self.done = True
            return False
        return self._read(data, "delta")

    def take_body(self, body: bytes) -> None:
        """Read the body of an answer that is no stream.

        Raises:
            Broken: it is nonsense, or says that the engine failed.
        """
        self._read(body, "message")
        self.done = True

    def nonsense(self, what: str) -> Broken:
        """The error that says so."""
        return Broken(f"{self._where} answered with nonsense ({what})")

    def _read(self, data: bytes, part: str) -> bool:
        try:
            chunk = _parsed(data)
            if not isinstance(chunk, dict):
                raise TypeError("no JSON object")
            if chunk.get("error") is not None:
                raise self._failure(chunk["error"], data)
            if chunk.get("usage"):
                self._reported = _usage(chunk["usage"], self._choices)
            self.prompt_ids += _ids(chunk.get("prompt_token_ids"))
            brought = [self._choice(choice, part) for choice in chunk.get("choices") or ()]
            return any(brought)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise self.nonsense(f"a chunk out of shape: {error!r}") from error

    def _choice(self, choice: Mapping[str, Any], part: str) -> bool:
        index, said = choice.get("index") or 0, choice.get(part) or {}
        text = said.get("content")
        if type(text) is not str or not text:
            text = _text(text) or _text(choice.get("text"))
        ids, end = _ids(choice.get("token_ids")), choice.get("finish_reason")
        # A chunk that only names the role may come before any token does.
        brought = bool(text or ids or any(said.get(name) for name in _UNSHOWN))
        self._counted += len(ids) or brought
        if end in _GIVEN_UP:
            raise Broken(f"{self._where} gave up the request while serving it; look at the server's log")
        if end is not None:
            self.ends[int(index)] = str(end)
        if index == 0:
            self._texts.append(text)
            self.output_ids += ids
        self.started = self.started or brought or end is not None
        return brought or end is not None

    def _failure(self, error: object, data: bytes) -> Broken:
        code = error.get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) and 400 <= code <= 599 else 500
        return Broken(f"{self._where} failed while answering: {reason_of(data)}", status, bytes(data))


#: Fields of a delta, beside its text, that hold what was generated.
_UNSHOWN = ("reasoning", "reasoning_content", "thinking", "tool_calls", "function_call", "refusal", "audio")


def context_lengths(listing: Mapping[str, Any]) -> dict[str, int | None]:
    """The longest context of each model of a /v1/models page, by name, None where unsaid; an adapter has its parent's.

    Raises:
        KeyError, TypeError, ValueError: it is no such page.
    """
    cards = {str(card["id"]): card for card in listing["data"]}
    lengths: dict[str, int | None] = {}
    for name in cards:
        card, seen = cards[name], {name}
        while card.get("max_model_len") is None and card.get("parent") in cards and card["parent"] not in seen:
            seen.add(card["parent"])
            card = cards[card["parent"]]
        lengths[name] = None if card.get("max_model_len") is None else int(card["max_model_len"])
    return lengths


def reason_of(body: bytes | str) -> str:
    """The message inside an error's body, however deep the server put it."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()[:300] or "no reason given"
    if isinstance(found, dict):
        inner = found.get("error", found)
        if isinstance(inner, dict):
            return str(inner.get("message") or inner.get("detail") or inner)[:500]
    return str(found)[:500]


def _parsed(data: bytes) -> Any:
    if _quick is not None:
        try:
            return _quick(data)
        except ValueError:
            # It knows neither NaN nor text that is no UTF-8, and engines do.
            pass
    return json.loads(data)


def _usage(usage: Mapping[str, Any], choices: int) -> Usage:
    details = usage.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens")
    prompt, output = _count(usage["prompt_tokens"]), _count(usage.get("completion_tokens") or 0)
    if choices and "completion_tokens" not in usage:
        raise KeyError("completion_tokens")
    if cached is not None and _count(cached) > prompt:
        raise ValueError(f"{cached} of {prompt} prompt tokens cached")
    return Usage(prompt, None if cached is None else _count(cached), output, reported=True)


def _count(value: Any) -> int:
    number = int(value)
    if number != value or isinstance(value, bool) or not 0 <= number <= _MOST_TOKENS:
        raise ValueError(f"{value!r} is no count of tokens")
    return number


def _ids(values: Sequence[Any] | None) -> list[int]:
    if not values:
        return []
    if any(not isinstance(value, int) or isinstance(value, bool) for value in values or ()):
        raise TypeError("token ids that are no integers")
    return list(values or ())


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content)
    if not isinstance(content, str | None):
        raise TypeError(f"{content!r} is no text")
    return content or ""
