"""Misreports in served worlds: where truth must be best it is, where shading must gain it does."""

import pytest

from experiments.errors import StudyError
from experiments.studies.findings.rules.bidding import KINDS, Part, Reports, answer, run
from experiments.studies.findings.rules.served import RULES, World, looked_at, serve
from mechanisms import Preferences
from runtime import Message, Request

SMALL = World(copies=1, rate=20.0, bidders=3, dialogues=3, turns=2)


def test_shading_gains_within_a_round_under_pay_as_bid_and_nothing_does_under_vcg() -> None:
    for policy, sign in (("pay-as-bid", 1), ("iemas", -1)):
        found = Reports("x 0.5", frozenset(["bidder-0", "bidder-1", "bidder-2"]), RULES[policy][1], 0)
        serve(SMALL.cell(), looked_at(policy, found), 0, report=found.report)
        assert found.rounds and found.factors
        # Dividing a report by its factor rounds by a micro-unit.
        assert found.within > 1.0 if sign > 0 else found.within < 1e-4


def test_a_kind_is_a_function_of_the_request_and_the_seed() -> None:
    request = Request("a/0", "bidder-0", (Message("user", "?"),), 8, "a", 0)
    true = Preferences(8.0, 2.0, stake=4.0)
    drawn = [Reports("random", None, RULES["iemas"][1], 7).report(request, true) for _ in range(2)]
    assert drawn[0] == drawn[1] != true
    assert drawn[0].worth / 8.0 == pytest.approx(drawn[0].stake / 4.0) == pytest.approx(drawn[0].delay_cost / 2.0)
    alone = Reports("x 2", frozenset(["bidder-1"]), RULES["iemas"][1], 0)
    assert alone.report(request, true) == true and not alone.factors


def test_every_kind_is_answered_and_nobody_gains_within_a_round_of_the_auction() -> None:
    found = answer(Part("iemas", 0, SMALL, 1))
    assert set(found.within) == set(found.whole) == set(found.utility) == set(KINDS)
    assert max(found.within.values()) < 1e-4


def test_bad_input_is_refused() -> None:
    with pytest.raises(StudyError, match="0 seeds"):
        run(seeds=[], workers=0, progress=lambda done, total: None)
    with pytest.raises(StudyError, match="4 deviators; expected a seed, and 1 to 3"):
        run(seeds=[0], workers=0, progress=lambda done, total: None, world=SMALL, deviators=4)
    with pytest.raises(StudyError, match="rate = 0"):
        World(rate=0)
    with pytest.raises(StudyError, match="no policy 'sticky'"):
        looked_at("sticky", lambda offers, market, outcome: None)
