import doctest
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from prediction import PredictionError, PrefixIndex

# Two letters and small blocks make shared prefixes, partial blocks and evictions common.
sequences = st.lists(st.integers(0, 1), max_size=14)
salts = st.sampled_from(["", "tenant"])


def common(a, b):
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


@settings(deadline=None)
@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 2), sequences, salts), max_size=12), sequences, salts)
def test_match_agrees_with_sets_of_whole_prefixes(block, history, query, salt):
    index = PrefixIndex(3, block)
    held = [set() for _ in range(3)]
    for agent, tokens, its_salt in history:
        index.insert(agent, tokens, its_salt)
        kept = tokens[:-1]
        held[agent] |= {(its_salt, tuple(kept[:end])) for end in range(block, len(kept) + 1, block)}
    expected = []
    for prefixes in held:
        cached = 0
        while cached + block <= len(query) - 1 and (salt, tuple(query[: cached + block])) in prefixes:
            cached += block
        expected.append(cached)
    assert index.match(query, salt).tolist() == expected


@settings(deadline=None)
@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 2), sequences, salts), max_size=12), sequences, salts)
def test_longest_common_prefix_agrees_with_comparing_every_sequence(block, history, query, salt):
    index = PrefixIndex(3, block)
    expected = [0, 0, 0]
    for agent, tokens, its_salt in history:
        index.insert(agent, tokens, its_salt)
        if its_salt == salt:
            expected[agent] = max(expected[agent], common(tokens[:-1], query))
    assert index.longest_common_prefix(query, salt).tolist() == expected


@settings(deadline=None)
@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 2), sequences, salts), max_size=12),
    st.lists(st.tuples(sequences, salts), max_size=6),
    st.booleans(),
)
def test_a_round_is_answered_as_each_prompt_is(block, history, queries, arrays):
    index = PrefixIndex(3, block)
    for agent, tokens, salt in history:
        index.insert(agent, tokens, salt)
    prompts = [np.array(tokens, np.int32) if arrays else tokens for tokens, _ in queries]
    together = index.match_many(prompts, [salt for _, salt in queries])
    assert together.shape == (len(queries), 3) and together.dtype == np.int64
    assert together.tolist() == [index.match(tokens, salt).tolist() for tokens, salt in queries]
    assert np.array_equal(index.match_many(prompts), index.match_many(prompts, [""] * len(prompts)))


def test_a_round_needs_a_salt_for_each_prompt():
    with pytest.raises(PredictionError, match="salt"):
        PrefixIndex(1, 4).match_many([[1], [2]], ["a"])


class VllmQueue:
    """vLLM's free queue, block by block: hits leave it, allocation pops its head, freeing returns the tail first.

    Only what the index leaves out is left out here: blocks already held are never computed twice.
    """

    def __init__(self, capacity, block):
        self.block = block
        self.queue = [None] * capacity  # the prefix each free physical block still holds, if any

    def serve(self, tokens):
        kept = tuple(tokens[:-1])
        chain = [kept[:end] for end in range(self.block, len(kept) + 1, self.block)]
        if -(-len(kept) // self.block) > len(self.queue):
            return False
        for prefix in chain:
            if prefix in self.queue:
                self.queue.remove(prefix)
            else:
                self.queue_pop(chain)
        partial = len(kept) % self.block > 0
        if partial:
            self.queue_pop(chain)
        self.queue = [None] * partial + self.queue + chain[::-1]
        return True

    def queue_pop(self, chain):
        # Hits are touched before anything is allocated.
        self.queue.remove(next(prefix for prefix in self.queue if prefix not in chain))

    def match(self, tokens):
        cached = 0
        while cached + self.block < len(tokens) and tuple(tokens[: cached + self.block]) in self.queue:
            cached += self.block
        return cached


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 6), st.lists(sequences, max_size=20), st.lists(sequences, max_size=4))
def test_eviction_follows_vllms_free_queue(block, capacity, history, queries):
    index = PrefixIndex(1, block, capacity_blocks=capacity)
    engine = VllmQueue(capacity, block)
    for tokens in history:
        if engine.serve(tokens):
            index.insert(0, tokens)
    assert index.held_blocks(0) == sum(prefix is not None for prefix in engine.queue)
    for query in queries + history:
        assert index.match(query).tolist() == [engine.match(query)]


class Bookkeeping(RuleBasedStateMachine):
    """Whatever the order of calls, memory stays bounded and no trace of what was dropped remains."""

    def __init__(self):
        super().__init__()
        self.index = PrefixIndex(2, 2, capacity_blocks=[3, 5])

    @rule(agent=st.integers(0, 1), tokens=sequences, salt=salts)
    def insert(self, agent, tokens, salt):
        self.index.insert(agent, tokens, salt)
        kept = max(len(tokens) - 1, 0) // 2
        reach = self.index.match([*tokens[:-1], 9], salt)[agent]
        assert reach == 2 * min(kept, [3, 5][agent])

    @rule(agent=st.integers(0, 1), tokens=sequences, share=st.floats(0, 1), salt=salts)
    def observe(self, agent, tokens, share, salt):
        cached = int(share * len(tokens))
        before = self.index.match(tokens, salt)
        dropped = self.index.observe(agent, tokens, cached, salt)
        after = self.index.match(tokens, salt)
        assert after[agent] == min(before[agent], cached // 2 * 2)
        assert after[1 - agent] == before[1 - agent]
        assert dropped >= (before[agent] - after[agent]) // 2

    @rule(agent=st.integers(0, 1))
    def forget(self, agent):
        self.index.forget(agent)
        assert self.index.held_blocks(agent) == 0

    @invariant()
    def nothing_leaks(self):
        for agent, cache in enumerate(self.index._caches):
            held = set(cache.digests())
            assert len(held) <= cache.capacity and len(cache._tails) <= cache.capacity
            assert held == {digest for digest, mask in self.index._holders.items() if mask >> agent & 1}
            linked = [entry for entries in cache._branches.values() for entry in entries]
            assert len(linked) == len(held) + len(cache._tails)
            assert all(cache._branches.values())
        assert all(mask for _, mask in self.index._holders.items())
        assert len(self.index._holders) == len(list(self.index._holders.items()))


Bookkeeping.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestBookkeeping = Bookkeeping.TestCase


@pytest.mark.parametrize(("length", "cached"), [(97, 96), (96, 64), (33, 32), (32, 0), (1, 0)])
def test_a_repeated_prompt_reports_what_vllm_measured(length, cached):
    prompt = list(range(length))
    index = PrefixIndex(1, 32)
    assert index.match(prompt).tolist() == [0]
    index.insert(0, [*prompt, 7])
    assert index.match(prompt).tolist() == [cached]


def test_a_growing_dialogue_reports_what_vllm_measured():
    index = PrefixIndex(1, 32)
    text = list(range(148))
    cached = []
    for prompt, end in ((100, 116), (125, 141), (148, 149)):
        cached += index.match(text[:prompt]).tolist()
        index.insert(0, [*text, 999][:end])
    assert cached == [0, 96, 128]


def test_generated_tokens_count_and_the_last_one_does_not():
    index = PrefixIndex(1, 4)
    index.insert(0, [1, 2, 3, 4, 5, 6, 7, 8])
    assert index.match([1, 2, 3, 4, 5, 6, 7, 8, 9]).tolist() == [4]
    assert index.longest_common_prefix([1, 2, 3, 4, 5, 6, 7, 8, 9]).tolist() == [7]


def test_salts_isolate_tenants():
    index = PrefixIndex(2, 4)
    index.insert(0, range(20), salt="a")
    assert index.match(range(20), salt="a").tolist() == [16, 0]
    for other in ("", "b"):
        assert index.match(range(20), salt=other).tolist() == [0, 0]
        assert index.longest_common_prefix(range(20), salt=other).tolist() == [0, 0]


def test_a_full_cache_gives_up_the_oldest_tail_first():
    index = PrefixIndex(1, 1, capacity_blocks=6)
    index.insert(0, [1, 2, 3, 4, 0])
    index.insert(0, [5, 6, 7, 0])
    assert index.held_blocks(0) == 6
    assert index.match([1, 2, 3, 4, 9]).tolist() == [3]
    assert index.match([5, 6, 7, 9]).tolist() == [3]


def test_touching_a_prefix_saves_it():
    index = PrefixIndex(1, 1, capacity_blocks=6)
    index.insert(0, [1, 2, 3, 0])
    index.insert(0, [5, 6, 7, 0])
    index.insert(0, [1, 2, 3, 0])
    index.insert(0, [8, 9, 0])
    assert index.match([1, 2, 3, 9]).tolist() == [3]
    assert index.match([5, 6, 7, 9]).tolist() == [1]


def test_memory_is_bounded_for_endless_short_prompts():
    index = PrefixIndex(1, 16, capacity_blocks=8)
    for k in range(1000):
        index.insert(0, [k, k, k])
    cache = index._caches[0]
    assert len(cache._tails) == 8
    assert sum(map(len, cache._branches.values())) == 8
    assert not index._holders


def test_a_longer_sequence_than_the_cache_keeps_its_head():
    index = PrefixIndex(1, 4, capacity_blocks=2)
    index.insert(0, range(100))
    assert index.match(range(100)).tolist() == [8]
    assert index.longest_common_prefix(range(100)).tolist() == [8]


def test_observe_drops_the_disproved_suffix_and_all_that_hangs_from_it():
    index = PrefixIndex(2, 4)
    for agent in (0, 1):
        index.insert(agent, range(21))
        index.insert(agent, [*range(12), *range(50, 62)])
    assert index.observe(0, range(21), 20) == 0
    assert index.observe(0, range(21), 4) == 6
    assert index.match(range(21)).tolist() == [4, 20]
    assert index.match([*range(12), *range(50, 62)]).tolist() == [4, 20]
    assert index.longest_common_prefix(range(21)).tolist() == [4, 20]


def test_observe_ignores_the_block_that_is_always_recomputed():
    index = PrefixIndex(1, 4)
    index.insert(0, range(9))
    assert index.observe(0, range(8), 4) == 0
    assert index.match(range(9)).tolist() == [8]


def test_forget_touches_one_agent_only():
    index = PrefixIndex(2, 4)
    index.insert(0, range(10))
    index.insert(1, range(10))
    index.forget(0)
    assert index.match(range(10)).tolist() == [0, 8]
    assert index.longest_common_prefix(range(10)).tolist() == [0, 9]


def test_many_agents_fit_the_mask():
    index = PrefixIndex(130, 4)
    for agent in range(0, 130, 3):
        index.insert(agent, range(4 * agent // 3 + 5))
    expected = [4 * (agent // 3) + 4 if agent % 3 == 0 else 0 for agent in range(130)]
    assert index.match(range(1000)).tolist() == expected


def test_arrays_tuples_and_lists_are_the_same_tokens():
    index = PrefixIndex(1, 4)
    index.insert(0, np.arange(9, dtype=np.int32))
    for tokens in (list(range(9)), tuple(range(9)), range(9), np.arange(9), np.arange(9, dtype=np.uint8)):
        assert index.match(tokens).tolist() == [8]


@pytest.mark.parametrize(
    "tokens", [[1, -1], [1 << 32], [1.5], ["a"], "text", [None], np.array([-1]), np.array([1.0]), np.zeros((2, 2), int)]
)
def test_bad_tokens_are_refused(tokens):
    index = PrefixIndex(1, 4)
    for call in (
        index.match,
        index.longest_common_prefix,
        lambda t: index.match_many([t]),
        lambda t: index.match_many([[1], t]),
        lambda t: index.insert(0, t),
        lambda t: index.observe(0, t, 0),
    ):
        with pytest.raises(PredictionError, match="token ids"):
            call(tokens)


@pytest.mark.parametrize("agent", [-1, 2])
def test_agents_out_of_range_are_refused(agent):
    index = PrefixIndex(2, 4)
    for call in (
        lambda: index.insert(agent, [1]),
        lambda: index.observe(agent, [1], 0),
        lambda: index.forget(agent),
        lambda: index.held_blocks(agent),
    ):
        with pytest.raises(PredictionError, match="agent"):
            call()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"agents": 0, "block_size": 1}, "agents"),
        ({"agents": 1, "block_size": 0}, "block_size"),
        ({"agents": 1, "block_size": 1, "capacity_blocks": 0}, "capacity_blocks"),
        ({"agents": 2, "block_size": 1, "capacity_blocks": [1]}, "capacity_blocks"),
        ({"agents": 2, "block_size": 1, "capacity_blocks": [1, 0]}, "agent 1"),
    ],
)
def test_bad_sizes_are_refused(arguments, name):
    with pytest.raises(PredictionError, match=name):
        PrefixIndex(**arguments)


@pytest.mark.parametrize("cached", [-1, 3])
def test_an_impossible_report_is_refused(cached):
    with pytest.raises(PredictionError, match="cached_tokens"):
        PrefixIndex(1, 1).observe(0, [1, 2], cached)


def test_the_documented_example_runs():
    result = doctest.testmod(sys.modules[PrefixIndex.__module__])
    assert result.attempted and not result.failed


def test_drop_forgets_what_an_engine_removed_and_all_that_hangs_from_it():
    index = PrefixIndex(2, 4)
    for agent in (0, 1):
        index.insert(agent, range(17))
    first, second, third, _ = names = index.names(range(17))
    assert index.drop(0, [third, third, b"unknown"]) == 2
    assert [index.holds(0, name) for name in names] == [True, True, False, False]
    assert index.match(range(18)).tolist() == [8, 16]
    assert index.drop(0, [second, first]) == 2 and index.held_blocks(0) == 0


def test_resize_takes_effect_at_the_next_insert():
    index = PrefixIndex(1, 4, capacity_blocks=2)
    index.insert(0, range(17))
    assert index.held_blocks(0) == 2
    index.resize(0, 4)
    index.insert(0, range(17))
    assert index.held_blocks(0) == 4
    index.resize(0, 1)
    index.insert(0, [7])
    assert index.held_blocks(0) == 1 and index.match(range(18)).tolist() == [4]
    with pytest.raises(PredictionError):
        index.resize(0, 0)
