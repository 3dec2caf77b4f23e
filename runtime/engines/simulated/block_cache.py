"""vLLM's prefix cache, block for block, so that a simulated engine reports the very `cached_tokens` a real one would.

Rules, as vLLM 0.32.0 has them (Kwon et al. 2023, and the source of its KV cache manager):

- A block can be reused once all its tokens are computed; its name covers its tokens and everything before them.
- A prompt reuses the longest run of named blocks from its start, but never its last token, which is computed again.
- Hit blocks leave the free queue before new ones are taken from its head; a block that is taken loses its name.
- A finished request returns its blocks, last first: unnamed ones to the head of the queue, named ones to its tail.
- One block is never used, and the same content may sit in several blocks.

`tests/runtime/engines/simulated/test_equals_vllm.py` holds it to that: equal hits on every request of random traces.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field


class BlockNames:
    """Names of the full blocks of one growing token sequence: name k covers the first (k + 1) * block_size tokens."""

    def __init__(self, block_size: int, salt: str = "") -> None:
        self._block_size = block_size
        self._state = hashlib.blake2b(salt.encode(), digest_size=16)
        self._partial = array("Q")
        self.names: list[bytes] = []

    def extend(self, tokens: Sequence[int]) -> None:
        """Append tokens."""
        self._partial.extend(tokens)
        full = len(self._partial) // self._block_size * self._block_size
        for start in range(0, full, self._block_size):
            self._state.update(self._partial[start : start + self._block_size].tobytes())
            self.names.append(self._state.digest())
        del self._partial[:full]


@dataclass(slots=True, eq=False)
class Holding:
    """The blocks of one running request, and how many of them the cache knows by name so far.

    `cached_tokens` is what admission found: the engine computes the prompt from there.
    """

    names: BlockNames
    cached_tokens: int
    blocks: list[int] = field(default_factory=list)
    named: int = 0


class BlockCache:
    """The KV cache of one engine: `blocks` blocks of `block_size` tokens, one of which is never used."""

    def __init__(self, blocks: int, block_size: int) -> None:
        self.block_size = block_size
        self.blocks = blocks
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(1, blocks))
        self._holders = [0] * blocks
        self._name_of: list[bytes | None] = [None] * blocks
        self._known: dict[bytes, dict[int, None]] = {}

    @property
    def free(self) -> int:
        """Blocks that no running request holds."""
        return len(self._free)

    def cached_tokens(self, tokens: Sequence[int], salt: str = "") -> int:
        """Tokens of this prompt that would be reused now."""
        names = BlockNames(self.block_size, salt)
        names.extend(tokens)
        return len(self._hits(names, len(tokens))) * self.block_size

    def admit(self, tokens: Sequence[int], salt: str = "") -> Holding | None:
        """Start a request whose whole sequence so far is `tokens`, or None while too few blocks are free for it.

        Only the blocks found in the cache are taken; `reserve` takes the others as they are computed.
        """
        names = BlockNames(self.block_size, salt)
        names.extend(tokens)
        hits = self._hits(names, len(tokens))
        idle_hits = sum(self._holders[block] == 0 for block in hits)
        needed = -(-len(tokens) // self.block_size) - len(hits) + idle_hits
        if needed > self.free:
            return None
        for block in hits:
            if self._holders[block] == 0:
                del self._free[block]
            self._holders[block] += 1
        return Holding(names, len(hits) * self.block_size, list(hits), len(hits))

    def reserve(self, holding: Holding, computed: int) -> bool:
        """Take blocks so that `computed` tokens fit, naming those they fill; False and no change if too few are."""
        missing = -(-computed // self.block_size) - len(holding.blocks)
        if missing > self.free:
            return False
        for _ in range(missing):
            block, _ = self._free.popitem(last=False)
            self._forget_name(block)
            self._holders[block] = 1
            holding.blocks.append(block)
        full = min(computed // self.block_size, len(holding.names.names))
        for k in range(holding.named, full):
            self._learn_name(holding.blocks[k], holding.names.names[k])
        holding.named = max(holding.named, full)
        return True

    def release(self, holding: Holding) -> None:
        """Return a request's blocks: finished, cancelled or preempted."""
        for block in reversed(holding.blocks):
            self._holders[block] -= 1
            if self._holders[block] == 0:
                self._free[block] = None
                if self._name_of[block] is None:
                    self._free.move_to_end(block, last=False)
        holding.blocks = []

    def _hits(self, names: BlockNames, length: int) -> list[int]:
        hits = []
        for name in names.names[: (length - 1) // self.block_size]:
            known = self._known.get(name)
            if not known:
                break
            hits.append(next(iter(known)))
        return hits

    def _learn_name(self, block: int, name: bytes) -> None:
        self._name_of[block] = name
        self._known.setdefault(name, {})[block] = None

    def _forget_name(self, block: int) -> None:
        name = self._name_of[block]
        if name is None:
            return
        self._name_of[block] = None
        del self._known[name][block]
        if not self._known[name]:
            del self._known[name]
