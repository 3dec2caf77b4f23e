from dataclasses import replace

import numpy as np

from experiments.routers.plain.caching import CacheAware
from experiments.routers.plain.dynamo import Dynamo
from prediction import TokenPrices
from runtime import Fleet, Job, Offer
from tests.experiments.routers.plain.talks import AGENTS, asked, attached, chosen, idle
from tests.runtime.policies.test_paper import completion, served

TEXT = "a long question about the ferries of a harbour town and their times"
AGAIN = asked("s", TEXT, "fine", "and on Sundays?")


def test_cache_aware_follows_the_prefix_until_the_load_is_lopsided() -> None:
    aware = attached(CacheAware())
    first = asked("r", TEXT)
    decided = aware.decide([first], idle(alive=[False, False, True]))
    aware.notice(served(first, 2, completion(first), decided.notes[0]))
    assert chosen(aware, AGAIN, inflight=[1, 1, 3]) == 2
    assert chosen(aware, AGAIN, inflight=[1, 1, 12]) == 0
    assert chosen(aware, asked("t", "something else"), inflight=[1, 0, 3]) == 1


def test_cache_aware_takes_who_joins_and_follows_what_it_holds_from_then_on() -> None:
    aware = attached(CacheAware())
    joining, four = replace(AGENTS[1], name="d"), of_four(AGAIN)
    aware.join(joining)
    fleet = Fleet((*AGENTS, joining), np.ones(4, bool), ((),) * 4)
    alone = replace(fleet, alive=np.array([False, False, False, True]))
    decided = aware.decide([four], alone)
    assert decided.agents.tolist() == [3] and decided.notes == [0]
    aware.notice(served(four, 3, completion(four), decided.notes[0]))
    assert aware.decide([four], fleet).agents.tolist() == [3]


def test_who_joins_at_the_highest_price_is_the_best_class() -> None:
    best = attached(CacheAware(best=True))
    four = of_four(AGAIN)
    dearest = replace(AGENTS[1], name="d", prices=TokenPrices(0.03, 0.003, 0.06))
    fleet = Fleet((*AGENTS, dearest), np.ones(4, bool), ((),) * 4)
    best.join(dearest)
    assert best.decide([four], fleet).agents.tolist() == [3]
    gone = replace(fleet, alive=np.array([True, True, True, False]))
    assert best.decide([four], gone).agents[0] in (0, 1, 2)


def of_four(offer: Offer) -> Offer:
    """As four agents tokenise it."""
    return replace(offer, tokens=(*offer.tokens, offer.tokens[0]))


def warmed(at: int) -> Dynamo:
    made = Dynamo()
    made.attach(AGENTS)
    first = asked("r", TEXT)
    decided = made.decide([first], idle(alive=[j == at for j in range(3)]))
    made.notice(served(first, at, completion(first), decided.notes[0]))
    return made


def busy(made: Dynamo, at: int, count: int, *, computing: bool) -> Fleet:
    """Prompts that share nothing are at an agent, computed or not."""
    notes = [
        made.decide([asked(f"n{k}", f"{k} wholly different words altogether {k}")], idle()).notes[0]
        for k in range(count)
    ]
    jobs = tuple(Job(note, 0.0, None if computing else 0.5) for note in notes)
    return Fleet(tuple(AGENTS), idle().alive, tuple(jobs if j == at else () for j in range(3)))


def test_dynamo_goes_where_the_prefix_is_while_that_saves_more_blocks_than_are_in_use() -> None:
    made = warmed(2)
    held = int(made._affinity.cached_tokens([AGAIN])[0, 2]) // 4
    assert held >= 3 and chosen(made, AGAIN) == 2
    for computing in (False, True):
        found = [
            int(made.decide([AGAIN], busy(made, 2, count, computing=computing)).agents[0] == 2) for count in range(9)
        ]
        # It stays for a while, then leaves for good; for prompts that are still to be computed sooner.
        assert found == sorted(found, reverse=True) and 0 < sum(found) < 9
    assert chosen(made, asked("t", "no, something else")) != 2 or held == 0


def test_dynamo_leaves_sooner_for_prompts_that_are_to_be_computed_and_a_weight_of_nothing_sees_no_cache() -> None:
    made = warmed(2)

    def stays(computing: bool) -> int:
        return sum(made.decide([AGAIN], busy(made, 2, k, computing=computing)).agents[0] == 2 for k in range(9))

    assert stays(True) < stays(False)
    blind = Dynamo(0.0)
    blind.attach(AGENTS)
    first = asked("r", TEXT)
    blind.notice(served(first, 2, completion(first), blind.decide([first], idle()).notes[0]))
    assert len({chosen(blind, asked(f"s{k}", TEXT, "fine", "and?")) for k in range(30)}) == 3


def test_what_dynamo_gives_out_within_a_round_counts_as_what_is_to_be_computed() -> None:
    made = warmed(2)
    for count in range(9):
        pinned = [
            replace(asked(f"n{k}", f"{k} wholly different words altogether {k}"), refused=frozenset({0, 1}))
            for k in range(count)
        ]
        [*before, last] = made.decide([*pinned, AGAIN], idle()).agents.tolist()
        assert before == [2] * count
        assert (last == 2) == (chosen_by(made, busy(made, 2, count, computing=True)) == 2)


def chosen_by(made: Dynamo, fleet: Fleet) -> int:
    return int(made.decide([AGAIN], fleet).agents[0])


def test_dynamo_spreads_what_is_alike() -> None:
    made = attached(Dynamo())
    found = made.decide([asked(f"r{k}", f"{k}{k} words of the same length here") for k in range(9)], idle())
    assert sorted(found.agents.tolist()) == [0] * 3 + [1] * 3 + [2] * 3
