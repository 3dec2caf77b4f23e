"""What a run is worth, against numbers computed by hand."""

from dataclasses import replace
from math import isnan, nan

import pytest

from allocation import MICROS
from experiments.data import Corpus, Dialogue, Turn
from experiments.errors import StudyError
from experiments.studies.arena.play import Cell, Score, play
from experiments.studies.arena.rivals import rivals
from experiments.worlds.fleets import FLEET, SMALL_PRICES
from experiments.worlds.presets import PRESETS
from experiments.worlds.running.run import PolicyRun
from experiments.worlds.running.scores import Scoring
from experiments.worlds.traffic.dialogues import Conversation, DialogueTraffic
from mechanisms import Preferences
from prediction import TokenPrices
from runtime import Completion, Declined, Message, Offer, Prediction, Request, Served
from runtime.rounds.records import RoundStatistics

RICH, POOR = Preferences(100.0, 10.0), Preferences(8.0, 1.0)
#: Skills .45 and .75.
CELL = Cell("made up", (), 1.0, PRESETS["differing"], (FLEET[0], FLEET[2]))


def dialogue(name: str, *, graded: bool) -> Dialogue:
    return Dialogue(name, "A quay.", (Turn("When?", ("at two",)), Turn("Where?", ("there",))), "test", graded)


LOAD = DialogueTraffic(
    "made up",
    (
        Conversation("0000/a", dialogue("a", graded=True), "rich", RICH, 0.0),
        Conversation("0001/b", dialogue("b", graded=False), "poor", POOR, 0.0),
    ),
    1.0,
    16,
)


def offer(conversation: str, turn: int, bidder: str, reported: Preferences) -> Offer:
    request = Request(f"{conversation}/{turn}", bidder, (Message("user", "hello"),), 16, conversation, turn)
    return Offer(request, reported, ((1, 2), (1, 2)), turn, arrived_s=10.0)


def served(made: Offer, at: int, *, charge: float, cost: float, predicted: Prediction | None) -> Served:
    """Decided half a second after it arrived, sent one second after that, first token two, last three seconds later."""
    took = Completion("no", 100, 40, 5, 2.0, 3.0)
    charge, cost = round(charge * MICROS), round(cost * MICROS)
    return Served(14.5, made, at, took, 10.5, 11.5, charge, cost, cost, 0.0, predicted)


#: What bidders report is not what welfare is counted by.
FALSE = Preferences(1.0, 0.0)
RUN = PolicyRun(
    "by-hand",
    0,
    (
        served(offer("0000/a", 0, "rich", FALSE), 1, charge=7.0, cost=4.0, predicted=Prediction(2.5, 4.0, 0.7)),
        served(offer("0001/b", 0, "poor", FALSE), 0, charge=1.0, cost=0.5, predicted=Prediction(4.0, 1.0, 0.7)),
    ),
    (Declined(12.0, offer("0000/a", 1, "rich", FALSE), "worth less than it costs"),),
    {"rich": RICH, "poor": POOR},
    RoundStatistics(rounds=2, decided=2, contested=1, decide_s=[0.001, 0.003]),
    (),
    20.0,
)


def score(done: PolicyRun, load: DialogueTraffic, cell: Cell) -> Score:
    talks = tuple(replace(one, preferences=done.preferences[one.bidder]) for one in load.conversations)
    scoring = Scoring(DialogueTraffic(load.title, talks, load.think_time_s, load.max_tokens), cell.fleet)
    for end in (*done.served, *done.declined):
        scoring(end)
    return scoring.score(done.statistics)


def test_a_score_is_what_it_says() -> None:
    found = score(RUN, LOAD, CELL)
    # First tokens 3.5 s after arrival. Rich: 100 * .75 - 35 - 4, then declined after 2 s: - 20. Poor: nobody can grade.
    assert found.welfare == pytest.approx((75 - 35 - 4 - 20, -3.5 - 0.5))
    assert found.total == pytest.approx(16 - 4)
    assert found.loss == pytest.approx(35 + 4 + 20 + 3.5 + 0.5)
    assert (found.served, found.declined) == (2, 1)
    assert found.hit_rate == pytest.approx(0.4)
    assert found.wait_median == found.wait_p95 == pytest.approx(3.5)
    assert found.cost == pytest.approx(2.25)
    # From the decision to the first token: 3 s each, foretold as 2.5 and 4.
    assert found.latency_nmae == pytest.approx(1.5 / 6)
    assert found.contested == 0.5 and found.decide_ms == pytest.approx(2.0)
    assert found.charges == pytest.approx(8.0) and found.surplus == pytest.approx(8.0 - 4.5)
    assert found.bidders_surplus == pytest.approx(75 - 35 - 20 - 3.5 - 8.0)
    assert found.welfare_last == pytest.approx((75 - 45 - 4 - 20, -4.5 - 0.5))
    assert found.worth == (100.0, 8.0) and found.ungraded == 1
    assert found.loss_per_request == pytest.approx(found.loss / 3)
    assert found.judged("first-token") == found.welfare and found.judged("last-token") == found.welfare_last
    with pytest.raises(StudyError, match="no delay 'none'; there are: first-token, last-token"):
        found.judged("none")


def test_what_is_at_stake_is_no_welfare_and_reports_move_nothing() -> None:
    moved = tuple(
        replace(one, offer=replace(one.offer, preferences=Preferences(900.0, 0.5, stake=50.0))) for one in RUN.served
    )
    staked = {name: replace(true, stake=1000.0) for name, true in RUN.preferences.items()}
    assert score(replace(RUN, served=moved, preferences=staked), LOAD, CELL) == score(RUN, LOAD, CELL)


def test_luck_in_answers_is_no_welfare() -> None:
    right = tuple(replace(one, quality=1.0) for one in RUN.served)
    assert score(replace(RUN, served=right), LOAD, CELL) == score(RUN, LOAD, CELL)


def test_nobody_served_is_worth_what_was_waited() -> None:
    found = score(replace(RUN, served=(), statistics=RoundStatistics()), LOAD, CELL)
    assert found.welfare == pytest.approx((-20.0, 0.0)) and found.charges == found.surplus == 0
    for name in ("hit_rate", "wait_median", "wait_p95", "cost", "latency_nmae", "contested", "decide_ms"):
        assert isnan(getattr(found, name)), name


def test_a_score_is_plain_data_and_back() -> None:
    found = score(RUN, LOAD, CELL)
    assert Score(**found.as_dict()) == found  # type: ignore[arg-type]
    assert nan not in found.welfare


def corpus(*, graded: bool = True) -> Corpus:
    made = tuple(replace(dialogue(f"d{k}", graded=graded), context=f"Quay {k}. " * 30) for k in range(3))
    return Corpus("made up", made, "none", "a test", "0" * 64, "native")


def test_a_run_repeats_itself_and_meets_the_presets_prices() -> None:
    cell = Cell("small", (corpus(),), 1.0, PRESETS["differing"])
    make = rivals(cell.fleet)["sticky"]
    first = play(make, cell, 3)
    assert first.as_dict() | {"decide_ms": 0} == play(make, cell, 3).as_dict() | {"decide_ms": 0}
    assert len(first.welfare) == 3 and first.served + first.declined <= 6
    dear = TokenPrices(*(100 * price for price in (SMALL_PRICES.fresh, SMALL_PRICES.cached, SMALL_PRICES.output)))
    assert play(make, replace(cell, preset=replace(cell.preset, prices=dear)), 3).cost > 20 * first.cost


@pytest.mark.parametrize("policy", ["iemas", "cache-aware"])
def test_where_nobody_can_grade_all_that_counts_is_delay_and_cost(policy: str) -> None:
    """If answers counted as right for want of a grade, the cheapest agent would be the best by definition."""
    cell = Cell("ungraded", (corpus(graded=False),), 1.0, PRESETS["differing"])
    found = play(rivals(cell.fleet)[policy], cell, 3)
    assert found.ungraded == found.served + found.declined > 0 and found.served > 0
    assert max(found.welfare) <= 0 and max(found.welfare_last) <= 0
    assert found.total == pytest.approx(-found.loss)
    assert found.loss >= found.cost * found.served
    # The same run is worth the same, however good its agents are taken to be.
    run = replace(RUN, served=RUN.served[1:], declined=())
    masters = tuple(replace(agent, skill=1.0) for agent in CELL.fleet)
    assert score(run, LOAD, CELL) == score(run, LOAD, replace(CELL, fleet=masters))
