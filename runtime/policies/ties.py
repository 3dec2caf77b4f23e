"""`Ties`: which pieces of which prompts lie in which blocks of a cache whose engine says when they go.

The index of prefixes knows pieces of prompts, the engine's events name blocks of tokens that nobody here has seen. A
request ties the two: the engine says which blocks it filled, its usage how many tokens it had and how many of them were
cached. What lies at the same share of the prompt is taken to be the same text. A piece is believed to be cached as long
as one of the blocks that it was tied to is; when the last has gone, so has it, and whatever followed it.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from math import ceil

from prediction import PrefixIndex, Tokens
from runtime.engines.engine import CacheContents, Completion, Stored

#: Requests that are done and whose blocks were not heard of yet.
_WAITING = 256
#: Pieces may be so many times as many as tokens: what the engine says goes is gone, not what was counted here.
_SPARE = 4
#: Blocks that one piece is remembered to be tied to: those that follow it in different conversations.
_BLOCKS = 8


@dataclass(frozen=True, slots=True)
class _Done:
    """A request that was served: the names of its pieces, in order, and its tokens."""

    names: tuple[bytes, ...]
    pieces: int
    prompt: int
    cached: int


class Ties:
    """Ties of one agent.

    Args:
        index, agent: where beliefs about it are kept.
        contents: what it publishes.
        capacity: blocks that its cache has.
    """

    def __init__(self, index: PrefixIndex, agent: int, contents: CacheContents, capacity: int) -> None:
        self._index, self._agent, self._contents, self._capacity = index, agent, contents, capacity
        self._heard, self._forgotten = contents.heard, contents.forgotten
        #: Tokens of its blocks, as far as known.
        self._size = 1
        self._waiting: OrderedDict[str, _Done] = OrderedDict()
        self._names: dict[Hashable, set[bytes]] = {}
        self._blocks: dict[bytes, OrderedDict[Hashable, None]] = {}

    def __len__(self) -> int:
        return len(self._blocks)

    def served(self, request: str, prompt: Tokens, completion: Completion) -> None:
        """A request was served whose prompt the index has just learnt."""
        names = tuple(self._index.names(prompt))
        done = _Done(names, len(prompt), completion.prompt_tokens, completion.cached_tokens)
        if done.prompt - done.cached < self._size:
            # It filled no block of its own.
            self._contents.release(request)
            return
        self._waiting[request] = done
        if len(self._waiting) > _WAITING:
            self._tie(*self._waiting.popitem(last=False))
        self._settle([(request, done)] if request in self._waiting else [])

    def refresh(self) -> None:
        """Forget what the agent has removed, and tie what it has stored."""
        contents = self._contents
        if contents.heard == self._heard:
            return
        self._heard = contents.heard
        if contents.forgotten != self._forgotten:
            self._forgotten = contents.forgotten
            self._index.forget(self._agent)
            self._index.resize(self._agent, self._capacity)
            self._names.clear()
            self._blocks.clear()
            # What was served before says nothing of the cache as it is now.
            self._waiting.clear()
        lost = [name for block in contents.gone() for name in self._untie(block)]
        if lost:
            self._index.drop(self._agent, lost)
        self._settle(list(self._waiting.items()))

    def _settle(self, some: list[tuple[str, _Done]]) -> None:
        """Tie those whose blocks have all been heard of."""
        for request, done in some:
            stored = self._contents.stored(request)
            if stored is not None and done.cached + len(stored.blocks) * stored.size > done.prompt - stored.size:
                del self._waiting[request]
                self._tie(request, done)

    def _tie(self, request: str, done: _Done) -> None:
        stored = self._contents.stored(request)
        self._contents.release(request)
        if stored is None or not stored.blocks or (stored.parent is not None and not done.cached):
            # It filled no block, or does not say how many it found.
            return
        self._size = stored.size
        before = () if stored.parent is None else self._contents.chain(stored.parent)
        first = 0 if stored.parent is None else done.cached - len(before) * stored.size
        whole = Stored(None, before + stored.blocks, stored.size)
        lost = []
        for name, block in zip(done.names, _blocks_of(done, whole, first, self._index.block_size), strict=True):
            if block is None:
                continue
            if block in self._contents:
                self._link(name, block)
            elif name not in self._blocks:
                lost.append(name)
        self._index.drop(self._agent, lost)
        self._index.resize(self._agent, _SPARE * self._capacity)
        if len(self._blocks) > 2 * _SPARE * self._capacity:
            self._prune()

    def _link(self, name: bytes, block: Hashable) -> None:
        blocks = self._blocks.setdefault(name, OrderedDict())
        blocks[block] = None
        blocks.move_to_end(block)
        self._names.setdefault(block, set()).add(name)
        if len(blocks) > _BLOCKS:
            oldest, _ = blocks.popitem(last=False)
            self._unname(oldest, name)

    def _untie(self, block: Hashable) -> list[bytes]:
        """Names that were tied to a block, and are to none any more."""
        lost = []
        for name in self._names.pop(block, ()):
            blocks = self._blocks[name]
            del blocks[block]
            if not blocks:
                del self._blocks[name]
                lost.append(name)
        return lost

    def _unname(self, block: Hashable, name: bytes) -> None:
        names = self._names[block]
        names.discard(name)
        if not names:
            del self._names[block]

    def _prune(self) -> None:
        """Drop ties of what the index has forgotten by itself."""
        for name in [name for name in self._blocks if not self._index.holds(self._agent, name)]:
            for block in self._blocks.pop(name):
                self._unname(block, name)


def _blocks_of(done: _Done, stored: Stored, first: int, size: int) -> list[Hashable | None]:
    """For each of a prompt's blocks of pieces the block of tokens in which it ends; None for what was before them.

    `first` is the number of the first token in the blocks that were stored.
    """
    places = [
        ceil(((q + 1) * size * done.prompt / done.pieces - first) / stored.size) - 1 for q in range(len(done.names))
    ]
    return [None if place < 0 else stored.blocks[min(place, len(stored.blocks) - 1)] for place in places]
