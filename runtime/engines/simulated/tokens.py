"""The simulated engines' vocabulary: pieces of words, cut the same way on every machine, no model needed.

A text that begins another text begins its tokens too, message by message, which is all that a prefix cache needs.
About as many pieces as SmolLM2 has tokens on English dialogues; never meant for a model to read.
"""

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache

from runtime.engines.engine import Message

_PIECE = re.compile(r" ?[^\W\d_]{1,8}|\d|\s+|[^\w\s]|_")
_ROLES = {"system": 1, "user": 2, "assistant": 3}
#: The token that ends a message, and an answer that was not cut short.
END = 4
_RESERVED = 16

#: The `EngineInfo.tokenizer` of engines that cut text this way.
VOCABULARY = "word-pieces"


# A conversation is asked again with each turn, and by the router as well as the engine.
@lru_cache(maxsize=8192)
def encode(text: str) -> tuple[int, ...]:
    """Token ids of a text; each piece's id is a checksum of its bytes, at least 16."""
    return tuple(_token(piece) for piece in _PIECE.findall(text))


def encode_chat(messages: Sequence[Message]) -> tuple[int, ...]:
    """Token ids of a conversation as a prompt: every message between marks, then the mark that an answer begins."""
    return _encode_chat(tuple(messages))


# The router asks for every prompt, and the engine a moment later.
@lru_cache(maxsize=512)
def _encode_chat(messages: tuple[Message, ...]) -> tuple[int, ...]:
    ids: list[int] = []
    for message in messages:
        ids += [_ROLES[message.role], *encode(message.content), END]
    return (*ids, _ROLES["assistant"])


def prompt_ids(prompt: str | tuple[int, ...]) -> tuple[int, ...]:
    """A prompt of /v1/completions as tokens: no template is around it."""
    return encode(prompt) if isinstance(prompt, str) else prompt


def cut_answer(text: str, limit: int) -> tuple[str, tuple[int, ...]]:
    """An answer as an engine that may generate `limit` tokens reports it: its text, and its ids with the end mark."""
    pieces, ids = answer_pieces(text, limit)
    return "".join(pieces), ids


# Agents that are right say the same, and the wrong have one answer.
@lru_cache(maxsize=4096)
def answer_pieces(text: str, limit: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The same, its text piece by piece: the text of each token, none for the end mark."""
    pieces = (*_PIECE.findall(text)[:limit], "")
    ids = (*map(_token, pieces[:-1]), END)
    return pieces[:limit], ids[:limit]


def stopped_pieces(text: str, limit: int, stops: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...], bool]:
    """The same where the answer ends before the first of some texts, and whether it did.

    As in vLLM, the tokens of that text are generated, and not shown.
    """
    found = [(at, at + len(stop)) for stop in stops if (at := text.find(stop)) >= 0]
    if not found:
        return *answer_pieces(text, limit), False
    at, end = min(found)
    whole = _PIECE.findall(text[:end])
    ids, shown, length = tuple(map(_token, whole[:limit])), [], 0
    for piece in whole[:limit]:
        shown.append(piece[: max(at - length, 0)])
        length += len(piece)
    return tuple(shown), ids, len(whole) <= limit


def _token(piece: str) -> int:
    return _RESERVED + zlib.crc32(piece.encode()) % (2**31 - _RESERVED)
