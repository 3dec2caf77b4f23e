"""What a server's KV cache holds, as its own events tell it: blocks by hash, who stored them, and what has gone.

Events name blocks by hashes that only the server can compute, so nobody here knows which text a block is of. What ties
the two is the request that stored it (`session_id` in the event): `stored` says which blocks those were.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Mapping, Sequence

from runtime.engines.engine import Stored

#: Requests whose blocks are remembered until somebody asks for them.
_SESSIONS = 4096
#: Blocks counted, and changes kept for whoever reads them: more than a cache of tens of millions of tokens has.
_MOST = 1 << 20


class KvBlocks:
    """The blocks of one server, from its events, as `CacheContents`.

    Example:
        >>> blocks = KvBlocks()
        >>> stored = {"type": "BlockStored", "block_hashes": [7, 8], "parent_block_hash": None, "block_size": 16}
        >>> blocks.apply([stored | {"session_id": "r1"}, {"type": "BlockRemoved", "block_hashes": [8]}])
        >>> blocks.stored("r1"), 7 in blocks, 8 in blocks, blocks.gone()
        (Stored(parent=None, blocks=(7, 8), size=16), True, False, [8])
    """

    def __init__(self) -> None:
        # One hash may be stored in several blocks, each of which is removed by itself.
        self._copies: dict[Hashable, int] = {}
        self._parents: dict[Hashable, Hashable] = {}
        self._sessions: OrderedDict[str, Stored] = OrderedDict()
        self._gone: deque[Hashable] = deque()
        self.heard = self.forgotten = 0

    def __len__(self) -> int:
        return len(self._copies)

    def __contains__(self, block: object) -> bool:
        return block in self._copies

    def apply(self, events: Sequence[object]) -> None:
        """Take note of a batch, as msgpack has it: maps with a `type`, or lists that begin with it.

        Raises:
            ValueError: an event is none.
        """
        self.heard += 1
        for event in events:
            told = _fields(event)
            kind = told["type"]
            if kind == "AllBlocksCleared":
                self.forget()
            elif told.get("group_idx") not in (None, 0) or told.get("medium") not in (None, "GPU"):
                # Other layers' blocks, and tiers behind the cache: neither decides how long a hit is.
                continue
            elif kind == "BlockStored":
                self._store(told)
            elif kind == "BlockRemoved":
                self._remove(_hashes(told))

    def stored(self, request: str) -> Stored | None:
        """The blocks that a request has filled, as far as was heard."""
        return self._sessions.get(request)

    def chain(self, block: Hashable) -> tuple[Hashable, ...]:
        """A block and those before it, the first of them first, as far as they are in the cache."""
        found = []
        while block in self._copies:
            found.append(block)
            block = self._parents.get(block)
        return tuple(reversed(found))

    def release(self, request: str) -> None:
        """Nobody will ask for a request's blocks again."""
        self._sessions.pop(request, None)

    def gone(self) -> list[Hashable]:
        """Blocks whose last copy was removed since this was last asked; see `forgotten` for all at once."""
        gone = [block for block in self._gone if block not in self._copies]
        self._gone.clear()
        return gone

    def forget(self) -> None:
        """Nothing is known any more."""
        self._copies.clear()
        self._parents.clear()
        self._sessions.clear()
        self._gone.clear()
        self.forgotten += 1
        self.heard += 1

    def _store(self, told: Mapping[str, object]) -> None:
        hashes, parent, size = _hashes(told), told.get("parent_block_hash"), told.get("block_size")
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"blocks of {size!r} tokens")
        before = parent
        for block in hashes:
            self._copies[block] = self._copies.get(block, 0) + 1
            if before is not None and block not in self._parents:
                self._parents[block] = before
            before = block
        if len(self._copies) > _MOST:
            self.forget()
            return
        session = told.get("session_id")
        if not isinstance(session, str):
            return
        known = self._sessions.get(session)
        if known is None:
            self._sessions[session] = Stored(parent, hashes, size)
            if len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
        elif known.size == size and parent == (known.blocks[-1] if known.blocks else known.parent):
            # Another answer to the same prompt begins elsewhere, and is left out.
            self._sessions[session] = Stored(known.parent, known.blocks + hashes, size)

    def _remove(self, hashes: Sequence[Hashable]) -> None:
        for block in hashes:
            copies = self._copies.get(block, 1) - 1
            if copies > 0:
                self._copies[block] = copies
                continue
            self._copies.pop(block, None)
            self._parents.pop(block, None)
            self._gone.append(block)
        if len(self._gone) > _MOST:
            self.forget()


#: Of the lists that vLLM published before events were maps, the first members.
_MEMBERS = {
    "BlockStored": ("type", "block_hashes", "parent_block_hash", "token_ids", "block_size", "lora_id", "medium"),
    "BlockRemoved": ("type", "block_hashes", "medium"),
    "AllBlocksCleared": ("type",),
}


def _fields(event: object) -> Mapping[str, object]:
    if isinstance(event, list) and event and event[0] in _MEMBERS:
        event = dict(zip(_MEMBERS[event[0]], event, strict=False))
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise ValueError("an event without a type")
    return event


def _hashes(told: Mapping[str, object]) -> tuple[Hashable, ...]:
    hashes = told.get("block_hashes")
    if not isinstance(hashes, list) or not all(isinstance(one, int | bytes) for one in hashes):
        raise ValueError("an event without block hashes")
    return tuple(hashes)
