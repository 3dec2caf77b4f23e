"""A prompt cut up without asking anybody, so that prompts which begin alike have pieces that do.

A piece is four bytes of the JSON as it came, about as much text as one token. Nobody's tokenizer is asked before a
round: its death would be everybody's, and its milliseconds too. What a model counts is learnt from its answers
(`Forecaster`).
"""

import hashlib
import re

import numpy as np
from numpy.typing import NDArray

from runtime.gateway.splice import Body

_WIDTH = 4
_INLINE = re.compile(rb'"url"[ \t\r\n]*:[ \t\r\n]*"data:[a-z]+/[a-z0-9.+-]+;base64,[A-Za-z0-9+/=]{256,}"')
#: Pieces that an inline image or sound stands for, whatever its bytes.
_INLINE_PIECES = 256
_ANSWERED = re.compile(rb'"role"[ \t\r\n]*:[ \t\r\n]*"assistant"')
#: Members that come before the conversation in every chat template.
_BEFORE = ("tools", "functions")


def pieces(body: Body, adapter: str = "") -> NDArray[np.uint32]:
    """(P,) numbers for a body's prompt, in order.

    Args:
        body: the client's.
        adapter: what else keeps caches apart: the name of a LoRA adapter.
    """
    text = bytes(body.text)
    if b'"data:' in text:
        text = _INLINE.sub(_digest, text)
    apart = [body.raw[one.start : one.end] for one in map(body.members.get, _BEFORE) if one is not None]
    if body.cache_salt is not None:
        apart.insert(0, body.cache_salt.encode("utf-8", "surrogatepass"))
    if apart or adapter:
        text = hashlib.blake2b(b"\0".join([adapter.encode(), *apart]), digest_size=2 * _WIDTH).digest() + text
    whole = len(text) // _WIDTH
    return np.frombuffer(text, "<u4", max(whole, 1)) if whole else np.zeros(1, np.uint32)


def answered(body: Body) -> int:
    """How many of the conversation's messages are a model's."""
    return len(_ANSWERED.findall(body.text))


def opening(body: Body) -> bytes:
    """How a conversation begins, up to a model's first answer: the same in all its turns."""
    text = bytes(body.text)
    first = _ANSWERED.search(text)
    return (text if first is None else text[: first.start()]).rstrip(b" \t\r\n[]{},")


def _digest(found: re.Match[bytes]) -> bytes:
    return hashlib.blake2b(found[0], digest_size=_WIDTH).digest() * _INLINE_PIECES
