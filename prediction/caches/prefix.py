"""Which conversation prefixes each agent's KV cache is believed to hold, for all agents in one walk.

vLLM names a full block of a prompt by a hash that covers the block and everything before it, and reuses the longest
run of named blocks from the start (Kwon, Li, Zhuang, Sheng, Zheng, Yu, Gonzalez, Zhang, Stoica, 2023, "Efficient
memory management for large language model serving with PagedAttention", and vLLM's automatic prefix caching). The
index keeps one table from such a name to the set of agents holding it, as the bits of an integer, so walking a
prompt's chain once answers for every agent (`prefix_kernels`, compiled).

The names are keyed hashes of 128 bits (SipHash) under a key drawn afresh for each index: two different prefixes sharing
a name is not something an adversary can arrange, and no answer depends on the key.
"""

import hashlib
import secrets
from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prediction.caches._agent_cache import AgentCache
from prediction.errors import PredictionError

#: Blocks remembered for each agent when the caller does not know its cache: a million tokens at 16 to a block.
DEFAULT_CAPACITY = 65_536

_WIDTH = array("I").itemsize

Tokens = Sequence[int] | NDArray[np.integer]


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
        # The kernels are compiled, or loaded, when the first index is made.
        from prediction.caches._holders import Holders

        self._holders = Holders(agents, block_size)
        self._key = secrets.token_bytes(32)
        self._unsalted: tuple[NDArray[np.uint64], bytes] | None = None

    def match(self, tokens: Tokens, salt: str = "") -> NDArray[np.int64]:
        """Prompt tokens each agent would report as cached: shape (M,), multiples of B, below `len(tokens)`.

        Only full blocks count, and the prompt's last token is always recomputed, so a full hit of an exactly aligned
        prompt loses its last block. A pure question: nothing is marked as used.

        Raises:
            PredictionError: a token id is not an integer in [0, 2**32).
        """
        cached: NDArray[np.int64] = self.match_many([tokens], salt)[0]
        return cached

    def match_many(self, prompts: Sequence[Tokens], salts: str | Sequence[str] = "") -> NDArray[np.int64]:
        """`match` for a whole round at once: N prompts, and one salt for all or one for each; shape (N, M).

        Fastest for arrays of one integer type.

        Raises:
            PredictionError: as `match` does, or if there are not as many salts as prompts.
        """
        if isinstance(salts, str):
            keys = np.array([self._key_of(salts)[0]] * len(prompts), np.uint64).reshape(-1, 2)
        elif len(salts) == len(prompts):
            keys = np.array([self._key_of(salt)[0] for salt in salts], np.uint64).reshape(-1, 2)
        else:
            raise PredictionError(f"expected a salt for each of {len(prompts)} prompts, not {len(salts)} salts.")
        ids, offsets = _encode_all(prompts)
        limits = np.maximum(np.diff(offsets) - 1, 0) // self.block_size
        return self._holders.count(ids, offsets, limits, keys) * self.block_size

    def longest_common_prefix(self, tokens: Tokens, salt: str = "") -> NDArray[np.int64]:
        """Tokens `tokens` shares with the closest sequence remembered for each agent: shape (M,), exact to the token.

        Remembered is what `insert` was given less its last token, cut back to the blocks still held.

        Raises:
            PredictionError: as `match` does.
        """
        ids = _encode(tokens)
        data, width = ids.tobytes(), self._block_bytes
        key, root = self._key_of(salt)
        full = len(ids) // self.block_size
        held = self._holders.count(ids, np.array([0, len(ids)]), np.array([full]), key[None])[0]
        parents = [root, *self._holders.name(ids, int(held.max()), key)]
        shared = np.empty(self.agents, np.int64)
        for agent, depth in enumerate(held.tolist()):
            rest = data[depth * width : (depth + 1) * width]
            overlap = self._caches[agent].overlap(parents[depth], rest)
            shared[agent] = depth * self.block_size + overlap // _WIDTH
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
        ids = _encode(tokens)[:-1]
        data, width = ids.tobytes(), self._block_bytes
        key, root = self._key_of(salt)
        full = len(ids) // self.block_size
        names = self._holders.name(ids, min(full, cache.capacity), key)
        chain = [(name, data[k * width : (k + 1) * width]) for k, name in enumerate(names)]
        tail = data[full * width :] if len(chain) == full else b""
        gained, evicted = cache.hold(root, chain, tail)
        self._holders.hold(agent, gained)
        self._holders.release(agent, evicted)

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
        ids = _encode(tokens)
        if not 0 <= cached_tokens <= len(ids):
            raise PredictionError(
                f"`cached_tokens` must lie in [0, {len(ids)}], the prompt's length, not {cached_tokens}."
            )
        confirmed = cached_tokens // self.block_size
        if confirmed >= max(len(ids) - 1, 0) // self.block_size:
            return 0
        disproved = self._holders.name(ids, confirmed + 1, self._key_of(salt)[0])[-1]
        if disproved not in cache:
            return 0
        dropped = cache.drop(disproved)
        self._holders.release(agent, dropped)
        return len(dropped)

    def forget(self, agent: int) -> None:
        """Forget all that `agent` held: its engine was restarted or its cache reset.

        Raises:
            PredictionError: there is no such agent.
        """
        cache = self._cache(agent)
        self._holders.release(agent, cache.digests())
        self._caches[agent] = AgentCache(cache.capacity)

    def names(self, tokens: Tokens, salt: str = "") -> list[bytes]:
        """Names of the blocks that `insert` would record, for `drop` and `holds`.

        Raises:
            PredictionError: as `match` does.
        """
        ids = _encode(tokens)[:-1]
        return self._holders.name(ids, len(ids) // self.block_size, self._key_of(salt)[0])

    def holds(self, agent: int, name: bytes) -> bool:
        """Whether `agent` is believed to hold the block of this name.

        Raises:
            PredictionError: there is no such agent.
        """
        return name in self._cache(agent)

    def drop(self, agent: int, names: Sequence[bytes]) -> int:
        """Forget blocks that `agent` said it has removed, and what hangs from them; return how many went.

        Raises:
            PredictionError: there is no such agent.
        """
        cache = self._cache(agent)
        dropped = [gone for name in names if name in cache for gone in cache.drop(name)]
        self._holders.release(agent, dropped)
        return len(dropped)

    def resize(self, agent: int, capacity_blocks: int) -> None:
        """Let `agent` be believed to hold so many blocks at most, from the next `insert` on.

        Raises:
            PredictionError: there is no such agent, or it could hold nothing.
        """
        self._cache(agent).capacity = _capacities(1, capacity_blocks)[0]

    def held_blocks(self, agent: int) -> int:
        """Full blocks `agent` is believed to hold.

        Raises:
            PredictionError: there is no such agent.
        """
        return len(self._cache(agent))

    @property
    def _block_bytes(self) -> int:
        return self.block_size * _WIDTH

    def _cache(self, agent: int) -> AgentCache:
        if not 0 <= agent < self.agents:
            raise PredictionError(f"`agent` must lie in [0, {self.agents - 1}], not {agent}.")
        return self._caches[agent]

    def _key_of(self, salt: str) -> tuple[NDArray[np.uint64], bytes]:
        """The key that names are made under, shape (2,), and the name of the empty prefix."""
        if salt == "" and self._unsalted is not None:
            return self._unsalted
        # Hashing the salt first fixes its length, so no salt can pass for another and something after it.
        digest = hashlib.sha256(self._key + hashlib.sha256(salt.encode()).digest()).digest()
        key = np.array([int.from_bytes(digest[:8]), int.from_bytes(digest[8:16])], np.uint64)
        key.setflags(write=False)
        if salt == "":
            self._unsalted = key, digest[16:]
        return key, digest[16:]


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


def _encode(tokens: Tokens) -> NDArray[np.uint32]:
    """Token ids as a read-only array."""
    if isinstance(tokens, np.ndarray):
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
            raise PredictionError(f"token ids must be a 1-D array of integers, not {tokens.ndim}-D {tokens.dtype}.")
        if tokens.dtype != np.uint32 and tokens.size and not (tokens.min() >= 0 and tokens.max() < 1 << 8 * _WIDTH):
            raise PredictionError(f"token ids must lie in [0, 2**{8 * _WIDTH}).")
        encoded = tokens.astype(np.uint32)
        encoded.setflags(write=False)
        return encoded
    ids = array("I")
    try:
        ids.extend(tokens)
    except (OverflowError, TypeError) as error:
        raise PredictionError(f"token ids must be integers in [0, 2**{8 * _WIDTH}): {error}.") from error
    encoded = np.frombuffer(ids, np.uint32)
    encoded.setflags(write=False)
    return encoded


def _encode_all(prompts: Sequence[Tokens]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The token ids of all prompts, one after another, and where each begins, with where the last ends."""
    if len(prompts) == 1:
        ids = _encode(prompts[0])
        return ids, np.array([0, ids.size])
    kinds = {prompt.dtype if isinstance(prompt, np.ndarray) and prompt.ndim == 1 else None for prompt in prompts}
    alike = len(kinds) == 1 and None not in kinds
    parts = prompts if alike else [_encode(prompt) for prompt in prompts]
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    # Arrays of one type are checked all together.
    return _encode(np.concatenate(parts) if parts else np.empty(0, np.uint32)), offsets
