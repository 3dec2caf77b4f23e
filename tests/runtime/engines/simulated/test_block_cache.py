import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.engines.simulated.block_cache import BlockCache, Holding


def serve(cache: BlockCache, prompt: list[int], answer: list[int]) -> int:
    """One request alone: prompt in one step, then token by token, as an engine would."""
    holding = cache.admit(prompt)
    assert holding is not None
    cached = holding.cached_tokens
    cache.reserve(holding, len(prompt))
    for token in answer[:-1]:
        holding.names.extend([token])
        prompt = [*prompt, token]
        cache.reserve(holding, len(prompt))
    cache.release(holding)
    return cached


def test_a_repeat_loses_the_block_with_its_last_token() -> None:
    for length, block, expected in [(97, 32, 96), (96, 32, 64), (33, 16, 32), (32, 16, 16), (5, 16, 0)]:
        cache = BlockCache(64, block)
        prompt = list(range(length))
        assert serve(cache, prompt, [1]) == 0
        assert serve(cache, prompt, [1]) == expected


def test_a_growing_conversation_reuses_what_was_generated_but_its_last_token() -> None:
    cache = BlockCache(64, 32)
    first = list(range(100))
    answer = list(range(1000, 1030))
    assert serve(cache, first, answer) == 0
    assert serve(cache, [*first, *answer, *range(2000, 2020)], [7]) == (100 + 29) // 32 * 32


def test_the_tail_of_a_conversation_is_evicted_before_its_head() -> None:
    cache = BlockCache(1 + 4, 4)
    old = list(range(17))
    serve(cache, old[:16], [1])
    assert cache.cached_tokens(old) == 16
    serve(cache, [90, 91, 92, 93, 94], [1])
    assert cache.cached_tokens(old) == 8


def test_a_request_that_does_not_fit_waits_and_changes_nothing() -> None:
    cache = BlockCache(1 + 4, 4)
    running = cache.admit(list(range(12)))
    assert running is not None
    cache.reserve(running, 12)
    assert cache.admit(list(range(100, 108))) is None
    assert cache.free == 1
    assert cache.admit([*range(12), 50]) is not None


def test_shared_blocks_stay_until_their_last_user_is_gone() -> None:
    cache = BlockCache(1 + 6, 4)
    one = cache.admit(list(range(9)))
    assert one is not None
    cache.reserve(one, 9)
    two = cache.admit([*range(8), 77])
    assert two is not None
    assert two.cached_tokens == 8
    cache.reserve(two, 9)
    cache.release(one)
    assert cache.free == 6 - 3
    cache.release(two)
    assert cache.free == 6
    assert cache.cached_tokens(list(range(9))) == 8


def test_a_real_engine_found_the_same() -> None:
    # Recorded from vLLM 0.32.0 by tests.runtime.engines.vllm.dummy_engine.replay with block_size 32, cache_blocks 12
    # and prompts range(first, first + length), one request after the other: first, length, max_tokens, cached_tokens.
    recorded = [
        (400, 200, 20, 0), (100, 300, 1, 0), (100, 65, 1, 64), (400, 300, 1, 32), (700, 64, 20, 0), (100, 32, 20, 0),
        (100, 256, 4, 32), (100, 256, 1, 224), (100, 65, 20, 64), (700, 65, 1, 32), (100, 32, 1, 0), (100, 65, 1, 64),
        (400, 200, 1, 0), (100, 65, 20, 64), (100, 256, 4, 64), (100, 200, 4, 192),
    ]  # fmt: skip
    cache = BlockCache(12, 32)
    unlike_any_prompt = iter(range(10_000, 20_000))
    for first, length, output, cached in recorded:
        answer = [next(unlike_any_prompt) for _ in range(output)]
        assert serve(cache, list(range(first, first + length)), answer) == cached


def test_the_same_content_in_two_blocks_survives_the_loss_of_one() -> None:
    cache = BlockCache(1 + 3, 4)
    same = [1, 2, 3, 4]
    one, two = cache.admit(same), cache.admit(same)
    assert one is not None
    assert two is not None
    cache.reserve(one, 4)
    cache.reserve(two, 4)
    cache.release(one)
    cache.release(two)
    serve(cache, [9, 9, 9, 9, 9], [1])
    assert cache.cached_tokens([*same, 5]) == 4


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_blocks_are_never_lost_or_shared_by_accident(data: st.DataObject) -> None:
    blocks, size = data.draw(st.integers(3, 9)), data.draw(st.integers(1, 3))
    cache = BlockCache(blocks, size)
    held: list[tuple[Holding, list[int]]] = []
    for _ in range(data.draw(st.integers(1, 30))):
        if held and data.draw(st.booleans()):
            cache.release(held.pop(data.draw(st.integers(0, len(held) - 1)))[0])
        else:
            prompt = data.draw(st.lists(st.integers(0, 1), min_size=1, max_size=size * (blocks - 1)))
            promised = cache.cached_tokens(prompt)
            holding = cache.admit(prompt)
            if holding is not None:
                assert holding.cached_tokens == promised < len(prompt)
                assert cache.reserve(holding, len(prompt))
                held.append((holding, prompt))
        in_use = {block for holding, _ in held for block in holding.blocks}
        assert cache.free == blocks - 1 - len(in_use)
        assert 0 not in in_use
        for holding, prompt in held:
            assert len(holding.blocks) == -(-len(prompt) // size)
    for holding, _ in held:
        cache.release(holding)
    assert cache.free == blocks - 1


def test_hits_equal_a_model_that_keeps_whole_prefixes_while_nothing_is_evicted() -> None:
    rng = np.random.default_rng(3)
    cache, seen = BlockCache(4000, 4), set()
    for _ in range(150):
        prompt = rng.integers(0, 2, rng.integers(1, 30)).tolist()
        expected = max((k for k in range(0, len(prompt), 4) if tuple(prompt[:k]) in seen or k == 0), default=0)
        assert serve(cache, prompt, [1]) == expected
        seen |= {tuple(prompt[:k]) for k in range(4, len(prompt) + 1, 4)}
