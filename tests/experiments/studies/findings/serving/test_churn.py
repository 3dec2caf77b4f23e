"""Disturbances and what they cost: nothing where nothing is disturbed, and what is misstated is learnt, or is not."""

from dataclasses import replace

import pytest

from experiments.errors import StudyError
from experiments.studies.findings.exhibits.exhibit import Interval
from experiments.studies.findings.serving import churn
from experiments.studies.findings.serving.disturbances import FIGURES, POLICIES, TALKS, Came, Disturbance, Job, play
from experiments.studies.study.cells.cell import Cell, usual_fleet
from experiments.studies.study.cells.policies import entrants
from experiments.studies.study.running.playing import Task
from experiments.studies.study.running.playing import play as play_one
from experiments.worlds.churn import Coming
from experiments.worlds.disturbed import Breaks, Statement

FEW = replace(TALKS, dialogues=4, turns=3, repeat=1)
KNOWN = {one.name: one for one in churn.usual(usual_fleet(TALKS))}
CALM = Disturbance("undisturbed")


def came(one: Disturbance, policy: str = "iemas", talks=FEW, seed: int = 0) -> Came:  # type: ignore[no-untyped-def]
    return play(Job(talks, one, policy, seed))


@pytest.mark.parametrize("policy", ["iemas", "cache-aware", "llm-d"])
def test_undisturbed_is_a_run_like_any_other(policy: str) -> None:
    [entrant] = entrants([policy], "vcg", None, None)
    alone = play_one(Task(Cell(FEW), entrant, 0)).score
    found = came(CALM, policy)
    assert replace(found.score, decide_ms=0.0) == replace(alone, decide_ms=0.0)
    assert found.welfare * found.turns == alone.total and found.lost == 0
    assert all(found.profit(name) == 0 for name in found.costs)


@pytest.mark.parametrize("name", ["much of all", "every token billed twice", "20 % break before the first token"])
def test_what_bidders_the_auctioneer_and_agents_have_is_the_welfare(name: str) -> None:
    found = came(KNOWN[name])
    shared = found.bidders + found.surplus + sum(found.profit(agent) for agent in found.costs)
    assert shared == pytest.approx(found.welfare, abs=1e-6)


def test_an_agent_that_is_away_gets_nothing_and_caches_are_lost_with_those_that_restart() -> None:
    gone = Disturbance("away", Coming(1e-3, 1e9))
    shares = came(gone, "cache-aware").score.shares
    assert sum(share > 0 for share in shares) == 1
    restarted = Disturbance("restart", Coming(5.0, 0.1))
    assert came(restarted, "cache-aware").score.hit_rate < came(CALM, "cache-aware").score.hit_rate - 0.1


def test_every_policy_plays_every_disturbance() -> None:
    for policy in POLICIES:
        found = came(KNOWN["much of all"], policy, replace(FEW, dialogues=2, turns=2))
        assert found.score.served + found.score.declined > 0


def ratios(found: Came, agent: str, figure: str) -> list[float]:
    """What was foretold over what came: of the first requests, and of all beyond the 20th."""
    k = FIGURES.index(figure)
    pairs = [pair[k] for pair in found.forecasts[agent]]
    return [sum(a for a, _ in part) / sum(b for _, b in part) for part in (pairs[:5], pairs[20:])]


def test_a_slow_agent_under_a_quick_ones_name_is_found_out() -> None:
    first, later = ratios(came(KNOWN["4 times as slow as its model"], talks=TALKS), "large-b", "first token")
    assert first < 0.5 and later > 0.75


def test_what_an_agent_bills_too_much_is_foretold_after_a_while() -> None:
    first, later = ratios(came(KNOWN["half the price, every token billed twice"], talks=TALKS), "large-b", "cost")
    assert first < 0.8 and 0.9 < later < 1.1


def test_a_models_name_is_believed_for_good_unless_agents_are_judged_alone() -> None:
    one = KNOWN["a small one as the large one, at its price"]
    calm, believed = came(CALM, talks=TALKS), came(one, talks=TALKS)
    alone = came(one, "iemas (own skill)", TALKS)
    assert believed.welfare < 0.8 * calm.welfare < alone.welfare
    assert believed.profit("small-b") > 0


def test_the_table_has_a_row_for_each_and_compares_with_the_same_fleet_that_tells_the_truth() -> None:
    told: list[tuple[int, int]] = []
    some = (
        Disturbance("nothing"),
        Disturbance("half break after", breaks=Breaks(after=0.5)),
        KNOWN["serves one at once, says sixteen"],
    )
    found = churn.run(
        seeds=[0, 1], workers=0, progress=lambda done, total: told.append((done, total)), disturbances=some,
        policies=["cache-aware"], talks=FEW,
    )  # fmt: skip
    assert told[-1] == (2 * (2 + 3), 2 * (2 + 3))
    lost = [row[1] for row in found.rows]
    assert [row[0] for row in found.rows] == [one.name for one in some]
    assert isinstance(lost[0], Interval) and lost[0].mean == 0.0
    assert isinstance(lost[1], Interval) and lost[1].low > 0
    became, moved = found.more
    assert [row[:2] for row in became.rows][:2] == [("undisturbed", "cache-aware"), ("nothing", "cache-aware")]
    assert became.rows[0][2:] == became.rows[1][2:] and moved.row(some[2].name)["policy"] == "cache-aware"
    assert isinstance(became.rows[2][4], Interval) and became.rows[2][4].mean > 0


def test_what_is_foretold_is_shown_of_auctions_alone() -> None:
    one = KNOWN["every token billed four times"]
    found = churn.run(
        seeds=[0], workers=0, progress=lambda done, total: None, disturbances=[one], policies=["iemas", "llm-d"],
        talks=FEW,
    )  # fmt: skip
    learnt = found.more[-1]
    assert [row[:3] for row in learnt.rows] == [(one.name, "iemas", "cost")]


def test_what_cannot_be_played_is_refused() -> None:
    with pytest.raises(StudyError, match=r"1 disturbances, policies \['none'\]; there are: \['iemas', "):
        churn.run(seeds=[0], workers=0, progress=lambda done, total: None, disturbances=[CALM], policies=["none"])
    with pytest.raises(StudyError, match="no agent 'large-b' in this fleet; there are: small-a"):
        churn.usual(usual_fleet(TALKS)[:1])
    with pytest.raises(StudyError, match="statements of nobody"):
        came(Disturbance("x", statements=(Statement("nobody"),)))
