"""Which agents hold which block: a compiled table that grows and shrinks with what it holds."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from prediction.caches.prefix_kernels import count_held, hold, move_all, name_blocks, release

Names = NDArray[np.uint64]

NAME_BYTES = 16
# A power of two; filled to two thirds at most, and to a tenth at least.
_SMALLEST = 256
_FULLEST, _EMPTIEST = 2 / 3, 1 / 10


class Holders:
    """From names of blocks (16 bytes) to the set of agents that hold them."""

    def __init__(self, agents: int, block: int) -> None:
        self._agents = agents
        self._block = block
        self._table = np.zeros((_SMALLEST, 2 + -(-agents // 64)), np.uint64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def items(self) -> Iterator[tuple[bytes, int]]:
        """Every name with its holders, as the bits of an integer."""
        for row in self._table[self._table[:, 0] != 0]:
            yield row[:2].tobytes(), int.from_bytes(row[2:].astype("<u8").tobytes(), "little")

    def name(self, tokens: NDArray[np.uint32], blocks: int, key: Names) -> list[bytes]:
        """Names of the first so many blocks."""
        names = np.empty((blocks, 2), np.uint64)
        name_blocks(tokens, self._block, key[0], key[1], names)
        data = names.tobytes()
        return [data[k : k + NAME_BYTES] for k in range(0, len(data), NAME_BYTES)]

    def hold(self, agent: int, names: Sequence[bytes]) -> None:
        """Add the agent to the holders of each name."""
        if names:
            self._resize(self._count + len(names))
            self._count += hold(self._table, _array(names), agent)

    def release(self, agent: int, names: Sequence[bytes]) -> None:
        """Take the agent away from the holders of each name; what nobody holds is forgotten."""
        if names:
            self._count -= release(self._table, _array(names), agent)
            self._resize(self._count)

    def count(
        self, tokens: NDArray[np.uint32], offsets: NDArray[np.int64], limits: NDArray[np.int64], keys: Names
    ) -> NDArray[np.int64]:
        """Blocks from the start that each agent holds of each prompt: (N, M); see `prefix_kernels.count_held`."""
        held = np.empty((len(limits), self._agents), np.int64)
        count_held(self._table, tokens, offsets, limits, keys, self._block, held)
        return held

    def _resize(self, count: int) -> None:
        size = len(self._table)
        if count > _FULLEST * size or (size > _SMALLEST and count < _EMPTIEST * size):
            wanted = _SMALLEST
            while count > _FULLEST / 2 * wanted:
                wanted *= 2
            table = np.zeros((wanted, self._table.shape[1]), np.uint64)
            move_all(self._table, table)
            self._table = table


def _array(names: Sequence[bytes]) -> Names:
    return np.frombuffer(b"".join(names), np.uint64).reshape(-1, 2)
