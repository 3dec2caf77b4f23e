from collections import Counter

import pytest

from experiments.routers.plain.spread import RoundRobin, least_loaded, power_of_two, random
from runtime import Decided, Policy
from tests.experiments.routers.plain.talks import asked, attached, chosen, idle


def test_round_robin_takes_turns() -> None:
    offers = [asked(f"r{k}", "x") for k in range(7)]
    assert attached(RoundRobin()).decide(offers, idle()).agents.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_round_robin_goes_on_after_what_was_given_out_and_not_after_what_was_asked() -> None:
    made = attached(RoundRobin())
    first, second = asked("a", "x"), asked("b", "x")
    for _ in range(3):
        assert made.decide([first], idle()).agents.tolist() == [0]
    made.notice(Decided(0.0, first, 0, 0, None, None))
    assert made.decide([second], idle()).agents.tolist() == [1]


@pytest.mark.parametrize("make", [random, power_of_two])
def test_draws_reach_everybody_repeat_themselves_and_follow_the_seed(make: type[Policy]) -> None:
    offers = [asked(f"r{k}", "x") for k in range(60)]
    one, two, other = (
        [chosen(attached(make(seed)), each) for each in offers]  # type: ignore[call-arg]
        for seed in (3, 3, 4)
    )
    assert one == two != other
    assert min(Counter(one)[j] for j in range(3)) > 5


def test_power_of_two_never_takes_the_busiest_and_not_always_the_idlest() -> None:
    made = attached(power_of_two(0))
    found = Counter(chosen(made, asked(f"r{k}", "x"), inflight=[5, 1, 9]) for k in range(90))
    # Agent 1 is in two of three pairs, agent 0 is the lesser of one, agent 2 of none.
    assert found[2] == 0 and 45 < found[1] < 75 and found[0] == 90 - found[1]
    assert chosen(made, asked("r", "x"), inflight=[5, 1, 9], alive=[False, False, True]) == 2


def test_least_loaded_fills_the_gaps() -> None:
    offers = [asked(f"r{k}", "x") for k in range(4)]
    assert attached(least_loaded()).decide(offers, idle(inflight=[2, 0, 1])).agents.tolist() == [1, 1, 2, 0]
