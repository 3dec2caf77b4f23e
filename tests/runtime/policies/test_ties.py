"""What is believed of a cache whose engine says what it stores and removes."""

import numpy as np
import pytest

from prediction import PrefixIndex
from runtime.engines.engine import Completion
from runtime.engines.vllm.kv_blocks import KvBlocks
from runtime.policies.ties import Ties
from tests.runtime.engines.vllm.publisher import CLEARED, removed, stored

#: Blocks of 4 pieces here, of 4 tokens there.
BLOCK = 4


class Cache:
    """An index of one agent, its ties, and the engine's events."""

    def __init__(self, capacity: int = 100) -> None:
        self.index = PrefixIndex(1, BLOCK, capacity_blocks=capacity)
        self.blocks = KvBlocks()
        self.ties = Ties(self.index, 0, self.blocks, capacity)

    def serve(self, name: str, pieces: list[int], tokens: int, cached: int = 0) -> None:
        prompt = np.array(pieces, np.uint32)
        self.index.insert(0, prompt)
        self.ties.served(name, prompt, Completion("", tokens, cached, 1, 0.1, 0.2))

    def held(self, pieces: list[int]) -> int:
        return int(self.index.match(np.array(pieces, np.uint32))[0])


HELLO = list(range(17))


@pytest.mark.parametrize("first", ["events", "answer"])
def test_what_is_removed_is_believed_no_more(first: str) -> None:
    cache = Cache()
    if first == "events":
        cache.blocks.apply([stored(1, 2, 3, 4, session="a")])
    cache.serve("a", HELLO, 17)
    if first == "answer":
        cache.blocks.apply([stored(1, 2, 3, 4, session="a")])
        cache.ties.refresh()
    assert cache.held([*HELLO, 99]) == 16
    cache.blocks.apply([removed(3)])
    cache.ties.refresh()
    assert cache.held([*HELLO, 99]) == 8


def test_tokens_are_not_pieces() -> None:
    """17 pieces are 34 tokens: half a block of pieces in each block of tokens."""
    cache = Cache()
    cache.blocks.apply([stored(*range(1, 9), session="a")])
    cache.serve("a", HELLO, 34)
    held = []
    for block in (8, 7, 6, 5, 4):
        cache.blocks.apply([removed(block)])
        cache.ties.refresh()
        held.append(cache.held([*HELLO, 99]))
    assert held == [12, 12, 8, 8, 4]


def test_a_shared_beginning_stays_while_anybodys_blocks_do() -> None:
    cache = Cache()
    one, two = HELLO, [*HELLO[:8], *range(50, 59)]
    cache.blocks.apply([stored(1, 2, 3, 4, session="a")])
    cache.serve("a", one, 17)
    cache.blocks.apply([stored(13, 14, parent=2, session="b")])
    cache.serve("b", two, 17, cached=8)
    cache.blocks.apply([removed(4), removed(3)])
    cache.ties.refresh()
    assert (cache.held([*one, 99]), cache.held([*two, 99])) == (8, 16)
    cache.blocks.apply([removed(14), removed(13), removed(2)])
    cache.ties.refresh()
    assert (cache.held([*one, 99]), cache.held([*two, 99])) == (4, 4)


def test_what_was_cached_before_it_was_known_is_tied_by_its_ancestors() -> None:
    cache = Cache()
    cache.blocks.apply([stored(1, 2)])
    cache.blocks.apply([stored(3, 4, parent=2, session="a")])
    cache.serve("a", HELLO, 17, cached=8)
    held = []
    for block in (4, 3, 2, 1):
        cache.blocks.apply([removed(block)])
        cache.ties.refresh()
        held.append(cache.held([*HELLO, 99]))
    assert held == [12, 8, 4, 0]


def test_what_was_removed_before_the_answer_was_done_is_not_believed() -> None:
    cache = Cache()
    cache.blocks.apply([stored(1, 2, 3, 4, session="a"), removed(4), removed(3)])
    cache.serve("a", HELLO, 17)
    assert cache.held([*HELLO, 99]) == 8


def test_what_the_engine_keeps_is_believed_beyond_its_own_count() -> None:
    """Three pieces to a token: the engine holds three times as many pieces as it has blocks."""
    cache = Cache(capacity=4)
    long = list(range(40))
    for name in ("a", "b"):
        cache.blocks.apply([stored(1, 2, 3, session=name)])
        cache.serve(name, long, 13)
    assert cache.held([*long, 99]) == 36


@pytest.mark.parametrize("news", ["cleared", "lost"])
def test_a_cleared_cache_holds_nothing(news: str) -> None:
    cache = Cache()
    cache.blocks.apply([stored(1, 2, 3, 4, session="a")])
    cache.serve("a", HELLO, 17)
    if news == "cleared":
        cache.blocks.apply([CLEARED])
    else:
        cache.blocks.forget()
    cache.ties.refresh()
    assert cache.held([*HELLO, 99]) == 0 and len(cache.ties) == 0


def test_an_engine_without_sessions_is_believed_as_before() -> None:
    cache = Cache()
    cache.blocks.apply([stored(1, 2, 3, 4)])
    cache.serve("a", HELLO, 17)
    cache.blocks.apply([removed(4)])
    cache.ties.refresh()
    assert cache.held([*HELLO, 99]) == 16 and len(cache.ties) == 0


def test_memory_is_bounded() -> None:
    cache = Cache(capacity=8)
    rng = np.random.default_rng(0)
    for n in range(500):
        some = rng.integers(0, 1 << 30, 17).tolist()
        if n % 2:
            cache.blocks.apply([stored(*(100 * n + k for k in range(4)), session=f"s{n}")])
        cache.serve(f"s{n}", some, 17)
    assert len(cache.ties) <= 2 * 4 * 8 + 4 and len(cache.ties._waiting) <= 256
    assert set(cache.ties._names) == {block for blocks in cache.ties._blocks.values() for block in blocks}
    assert cache.index.held_blocks(0) <= 4 * 8
