"""Deviations in markets worked out by hand: who gains, and that somebody else pays for it."""

import pytest

from allocation import MICROS, Market
from experiments.errors import StudyError
from experiments.studies.findings.rules.served import World
from experiments.studies.findings.rules.strategic import KINDS, RULES, best, run


def market(values: list[list[int]], costs: list[list[int]], capacities: list[int], bidders: list[int]) -> Market:
    micros = [[[MICROS * one for one in row] for row in table] for table in (values, costs)]
    return Market(*micros, capacities, bidders=bidders)


#: One place, worth 9, 7 and 2 to three bidders.
RIVALS = market([[9], [7], [2]], [[1], [1], [1]], [1], [0, 1, 2])


@pytest.mark.parametrize("rule", ["vcg", "two-sided-vcg"])
def test_under_vcg_a_bidder_gains_nothing_and_two_gain_from_the_auctioneer(rule: str) -> None:
    alone, pair = (best(RULES[rule], RIVALS, KINDS[kind]) for kind in ("a bidder", "two bidders"))
    assert alone is not None and alone.own == 0
    # The second says nothing, and the first pays the third's 2 in place of 7.
    assert pair is not None and pair.own == 5 * MICROS
    assert pair.surplus < 0 and pair.own + pair.bidders + pair.agents + pair.surplus == 0


def test_agents_gain_by_their_costs_unless_they_are_paid_their_externality() -> None:
    two = market([[9, 9], [7, 7]], [[1, 4], [1, 4]], [1, 1], [0, 1])
    paid = {rule: best(RULES[rule], two, KINDS["an agent"]) for rule in ("vcg", "two-sided-vcg", "procurement-vcg")}
    assert paid["vcg"] is not None and paid["vcg"].own > 0
    assert all(one is not None and one.own == 0 for rule, one in paid.items() if rule != "vcg")


def test_names_split_only_who_has_several_requests() -> None:
    assert best(RULES["vcg"], RIVALS, KINDS["split names"]) is None
    # Two places for two of one bidder's and one of another's: as one player they pay for whom they keep out.
    both = market([[9], [8], [5]], [[1], [1], [1]], [2], [0, 0, 1])
    found = best(RULES["vcg"], both, KINDS["split names"])
    assert found is not None and found.own >= 0
    more = best(RULES["vcg"], both, KINDS["a name more"])
    assert more is not None and more.own >= 0


def test_shading_gains_under_pay_as_bid_at_the_auctioneers_cost() -> None:
    found = best(RULES["pay-as-bid"], RIVALS, KINDS["a bidder"])
    # Three quarters of 9 no longer wins against 7; truth does.
    assert found is not None and found.own == 0
    alone = best(RULES["pay-as-bid"], RIVALS.requests([0]), KINDS["a bidder"])
    assert alone is not None and alone.own == -alone.surplus == round(4.5 * MICROS)


def test_bad_input_is_refused() -> None:
    with pytest.raises(StudyError, match="0 rounds"):
        run(seeds=[0], workers=0, progress=lambda done, total: None, rounds=0)
    tiny = World(copies=1, bidders=1, dialogues=1, turns=1)
    with pytest.raises(StudyError, match="no round of 3 to 5 bidders"):
        run(seeds=[0], workers=0, progress=lambda done, total: None, world=tiny)
