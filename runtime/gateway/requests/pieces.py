"""A prompt cut up without asking anybody, so that prompts which begin alike have pieces that do.

A piece is four bytes of the JSON as it came, about as much text as one token. Nobody's tokenizer is asked before a
round: its death would be everybody's, and its milliseconds too. What a model counts is learnt from its answers
(`Forecaster`).
"""

import hashlib
import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from runtime.gateway.requests.splice import Body

_WIDTH = 4
_INLINE = re.compile(rb'"url"[ \t\r\n]*:[ \t\r\n]*"data:[a-z]+/[a-z0-9.+-]+;base64,[A-Za-z0-9+/=]{256,}"')
#: Pieces that an inline image or sound stands for, whatever its bytes.
_INLINE_PIECES = 256
_ANSWERED = re.compile(rb'"role"[ \t\r\n]*:[ \t\r\n]*"assistant"')
#: Members that come before the conversation in chat templates, in an order of ours, and those that come after it.
_BEFORE, _AFTER = ("tools", "functions", "documents"), ("suffix", "chat_template_kwargs")
#: Members that keep caches apart and are no text, beside the salt.
_APART = ("chat_template",)


def pieces(body: Body, adapter: str = "") -> NDArray[np.uint32]:
    """(P,) numbers for a body's prompt, in order.

    Args:
        body: the client's.
        adapter: what else keeps caches apart: the name of a LoRA adapter.
    """
    text = bytes(body.text)
    if b'"data:' in text:
        text = _INLINE.sub(_digest, text)
    apart = _named(body, _APART)
    if body.cache_salt is not None:
        # Of the body as it is sent: an account's own salt is not the client's.
        apart += b"cache_salt\0" + body.cache_salt.encode("utf-8", "surrogatepass")
    if apart or adapter:
        apart = hashlib.blake2b(adapter.encode() + b"\0" + apart, digest_size=2 * _WIDTH).digest()
    text = apart + _named(body, _BEFORE) + text + _named(body, _AFTER)
    whole = len(text) // _WIDTH
    return np.frombuffer(text, "<u4", max(whole, 1)) if whole else np.zeros(1, np.uint32)


def _named(body: Body, names: Sequence[str]) -> bytes:
    """Members with their names, as they came: what comes in one of them is not what comes in another."""
    members = [body.members[name] for name in names if name in body.given]
    return b"".join(b"%s\0%s\0" % (one.name.encode(), body.raw[one.start : one.end]) for one in members)


def answered(body: Body) -> int:
    """How many of the conversation's messages are a model's."""
    return len(_ANSWERED.findall(body.text))


def opening(body: Body) -> bytes:
    """How a conversation begins, up to a model's first answer: the same in all its turns, however it is spaced."""
    asked = orjson.loads(body.text) if body.text else None
    if isinstance(asked, list):
        asked = list(takewhile(lambda one: not (isinstance(one, dict) and one.get("role") == "assistant"), asked))
    return orjson.dumps(_unspaced(asked), option=orjson.OPT_SORT_KEYS)


def _unspaced(value: Any) -> Any:
    """The same with one space wherever a text has any."""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, list):
        return [_unspaced(one) for one in value]
    if isinstance(value, dict):
        return {key: _unspaced(one) for key, one in value.items()}
    return value


def _digest(found: re.Match[bytes]) -> bytes:
    return hashlib.blake2b(found[0], digest_size=_WIDTH).digest() * _INLINE_PIECES
