"""One agent's believed KV cache: full blocks in vLLM's eviction order, and what LCP needs beside them.

A block is named by the digest of the whole prefix it ends, so equal names mean equal prefixes. Two invariants carry
the module. *Prefix closure*: a held block's parent is held, since every hold of a chain is a hold of its head and
eviction takes leaves first. *Leaves first*: within one hold the tail is queued before the head (vLLM frees a
request's blocks in reverse), so the head of the queue never has a held child.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Sequence

# A tail is not a block, so it has no digest.
_TAIL = b""


class AgentCache:
    """Blocks and tails of one agent; at most `capacity` of each."""

    __slots__ = ("_blocks", "_branches", "_tails", "capacity")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        # digest -> (parent's digest, the block's tokens); the next to be evicted stands first.
        self._blocks: OrderedDict[bytes, tuple[bytes, bytes]] = OrderedDict()
        # (parent's digest, the partial block's tokens), least recent first.
        self._tails: OrderedDict[tuple[bytes, bytes], None] = OrderedDict()
        # parent's digest -> what continues it, sorted by tokens: (tokens, digest or _TAIL).
        self._branches: dict[bytes, list[tuple[bytes, bytes]]] = {}

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._blocks

    def digests(self) -> tuple[bytes, ...]:
        """Every held block, the next to be evicted first."""
        return tuple(self._blocks)

    def hold(self, root: bytes, chain: Sequence[tuple[bytes, bytes]], tail: bytes) -> tuple[list[bytes], list[bytes]]:
        """Hold the chain of `(digest, tokens)` hanging from `root`; return the digests (gained, evicted).

        A chain longer than the capacity keeps its head. A tail takes a physical block while its request runs, so it
        costs one block of the capacity even though the block itself is never reused.
        """
        if len(chain) > self.capacity:
            chain, tail = chain[: self.capacity], b""
        gained = []
        parent = root
        for digest, tokens in chain:
            if digest not in self._blocks:
                self._blocks[digest] = (parent, tokens)
                insort(self._branches.setdefault(parent, []), (tokens, digest))
                gained.append(digest)
            parent = digest
        for digest, _ in reversed(chain):
            self._blocks.move_to_end(digest)
        if tail:
            self._remember_tail(parent, tail)
        limit = max(len(chain), self.capacity - bool(tail))
        evicted = []
        while len(self._blocks) > limit:
            digest = next(iter(self._blocks))
            self.drop(digest)
            evicted.append(digest)
        return gained, evicted

    def drop(self, digest: bytes) -> list[bytes]:
        """Forget a held block and all that hangs from it; return the digests forgotten."""
        parent, tokens = self._blocks[digest]
        self._unlink(parent, (tokens, digest))
        dropped = []
        pending = [digest]
        while pending:
            digest = pending.pop()
            del self._blocks[digest]
            dropped.append(digest)
            for tokens, child in self._branches.pop(digest, ()):
                if child == _TAIL:
                    del self._tails[digest, tokens]
                else:
                    pending.append(child)
        return dropped

    def overlap(self, parent: bytes, rest: bytes) -> int:
        """Longest common prefix, in bytes, of `rest` with anything remembered to continue `parent`.

        Among sorted strings the longest common prefix with a query is found at one of the query's two neighbours.
        """
        entries = self._branches.get(parent)
        if not entries or not rest:
            return 0
        place = bisect_left(entries, (rest, b""))
        return max(_common(entries[k][0], rest) for k in (place - 1, place) if 0 <= k < len(entries))

    def _remember_tail(self, parent: bytes, tail: bytes) -> None:
        key = (parent, tail)
        if key in self._tails:
            self._tails.move_to_end(key)
            return
        self._tails[key] = None
        insort(self._branches.setdefault(parent, []), (tail, _TAIL))
        if len(self._tails) > self.capacity:
            (parent, tail), _ = self._tails.popitem(last=False)
            self._unlink(parent, (tail, _TAIL))

    def _unlink(self, parent: bytes, entry: tuple[bytes, bytes]) -> None:
        entries = self._branches[parent]
        del entries[bisect_left(entries, entry)]
        if not entries:
            del self._branches[parent]


def _common(a: bytes, b: bytes) -> int:
    length = min(len(a), len(b))
    # The highest set bit of the difference of two big-endian numbers is in their first differing byte.
    difference = int.from_bytes(a[:length], "big") ^ int.from_bytes(b[:length], "big")
    return length - (difference.bit_length() + 7) // 8
