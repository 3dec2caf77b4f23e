"""Questions as vectors, without a model and without a download: an `Embedder` is a pure function of a text.

`HashedNgrams` counts character n-grams by signed feature hashing (Weinberger, Dasgupta, Langford, Smola and Attenberg,
"Feature Hashing for Large Scale Multitask Learning", ICML 2009), with sublinear counts as in text retrieval (Salton and
Buckley 1988). N-grams reach over the edges of words, so they see words, endings, code and digits alike; words and pairs
of words hashed beside them gained nothing on a real routing table, nor did more than 512 dimensions.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prediction.errors import PredictionError

Vector = NDArray[np.float32]

_GRAMS = (3, 4, 5)
_PRIME = np.uint64(0x100000001B3)


class Embedder(Protocol):
    """Maps a text to a vector; alike questions to vectors with a large inner product."""

    @property
    def size(self) -> int:
        """Length of the vectors."""
        ...

    def embed(self, text: str) -> Vector:
        """(size,) float32 of Euclidean norm at most 1; the same text has the same vector."""
        ...


class HashedNgrams:
    """Character n-grams of a text, hashed.

    Args:
        size: length of the vectors.
        longest: bytes of a text that are read, half from its start and half from its end.

    Raises:
        PredictionError: one of them is not positive.

    >>> one, other, third = map(HashedNgrams().embed, ("Who wrote Hamlet?", "who wrote Macbeth", "12 * 7 = ?"))
    >>> bool(one @ other > one @ third)
    True
    """

    def __init__(self, size: int = 512, longest: int = 1024) -> None:
        if size < 1 or longest < 1:
            raise PredictionError(f"vectors of {size} numbers from {longest} bytes; both must be at least 1")
        self._size, self._longest = size, longest

    @property
    def size(self) -> int:
        """Length of the vectors."""
        return self._size

    def embed(self, text: str) -> Vector:
        """(size,) float32 of norm 1, or zero for a text without n-grams."""
        if len(text) > self._longest:
            text = f"{text[: self._longest // 2]} {text[-(self._longest // 2) :]}"
        plain = " ".join(text.lower().split()).encode("utf-8", "replace")[: self._longest]
        letters = np.frombuffer(b" " + plain + b" ", np.uint8).astype(np.uint64) + np.uint64(1)
        hashes = np.concatenate([_mixed(_rolled(letters, n)) for n in _GRAMS])
        distinct, counts = np.unique(hashes, return_counts=True)
        signs = np.where(distinct >> np.uint64(63), 1.0, -1.0)
        places = (distinct % np.uint64(self._size)).astype(np.int64)
        vector = np.bincount(places, signs * (1 + np.log(counts)), self._size)
        norm = float(np.sqrt(vector @ vector))
        return (vector / norm if norm else vector).astype(np.float32)


def _rolled(letters: NDArray[np.uint64], n: int) -> NDArray[np.uint64]:
    """A polynomial hash of every n letters in a row; different n differ."""
    count = max(letters.size - n + 1, 0)
    hashes = np.full(count, n, np.uint64)
    for k in range(n):
        hashes = hashes * _PRIME + letters[k : k + count]
    return hashes


def _mixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit depends on all (the finaliser of splitmix64, Steele, Lea and Flood 2014)."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))
