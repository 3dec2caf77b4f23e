from collections import Counter

import pytest

from experiments.routers.plain import CacheAware, baselines
from runtime import WAITING, Decided, Offer, Policy
from tests.runtime.policies.test_paper import agent, completion, fleet, offer, served

AGENTS = [agent("a"), agent("b"), agent("c")]
TEXT = "a long question about the ferries of a harbour town and their times"


def policy(name: str) -> Policy:
    made = next(one for one in baselines(3) if one.name == name)
    made.attach(AGENTS)
    return made


def talk(name: str, dialogue: str, *texts: str) -> Offer:
    made = offer(name, *texts, agents=3)
    return Offer(
        type(made.request)(name, name, made.request.messages, 16, dialogue), made.preferences, made.tokens, made.turn
    )


@pytest.mark.parametrize("made", baselines(0), ids=lambda one: one.name)
def test_every_policy_uses_living_agents_alone_and_charges_no_more_than_cost(made: Policy) -> None:
    made.attach(AGENTS)
    offers = [offer(f"r{k}", f"question {k}", agents=3) for k in range(9)]
    decided = made.decide(offers, fleet(AGENTS, alive=[True, False, True]))
    assert set(decided.agents.tolist()) <= {0, 2, WAITING}
    if decided.outcome is None:
        assert not decided.charges.any()
        assert (decided.agents >= 0).all()
    else:
        assert decided.outcome.surplus == 0


def test_round_robin_takes_turns() -> None:
    offers = [offer(f"r{k}", "x", agents=3) for k in range(7)]
    assert policy("round-robin").decide(offers, fleet(AGENTS)).agents.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_round_robin_goes_on_after_what_was_given_out_and_not_after_what_was_asked() -> None:
    made = policy("round-robin")
    first, second = offer("a", "x", agents=3), offer("b", "x", agents=3)
    for _ in range(3):
        assert made.decide([first], fleet(AGENTS)).agents.tolist() == [0]
    made.notice(Decided(0.0, first, 0, 0, None, None))
    assert made.decide([second], fleet(AGENTS)).agents.tolist() == [1]


def test_random_reaches_everybody_and_repeats_itself() -> None:
    offers = [offer(f"r{k}", "x", agents=3) for k in range(60)]
    one, two = (policy("random").decide(offers, fleet(AGENTS)).agents for _ in range(2))
    assert one.tolist() == two.tolist()
    assert min(Counter(one.tolist())[j] for j in range(3)) > 5


def test_sticky_keeps_a_dialogue_where_it_is_and_spreads_dialogues() -> None:
    sticky = policy("sticky")
    offers = [talk(f"r{k}", f"dialogue {k % 30}", "x") for k in range(60)]
    chosen = sticky.decide(offers, fleet(AGENTS)).agents
    assert chosen[:30].tolist() == chosen[30:].tolist()
    assert len(set(chosen.tolist())) == 3
    moved = sticky.decide(offers, fleet(AGENTS, alive=[True, True, False])).agents
    assert all(moved[k] == chosen[k] for k in range(60) if chosen[k] != 2)


def test_least_loaded_fills_the_gaps() -> None:
    offers = [offer(f"r{k}", "x", agents=3) for k in range(4)]
    assert policy("least-loaded").decide(offers, fleet(AGENTS, inflight=[2, 0, 1])).agents.tolist() == [1, 1, 2, 0]


def test_cache_aware_follows_the_prefix_until_the_load_is_lopsided() -> None:
    aware = CacheAware()
    aware.attach(AGENTS)
    first = offer("r", TEXT, agents=3)
    decided = aware.decide([first], fleet(AGENTS, alive=[False, False, True]))
    aware.notice(served(first, 2, completion(first), decided.notes[0]))
    again = offer("s", TEXT, "fine", "and on Sundays?", agents=3)
    assert aware.decide([again], fleet(AGENTS, inflight=[1, 1, 3])).agents.tolist() == [2]
    assert aware.decide([again], fleet(AGENTS, inflight=[1, 1, 12])).agents.tolist() == [0]
    assert aware.decide(
        [offer("t", "something else", agents=3)], fleet(AGENTS, inflight=[1, 0, 3])
    ).agents.tolist() == [1]
