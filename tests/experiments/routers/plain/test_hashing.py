from collections import Counter
from math import ceil

from experiments.routers.plain.hashing import consistent_hashing, sticky, sticky_best
from tests.experiments.routers.plain.talks import asked, attached, chosen, idle

OFFERS = [asked(f"r{k}", "x", dialogue=f"dialogue {k % 30}") for k in range(60)]


def test_sticky_keeps_a_dialogue_where_it_is_and_spreads_dialogues() -> None:
    made = attached(sticky())
    chosen = made.decide(OFFERS, idle()).agents
    assert chosen[:30].tolist() == chosen[30:].tolist()
    assert len(set(chosen.tolist())) == 3
    moved = made.decide(OFFERS, idle(alive=[True, True, False])).agents
    assert all(moved[k] == chosen[k] for k in range(60) if chosen[k] != 2)


def test_sticky_best_stays_with_the_dear_while_one_of_them_lives() -> None:
    made = attached(sticky_best())
    assert set(made.decide(OFFERS, idle()).agents.tolist()) == {1, 2}
    assert set(made.decide(OFFERS, idle(alive=[True, False, True])).agents.tolist()) == {2}
    assert set(made.decide(OFFERS, idle(alive=[True, False, False])).agents.tolist()) == {0}


def test_on_the_ring_a_dialogue_stays_as_long_as_there_is_room_and_only_those_move_whose_agent_is_gone() -> None:
    made = attached(consistent_hashing())
    homes = [chosen(made, one) for one in OFFERS]
    assert homes[:30] == homes[30:] and len(set(homes)) == 3
    without = [chosen(made, one, alive=[True, True, False]) for one in OFFERS]
    assert all(now == home for now, home in zip(without, homes, strict=True) if home != 2)


def test_nobody_gets_more_than_a_quarter_above_the_mean_and_the_next_on_the_ring_gets_the_rest() -> None:
    # All of one dialogue: without a bound one agent would get them all.
    offers = [asked(f"r{k}", "x", dialogue="one") for k in range(40)]
    found = Counter(attached(consistent_hashing()).decide(offers, idle()).agents.tolist())
    assert max(found.values()) == ceil(1.25 * 40 / 3) == 17 and sorted(found.values()) == [6, 17, 17]
    loose = Counter(attached(consistent_hashing(3.0)).decide(offers, idle()).agents.tolist())
    assert list(loose.values()) == [40]


def test_who_is_full_already_gets_nothing() -> None:
    made = attached(consistent_hashing())
    home = chosen(made, OFFERS[0])
    busy = [12 if j == home else 0 for j in range(3)]
    assert chosen(made, OFFERS[0], inflight=busy) != home
