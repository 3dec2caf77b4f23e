"""The forward pass of a BERT encoder (Devlin, Chang, Lee and Toutanova 2019) in numpy: weights in, vectors out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ModelError

Floats = NDArray[np.float32]

#: Of MiniLM-L6-H384 (Wang, Wei, Dong, Bao, Yang and Zhou 2020).
_HEADS = 12
_EPSILON = np.float32(1e-12)
#: Of the normal distribution's tail: the highest power first, halved, and the scale of its argument over sqrt(2).
_TAIL = tuple(map(np.float32, (0.5307027145, -0.7265760135, 0.7107068705, -0.142248368, 0.127414796)))
_TAIL_SCALE = np.float32(0.3275911 * 0.5**0.5)


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """One block; matrices are transposed for `x @ w`, `qkv` are the three projections side by side."""

    qkv: Floats
    qkv_bias: Floats
    out: Floats
    out_bias: Floats
    first_norm: tuple[Floats, Floats]
    wide: Floats
    wide_bias: Floats
    narrow: Floats
    narrow_bias: Floats
    second_norm: tuple[Floats, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class Encoder:
    """A sentence encoder: mean of the last layer's token vectors, scaled to norm 1.

    `words` (V, H) and `places` (P, H) are the embeddings of tokens and of positions.
    """

    words: Floats
    places: Floats
    norm: tuple[Floats, Floats]
    layers: tuple[_Layer, ...]
    heads: int

    @classmethod
    def of(cls, weights: Mapping[str, NDArray[np.float32]], heads: int = _HEADS) -> Self:
        """From tensors under the names of a BERT checkpoint.

        Raises:
            ModelError: one is missing; the message names it.
        """

        def get(name: str) -> Floats:
            if name not in weights:
                raise ModelError(f"the weights have no {name!r}: they are no BERT encoder's")
            return np.ascontiguousarray(weights[name], np.float32)

        def matrix(name: str) -> Floats:
            return np.ascontiguousarray(get(f"{name}.weight").T)

        def norm(name: str) -> tuple[Floats, Floats]:
            return get(f"{name}.weight"), get(f"{name}.bias")

        layers = []
        for k in range(len({name.split(".")[2] for name in weights if name.startswith("encoder.layer.")})):
            at = f"encoder.layer.{k}"
            three = [f"{at}.attention.self.{name}" for name in ("query", "key", "value")]
            layers.append(
                _Layer(
                    np.ascontiguousarray(np.hstack([matrix(name) for name in three])),
                    np.concatenate([get(f"{name}.bias") for name in three]),
                    matrix(f"{at}.attention.output.dense"),
                    get(f"{at}.attention.output.dense.bias"),
                    norm(f"{at}.attention.output.LayerNorm"),
                    matrix(f"{at}.intermediate.dense"),
                    get(f"{at}.intermediate.dense.bias"),
                    matrix(f"{at}.output.dense"),
                    get(f"{at}.output.dense.bias"),
                    norm(f"{at}.output.LayerNorm"),
                )
            )
        kind = get("embeddings.token_type_embeddings.weight")[0]
        return cls(
            get("embeddings.word_embeddings.weight"),
            get("embeddings.position_embeddings.weight") + kind,
            norm("embeddings.LayerNorm"),
            tuple(layers),
            heads,
        )

    @property
    def size(self) -> int:
        """Length of the vectors."""
        return int(self.words.shape[1])

    def encode(self, tokens: NDArray[np.int64]) -> Floats:
        """(B, H) vectors of norm 1 of B texts of equally many tokens, (B, T)."""
        x = _normed(self.words[tokens] + self.places[: tokens.shape[1]], self.norm)
        for layer in self.layers:
            x = _normed(x + self._attended(x, layer), layer.first_norm)
            x = _normed(
                x + _gelu(x @ layer.wide + layer.wide_bias) @ layer.narrow + layer.narrow_bias, layer.second_norm
            )
        mean = x.mean(axis=1)
        vectors: Floats = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), np.float32(1e-12))
        return vectors

    def _attended(self, x: Floats, layer: _Layer) -> Floats:
        texts, length, size = x.shape
        parts = (x @ layer.qkv + layer.qkv_bias).reshape(texts, length, 3, self.heads, size // self.heads)
        query, key, value = parts.transpose(2, 0, 3, 1, 4)
        logits = query @ key.swapaxes(-1, -2)
        logits *= np.float32((size // self.heads) ** -0.5)
        logits -= logits.max(axis=-1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=-1, keepdims=True)
        joined = (logits @ value).transpose(0, 2, 1, 3).reshape(texts, length, size)
        attended: Floats = joined @ layer.out + layer.out_bias
        return attended


def _normed(x: Floats, norm: tuple[Floats, Floats]) -> Floats:
    x = x - x.mean(axis=-1, keepdims=True)
    squares: Floats = np.einsum("...h,...h->...", x, x)[..., None]
    x *= np.float32(1) / np.sqrt(squares / np.float32(x.shape[-1]) + _EPSILON)
    x *= norm[0]
    x += norm[1]
    return x


def _gelu(x: Floats) -> Floats:
    """x times the normal distribution function at x, which is max(x, 0) - |x| times its tail beyond |x|.

    The tail is a polynomial times exp(-x²/2), right to 7.5e-8 (Hastings 1955; Abramowitz and Stegun 1964, 7.1.26);
    numpy computes that several times as fast as scipy does the error function.
    """
    size = np.abs(x)
    t = np.float32(1) / (np.float32(1) + _TAIL_SCALE * size)
    tail = _TAIL[0] * t
    for coefficient in _TAIL[1:]:
        tail += coefficient
        tail *= t
    tail *= size
    tail *= np.exp(np.float32(-0.5) * size * size)
    risen: Floats = np.maximum(x, np.float32(0))
    risen -= tail
    return risen
