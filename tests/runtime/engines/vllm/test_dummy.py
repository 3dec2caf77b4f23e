"""vLLM's own prefix cache, watched through an engine with random weights: the truth that a simulation must match."""

from typing import Any

import pytest

from runtime.engines.vllm.process import find_python
from tests.runtime.engines.vllm.dummy_engine import replay

pytestmark = pytest.mark.vllm

BLOCK, BLOCKS = 32, 20
A = list(range(3, 103))
B = list(range(103, 603))
TRACE = [A, A, A[:96], [*A, *range(900, 960)], A[:33], A[:32], B, A]


@pytest.fixture(scope="module")
def answer() -> dict[str, Any]:
    requests = [{"prompt": prompt, "max_tokens": 4} for prompt in TRACE]
    return replay(find_python(None), {"requests": requests, "block_size": BLOCK, "cache_blocks": BLOCKS})


def cached(answer: dict[str, Any]) -> list[int]:
    return [request["cached_tokens"] for request in answer["requests"]]


def test_the_engine_has_the_cache_that_was_asked_for(answer: dict[str, Any]) -> None:
    assert (answer["block_size"], answer["cache_blocks"]) == (BLOCK, BLOCKS)


def test_only_full_blocks_count_and_the_last_token_is_recomputed(answer: dict[str, Any]) -> None:
    assert cached(answer)[:7] == [0, 96, 64, 96, 32, 0, 0]


def test_of_a_prefix_the_tail_is_evicted_first(answer: dict[str, Any]) -> None:
    # One of the 20 blocks is vLLM's own. B takes 16 of 19: the 12 never hashed, the two that only the longer
    # prompt used, and both copies of A's third block, which were freed before its second and first.
    assert cached(answer)[7] == 64


def test_equal_prompts_get_equal_answers(answer: dict[str, Any]) -> None:
    first, second = answer["requests"][0], answer["requests"][1]
    assert first["output"] == second["output"]
    assert len(first["output"]) == 4


def test_the_counters_agree(answer: dict[str, Any]) -> None:
    assert answer["queries"] == sum(map(len, TRACE))
    assert answer["hits"] == sum(cached(answer))
