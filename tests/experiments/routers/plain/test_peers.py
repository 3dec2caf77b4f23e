"""Each project's rule, by hand."""

from collections import Counter
from dataclasses import replace

import pytest

from experiments.routers.plain.peers import ByText, production_stack, ray_prefix, sglang, vllm_cache_aware
from runtime import Policy
from tests.experiments.routers.plain.talks import asked, attached, chosen, given, idle

TEXT = "a long question about the ferries of a harbour town and their times, asked again and again by those who wait"
FIRST, AGAIN = asked("r", TEXT), asked("s", TEXT, "at two", "and on Sundays?")
#: Shares a fifth with `FIRST`.
FIFTH = asked("t", TEXT[:25] + "x" * 100)


def told(policy: Policy, at: int = 2) -> Policy:
    given(attached(policy), FIRST, at)
    return policy


@pytest.mark.parametrize("make", [vllm_cache_aware, sglang])
def test_above_the_threshold_affinity_holds_until_both_bounds_of_imbalance_are_passed(make: type[ByText]) -> None:
    made = told(make())  # type: ignore[call-arg]
    assert chosen(made, AGAIN, inflight=[0, 0, 64]) == 2
    assert chosen(made, AGAIN, inflight=[1, 0, 65]) == 1
    # 70 more, but not half as many again.
    assert chosen(made, AGAIN, inflight=[200, 200, 270]) == 2


def test_below_the_threshold_vllm_goes_by_load_and_sglang_by_the_smallest_tree() -> None:
    assert chosen(told(vllm_cache_aware()), FIFTH, inflight=[3, 2, 9]) == 1
    made = told(sglang(), 0)
    given(made, asked("u", "short"), 2)
    assert chosen(made, FIFTH, inflight=[0, 9, 0]) == 1
    given(made, asked("v", "somewhat longer"), 1)
    assert chosen(made, FIFTH, inflight=[0, 9, 9]) == 2


def test_of_those_that_know_a_prompt_as_well_the_one_that_had_it_last() -> None:
    made = told(vllm_cache_aware(), 2)
    given(made, FIRST, 1)
    assert chosen(made, AGAIN) == 1
    given(made, FIRST, 2)
    assert chosen(made, AGAIN) == 2
    assert chosen(made, AGAIN, alive=[True, True, False]) == 1


def test_within_a_round_what_came_before_counts_and_to_decide_leaves_nothing_behind() -> None:
    made = attached(vllm_cache_aware())
    offers = [FIRST, asked("u", "wholly different"), AGAIN]
    for _ in range(2):
        # Nobody has anything: the first goes to the first, the second to the next, the third where the first went.
        assert made.decide(offers, idle()).agents.tolist() == [0, 1, 0]
    assert made.decide([AGAIN], idle(inflight=[1, 0, 0])).agents.tolist() == [1]


def test_who_was_given_a_prompt_in_this_round_had_it_last() -> None:
    made = told(vllm_cache_aware(), 2)
    elsewhere = replace(asked("u", TEXT), refused=frozenset({1, 2}))
    assert made.decide([elsewhere, AGAIN], idle()).agents.tolist() == [0, 0]
    assert chosen(made, AGAIN) == 2


def test_text_that_was_given_out_in_this_round_is_in_the_tree() -> None:
    offers = [asked(f"r{k}", f"{k}, unlike the others") for k in range(3)]
    assert attached(sglang()).decide(offers, idle()).agents.tolist() == [0, 1, 2]


def test_ray_looks_for_a_tenth_of_the_prompt_and_gives_up_affinity_above_a_difference_of_ten() -> None:
    made = told(ray_prefix())
    # A fifth is enough for it.
    assert chosen(made, FIFTH, inflight=[0, 0, 10]) == 2
    found = Counter(chosen(made, asked(f"s{k}", TEXT, "at two", f"and {k}?"), inflight=[4, 0, 11]) for k in range(60))
    # Power of two choices: never the busiest.
    assert found[2] == 0 and found[0] > 5 and found[1] > 25


def test_ray_gives_what_nobody_knows_to_those_that_were_given_least_text() -> None:
    made = told(ray_prefix(), 0)
    assert chosen(made, asked("u", "not at all alike"), inflight=[0, 2, 1]) == 2
    assert chosen(made, asked("u", "not at all alike"), inflight=[0, 1, 2]) == 1


def test_production_stack_compares_whole_chunks_and_never_load() -> None:
    made = attached(production_stack())
    long = "0123456789abcdef" * 16
    given(made, asked("r", long), 2)
    assert {chosen(made, asked(f"s{k}", long[:200] + "?"), inflight=[0, 0, 500]) for k in range(20)} == {2}
    # Less than a chunk in common is nothing in common.
    spread = Counter(chosen(made, asked(f"s{k}", long[:127] + "?" * 80), inflight=[0, 0, 500]) for k in range(60))
    assert min(spread[j] for j in range(3)) > 5


def test_a_prompt_without_text_goes_somewhere() -> None:
    for made in (vllm_cache_aware(), sglang(), ray_prefix(), production_stack()):
        assert chosen(attached(made), asked("r", "")) in (0, 1, 2)


def test_what_is_remembered_is_bounded() -> None:
    made = ByText("small", vllm_cache_aware()._choose, most=200)
    made.attach([*range(3)])  # type: ignore[list-item]
    for k in range(50):
        given(made, asked(f"r{k}", f"{k} {TEXT}"), 1)
    assert 0 < made._tree.stored[1] <= 200
