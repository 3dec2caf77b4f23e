"""Which conversation prefixes each agent's KV cache is believed to hold, for all agents in one walk.

vLLM names a full block of a prompt by a hash that covers the block and everything before it, and reuses the longest
run of named blocks from the start (Kwon, Li, Zhuang, Sheng, Zheng, Yu, Gonzalez, Zhang, Stoica, 2023, "Efficient
memory management for large language model serving with PagedAttention", and vLLM's automatic prefix caching). The
index keeps one table from such a name to the set of agents holding it, as the bits of an integer, so walking a
prompt's chain once answers for every agent.

The names are SHA-256 digests under a key drawn afresh for each index: two different prefixes sharing a name is not
something an adversary can arrange, and no answer depends on the key.
"""

import hashlib
import secrets
from array import array
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prediction._agent_cache import AgentCache
from prediction.errors import PredictionError

#: Blocks remembered for each agent when the caller does not know its cache: a million tokens at 16 to a block.
DEFAULT_CAPACITY = 65_536

_WIDTH = array("I").itemsize

Tokens = Sequence[int] | NDArray[np.integer]


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...


class PrefixIndex:
    """Believed contents of the KV caches of `agents` engines that share a vocabulary and a block size.

    Args:
        agents: number of agents M, at least 1.
        block_size: tokens to a block, B: what the engine reports (16 on GPUs, 32 and up on CPUs).
        capacity_blocks: blocks an agent's cache can hold, one number or one for each agent: vLLM's block count less the
            null block. `None` takes `DEFAULT_CAPACITY`. Nothing grows beyond it: of each agent, at most that many
            blocks and that many partial tails are remembered, in about half a kilobyte each.

    `salt` separates tenants as vLLM's `cache_salt` does: prefixes under different salts never meet.

    The belief follows a serial engine: blocks are evicted least recently used first, the tail of a conversation before
    its head, and a running request's partial block takes up capacity. Three things it cannot see and leaves to
    `observe`: traffic that bypasses the router, blocks pinned by requests still in flight, and the duplicate blocks
    vLLM keeps when it recomputes one it already has.

    Not safe for concurrent use from several threads; nothing here blocks or awaits.

    Example:
        >>> index = PrefixIndex(agents=2, block_size=4)
        >>> index.insert(1, [7, 8, 9, 10, 11, 12, 13])
        >>> index.match([7, 8, 9, 10, 11, 12, 13, 14, 15])
        array([0, 4])
        >>> index.longest_common_prefix([7, 8, 9, 10, 11, 12, 13, 14, 15])
        array([0, 6])
    """

    def __init__(self, agents: int, block_size: int, *, capacity_blocks: int | Sequence[int] | None = None) -> None:
        if agents < 1:
            raise PredictionError(f"`agents` must be at least 1, not {agents}.")
        if block_size < 1:
            raise PredictionError(f"`block_size` must be at least 1 token, not {block_size}.")
        self.agents = agents
        self.block_size = block_size
        self._caches = [AgentCache(capacity) for capacity in _capacities(agents, capacity_blocks)]
        self._holders: dict[bytes, int] = {}
        self._key = secrets.token_bytes(32)
        self._everyone = (1 << agents) - 1

    def match(self, tokens: Tokens, salt: str = "") -> NDArray[np.int64]:
        """Prompt tokens each agent would report as cached: shape (M,), multiples of B, below `len(tokens)`.

        Only full blocks count, and the prompt's last token is always recomputed, so a full hit of an exactly aligned
        prompt loses its last block. A pure question: nothing is marked as used.

        Raises:
            PredictionError: a token id is not an integer in [0, 2**32).
        """
        data = _encode(tokens)
        cached = np.zeros(self.agents, dtype=np.int64)
        for mask, depth, _ in self._descend(data, salt, self._reusable(data)):
            if depth:
                for agent in _bits(mask):
                    cached[agent] = depth * self.block_size
        return cached

    def longest_common_prefix(self, tokens: Tokens, salt: str = "") -> NDArray[np.int64]:
        """Tokens `tokens` shares with the closest sequence remembered for each agent: shape (M,), exact to the token.

        Remembered is what `insert` was given less its last token, cut back to the blocks still held.

        Raises:
            PredictionError: as `match` does.
        """
        data = _encode(tokens)
        width = self._block_bytes
        shared = np.zeros(self.agents, dtype=np.int64)
        for mask, depth, parent in self._descend(data, salt, len(data) // width):
            rest = data[depth * width : (depth + 1) * width]
            for agent in _bits(mask):
                shared[agent] = depth * self.block_size + self._caches[agent].overlap(parent, rest) // _WIDTH
        return shared

    def insert(self, agent: int, tokens: Tokens, salt: str = "") -> None:
        """Record that `agent` has just served `tokens`: the prompt, then every output token.

        The last sampled token has no keys and values. The index drops it itself, so pass the sequence whole; from
        an engine that reports no output tokens pass the prompt alone, and at most one block is believed missing.
        A sequence that exceeds the agent's capacity keeps its head.

        Raises:
            PredictionError: there is no such agent or a token id is not an integer in [0, 2**32).
        """
        cache = self._cache(agent)
        data = _encode(tokens)[:-_WIDTH]
        width = self._block_bytes
        state = self._root(salt)
        root = state.digest()
        full = len(data) - len(data) % width
        chain = []
        for start in range(0, min(full, cache.capacity * width), width):
            block = data[start : start + width]
            state.update(block)
            chain.append((state.digest(), block))
        tail = data[full:] if len(chain) * width == full else b""
        gained, evicted = cache.hold(root, chain, tail)
        bit = 1 << agent
        for digest in gained:
            self._holders[digest] = self._holders.get(digest, 0) | bit
        self._release(agent, evicted)

    def observe(self, agent: int, tokens: Tokens, cached_tokens: int, salt: str = "") -> int:
        """Correct the belief by what the engine reported for the prompt `tokens`; return how many blocks it cost.

        An engine stops at its first missing block, so a report below the belief disproves the next block and, with
        it, whatever hangs from it. A report at or above the belief changes nothing: `insert` will record the rest.
        Observe before inserting the same request, and only reports below what `match` returned when the request was
        dispatched: a prefix inserted while it was in flight is not disproved by it.

        Raises:
            PredictionError: as `insert` does, or if `cached_tokens` is not in [0, len(tokens)].
        """
        cache = self._cache(agent)
        data = _encode(tokens)
        if not 0 <= cached_tokens <= len(data) // _WIDTH:
            raise PredictionError(
                f"`cached_tokens` must lie in [0, {len(data) // _WIDTH}], the prompt's length, not {cached_tokens}."
            )
        confirmed = cached_tokens // self.block_size
        if confirmed >= self._reusable(data):
            return 0
        state = self._root(salt)
        state.update(data[: (confirmed + 1) * self._block_bytes])
        disproved = state.digest()
        if disproved not in cache:
            return 0
        dropped = cache.drop(disproved)
        self._release(agent, dropped)
        return len(dropped)

    def forget(self, agent: int) -> None:
        """Forget all that `agent` held: its engine was restarted or its cache reset.

        Raises:
            PredictionError: there is no such agent.
        """
        cache = self._cache(agent)
        self._release(agent, cache.digests())
        self._caches[agent] = AgentCache(cache.capacity)

    def held_blocks(self, agent: int) -> int:
        """Full blocks `agent` is believed to hold.

        Raises:
            PredictionError: there is no such agent.
        """
        return len(self._cache(agent))

    @property
    def _block_bytes(self) -> int:
        return self.block_size * _WIDTH

    def _reusable(self, data: bytes) -> int:
        return max(len(data) - _WIDTH, 0) // self._block_bytes

    def _cache(self, agent: int) -> AgentCache:
        if not 0 <= agent < self.agents:
            raise PredictionError(f"`agent` must lie in [0, {self.agents - 1}], not {agent}.")
        return self._caches[agent]

    def _root(self, salt: str) -> _Hash:
        # Hashing the salt first fixes its length, so no salt can pass for a salt and a first block.
        return hashlib.sha256(self._key + hashlib.sha256(salt.encode()).digest())

    def _descend(self, data: bytes, salt: str, limit: int) -> list[tuple[int, int, bytes]]:
        """Where agents leave the chain: (mask of agents, full blocks they hold, digest of the last of these).

        Each agent stands in exactly one mask. One running hash names every block: its digest after k blocks covers
        them all, which is what chaining each block's hash to its parent's achieves, in less than half the time.
        """
        width = self._block_bytes
        view = memoryview(data)
        state = self._root(salt)
        parent = state.digest()
        alive = self._everyone
        left = []
        for depth in range(limit):
            state.update(view[depth * width : (depth + 1) * width])
            digest = state.digest()
            staying = alive & self._holders.get(digest, 0)
            if staying != alive:
                left.append((alive ^ staying, depth, parent))
                if not staying:
                    return left
                alive = staying
            parent = digest
        left.append((alive, limit, parent))
        return left

    def _release(self, agent: int, digests: Sequence[bytes]) -> None:
        bit = 1 << agent
        for digest in digests:
            remaining = self._holders[digest] & ~bit
            if remaining:
                self._holders[digest] = remaining
            else:
                del self._holders[digest]


def _capacities(agents: int, given: int | Sequence[int] | None) -> list[int]:
    if given is None:
        given = DEFAULT_CAPACITY
    capacities = [given] * agents if isinstance(given, int) else list(given)
    if len(capacities) != agents:
        raise PredictionError(f"`capacity_blocks` must have {agents} entries, one an agent, not {len(capacities)}.")
    for agent, capacity in enumerate(capacities):
        if capacity < 1:
            raise PredictionError(f"`capacity_blocks` must be at least 1; agent {agent} has {capacity}.")
    return capacities


def _encode(tokens: Tokens) -> bytes:
    if isinstance(tokens, np.ndarray):
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
            raise PredictionError(f"token ids must be a 1-D array of integers, not {tokens.ndim}-D {tokens.dtype}.")
        if tokens.size and not (tokens.min() >= 0 and tokens.max() < 1 << 8 * _WIDTH):
            raise PredictionError(f"token ids must lie in [0, 2**{8 * _WIDTH}).")
        return tokens.astype(np.dtype("I")).tobytes()
    ids = array("I")
    try:
        ids.extend(tokens)
    except (OverflowError, TypeError) as error:
        raise PredictionError(f"token ids must be integers in [0, 2**{8 * _WIDTH}): {error}.") from error
    return ids.tobytes()


def _bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
