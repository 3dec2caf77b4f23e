"""Each rival's rule, on forecasts made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from allocation import UNSERVED
from experiments.routers.informed import (
    CMu,
    DecliningCacheAware,
    Informed,
    LlmD,
    Tiers,
    flow,
    greedy,
    net_values,
    posted,
)
from mechanisms import Preferences, find_mechanism
from prediction import TokenPrices
from runtime import WAITING, Arrived, Auction, Fleet, Job, Offer, ServingError
from runtime.policies.forecast import Outlook
from tests.runtime.policies.test_paper import agent, fleet, offer

AGENTS = [agent("a"), agent("b")]
#: An agent that computes a prompt.
COMPUTING = (Job(None, 0.0),)


def foresight(
    service: list[list[float]],
    *,
    start: list[float] | None = None,
    cost: list[list[float]] | None = None,
    quality: list[list[float]] | None = None,
    cached: list[list[int]] | None = None,
    possible: list[list[bool]] | None = None,
) -> Outlook:
    """Nothing but what is said: otherwise costs of nothing, certain to be right, prompts of 100 tokens."""
    shape = np.shape(service)
    return Outlook(
        np.array(start or [0.0] * shape[1]),
        np.array(service),
        np.zeros(shape) if cost is None else np.array(cost),
        np.ones(shape) if quality is None else np.array(quality),
        np.ones(shape, bool) if possible is None else np.array(possible),
        np.full(shape, 100),
        np.zeros(shape, np.int64) if cached is None else np.array(cached),
        np.zeros(shape),
        np.zeros(shape[1], np.int64),
        np.zeros(shape[1]),
    )


def asked(*reports: tuple[float, float]) -> list[Offer]:
    """Offers from (worth, delay cost)."""
    return [offer(f"r{k}", "x", preferences=Preferences(*report)) for k, report in enumerate(reports)]


def attached(policy: Informed) -> Informed:
    policy.attach(AGENTS)
    return policy


def test_net_value_is_worth_of_quality_less_delay_less_cost_and_nothing_where_it_cannot_be() -> None:
    offers = [replace(one, preferences=replace(one.preferences, stake=3.0)) for one in asked((10.0, 2.0))]
    outlook = foresight(
        [[1.0, 2.0]], start=[0.5, 0.0], cost=[[1.0, 4.0]], quality=[[0.5, 1.0]], possible=[[True, True]]
    )
    assert net_values(offers, outlook).tolist() == [[5 - 3 - 1 + 3, 10 - 4 - 4 + 3]]
    assert net_values(offers, outlook, np.array([1.0, 0.0])).tolist() == [[2.0, 5.0]]
    assert net_values(offers, foresight([[1.0, 2.0]], possible=[[False, True]]))[0, 0] == -np.inf


def test_c_mu_lets_those_go_first_who_lose_most_by_waiting_for_their_length() -> None:
    # Delay cost over service time: 1, 8, 3. Two agents are idle, so the first in line waits.
    offers = asked((100.0, 2.0), (100.0, 8.0), (100.0, 6.0))
    outlook = foresight([[2.0, 2.0], [1.0, 1.0], [2.0, 2.0]])
    assert attached(CMu()).choose(offers, fleet(AGENTS), outlook).tolist() == [WAITING, 0, 1]


def test_c_mu_waits_for_a_busy_agent_that_is_worth_more_even_then() -> None:
    busy = Fleet(tuple(AGENTS), np.ones(2, bool), (COMPUTING, ()))
    patient, hasty = asked((100.0, 1.0), (100.0, 50.0))
    far_better = foresight([[1.0, 1.0]], start=[1.0, 0.0], quality=[[1.0, 0.5]])
    assert attached(CMu()).choose([patient], busy, far_better).tolist() == [WAITING]
    far_later = foresight([[1.0, 1.0]], start=[2.0, 0.0], quality=[[1.0, 0.5]])
    assert attached(CMu()).choose([hasty], busy, far_later).tolist() == [1]


def test_c_mu_counts_the_wait_behind_those_it_has_put_before() -> None:
    # Both want agent 0; behind the first it is a second later, which costs the other 30: agent 1 costs 20 in quality.
    offers = asked((100.0, 31.0), (100.0, 30.0))
    outlook = foresight([[1.0, 1.0]] * 2, quality=[[1.0, 0.8]] * 2)
    assert attached(CMu()).choose(offers, fleet(AGENTS), outlook).tolist() == [0, 1]
    assert attached(CMu()).choose(asked((100.0, 31.0), (100.0, 10.0)), fleet(AGENTS), outlook).tolist() == [0, WAITING]


def test_c_mu_declines_what_costs_more_than_it_is_worth_everywhere() -> None:
    offers = asked((1.0, 0.0), (3.0, 0.0), (10.0, 0.0))
    outlook = foresight([[1.0, 1.0]] * 3, cost=[[2.0, 4.0]] * 3, possible=[[True, True], [True, True], [False, False]])
    assert attached(CMu()).choose(offers, fleet(AGENTS), outlook).tolist() == [UNSERVED, 0, UNSERVED]


@pytest.mark.parametrize(
    ("jobs", "alive", "ready"),
    [
        (((), ()), [True, True], True),
        ((COMPUTING, ()), [True, True], True),
        ((COMPUTING, COMPUTING), [True, True], False),
        ((COMPUTING, ()), [True, False], False),
        ((COMPUTING, (Job(None, 0.0, 0.5),)), [True, True], True),
    ],
)
def test_c_mu_decides_anew_whenever_an_agent_has_no_prompt_to_compute(
    jobs: tuple[tuple[Job, ...], ...], alive: list[bool], ready: bool
) -> None:
    assert attached(CMu()).ready(Fleet(tuple(AGENTS), np.array(alive), jobs)) is ready


def tiers(*worths: float) -> Tiers:
    """Tiers over a cheap and a dear agent, after requests of these worths."""
    made = Tiers()
    made.attach([AGENTS[0], replace(AGENTS[1], prices=TokenPrices(1.0, 0.1, 2.0))])
    for worth in worths:
        made.notice(Arrived(0.0, offer("r", "x", preferences=Preferences(worth, 1.0))))
    return made


def test_tiers_give_those_above_the_median_worth_the_dearer_model() -> None:
    outlook = foresight([[1.0, 1.0]] * 3)
    offers = asked((4.9, 0.0), (5.0, 9.0), (80.0, 0.0))
    assert tiers(1.0, 5.0, 90.0).choose(offers, fleet(AGENTS), outlook).tolist() == [0, 1, 1]
    assert tiers().choose(offers, fleet(AGENTS), outlook).tolist() == [1, 1, 1]


def test_the_threshold_of_tiers_moves_with_what_arrives_and_forgets() -> None:
    offers, outlook = asked((5.0, 0.0)), foresight([[1.0, 1.0]])
    made = tiers(1.0, 2.0, 3.0)
    assert made.choose(offers, fleet(AGENTS), outlook).tolist() == [1]
    for _ in range(1001):
        made.notice(Arrived(0.0, offer("r", "x", preferences=Preferences(50.0, 1.0))))
    assert made.choose(offers, fleet(AGENTS), outlook).tolist() == [0]
    assert len(made._seen) == 1000


def test_tiers_take_the_other_tier_where_theirs_is_not_there_and_nobody_where_none_is() -> None:
    outlook = foresight([[1.0, 1.0]] * 2, possible=[[True, False], [False, False]])
    offers = asked((80.0, 0.0), (80.0, 0.0))
    assert tiers(1.0).choose(offers, fleet(AGENTS), outlook).tolist() == [0, UNSERVED]


def test_cache_aware_declining_follows_the_cache_and_declines_what_costs_more_than_it_is_worth_there() -> None:
    made = attached(DecliningCacheAware())
    outlook = foresight([[1.0, 1.0]] * 2, cached=[[0, 80], [0, 80]], cost=[[0.0, 5.0]] * 2)
    # Agent 0 would be worth it to both; the rule looks at the agent that the cache chooses alone.
    assert made.choose(asked((4.0, 0.0), (6.0, 0.0)), fleet(AGENTS), outlook).tolist() == [UNSERVED, 1]


def test_cache_aware_declining_counts_the_load_of_those_it_serves_alone() -> None:
    made = attached(DecliningCacheAware())
    outlook = foresight([[1.0, 1.0]] * 3, cost=[[5.0, 5.0]] * 3)
    assert made.choose(asked((9.0, 0.0), (4.0, 0.0), (9.0, 0.0)), fleet(AGENTS), outlook).tolist() == [0, UNSERVED, 1]


def test_what_an_informed_rival_expects_goes_with_its_decision() -> None:
    made = attached(DecliningCacheAware())
    decided = made.decide([offer("r", "x y z"), offer("s", "x", preferences=Preferences(0.0, 1.0))], fleet(AGENTS))
    assert decided.agents.tolist() == [0, UNSERVED] and not decided.charges.any()
    assert decided.predicted[0] is not None and decided.predicted[0].cost > 0
    assert decided.notes[0] is not None and decided.predicted[1] is decided.notes[1] is None


def test_greedy_and_posted_are_the_auction_with_another_mechanism() -> None:
    for made, gathers in ((greedy(), True), (posted(), False)):
        vcg = Auction(find_mechanism("vcg"), without=() if gathers else ("gathering",))
        assert isinstance(made, Auction) and made.name in ("greedy", "posted")
        computing = Fleet(tuple(AGENTS), np.ones(2, bool), (COMPUTING, COMPUTING))
        offers = [offer(f"r{k}", f"question {k}", preferences=Preferences(50.0 - k, 1.0)) for k in range(6)]
        for auction in (made, vcg):
            auction.attach(AGENTS)
            assert auction.ready(computing) is not gathers
        ours, theirs = made.terms(offers, fleet(AGENTS)), vcg.terms(offers, fleet(AGENTS))
        assert (ours.fees == theirs.fees).all() and (ours.latency == theirs.latency).all()
        decided = made.decide(offers, fleet(AGENTS))
        outcome = decided.outcome
        assert outcome is not None
        asked_for = outcome.reported.take(outcome.reported.costs, outcome.allocation)
        assert (outcome.payments.charges >= asked_for).all() and outcome.surplus >= 0
        assert not decided.displaced.any()  # type: ignore[union-attr]


def test_llm_d_takes_the_least_wait_and_counts_what_it_has_given_out() -> None:
    outlook = foresight([[1.0, 1.5]] * 3, start=[0.2, 0.0], possible=[[True, True]] * 2 + [[False, False]])
    made = attached(LlmD(explore=0.0))
    assert made.choose(asked((1.0, 0.0), (1.0, 0.0), (1.0, 0.0)), fleet(AGENTS), outlook).tolist() == [0, 1, UNSERVED]


def test_llm_d_stays_where_four_fifths_of_the_prompt_are_until_that_takes_too_much_longer() -> None:
    made = attached(LlmD(explore=0.0, penalty_s=5.0))

    def where(cached: int, wait: float) -> int:
        outlook = foresight([[wait, 1.0]], cached=[[cached, 0]])
        return int(made.choose(asked((1.0, 0.0)), fleet(AGENTS), outlook)[0])

    assert where(80, 4.0) == 0 and where(79, 4.0) == 1
    assert where(80, 5.9) == 0 and where(80, 6.1) == 1
    assert where(79, 0.5) == 0


def test_llm_d_explores_as_often_as_it_says_and_the_same_requests_each_time() -> None:
    offers = asked(*[(1.0, 0.0)] * 400)
    outlook = foresight([[1e-9, 0.0]] * 400, cached=[[90, 0]] * 400)
    made = attached(LlmD(explore=0.1))
    first, again = (made.choose(offers, fleet(AGENTS), outlook) for _ in range(2))
    assert first.tolist() == again.tolist() and 20 < first.sum() < 60
    assert attached(LlmD(explore=0.1, seed=1)).choose(offers, fleet(AGENTS), outlook).tolist() != first.tolist()
    assert not attached(LlmD(explore=0.0)).choose(offers, fleet(AGENTS), outlook).any()


def test_flow_serves_whom_the_auction_serves_for_nothing() -> None:
    offers = [offer(f"r{k}", f"question {k}", preferences=Preferences(50.0 - 7 * k, 1.0 + k)) for k in range(8)]
    free, paid = flow(), Auction(find_mechanism("vcg"))
    for auction in (free, paid):
        auction.attach(AGENTS)
    theirs, ours = paid.decide(offers, fleet(AGENTS)), free.decide(offers, fleet(AGENTS))
    assert ours.agents.tolist() == theirs.agents.tolist()
    assert ours.outcome is None and not ours.charges.any() and theirs.charges.any()
    assert ours.predicted == theirs.predicted and ours.notes == theirs.notes


def test_who_joins_is_foretold_and_may_be_the_upper_tier() -> None:
    dearer = replace(agent("c"), prices=TokenPrices(0.5, 0.05, 1.0))
    for policy in (LlmD(), Tiers(), CMu(), DecliningCacheAware()):
        attached(policy).join(dearer)
        alone = fleet([*AGENTS, dearer], alive=[False, False, True])
        [one] = asked((1e6, 0.0))
        one = replace(one, tokens=(one.tokens[0],) * 3)
        assert policy.decide([one], alone).agents.tolist() == [2], policy.name
    tiers = attached(Tiers())
    tiers.join(dearer)
    [one] = asked((1e6, 0.0))
    assert tiers.decide([replace(one, tokens=(one.tokens[0],) * 3)], fleet([*AGENTS, dearer])).agents.tolist() == [2]


def test_a_forecaster_that_takes_nobody_more_says_so() -> None:
    fixed = attached(LlmD())
    fixed.forecaster = object()  # type: ignore[assignment]
    with pytest.raises(ServingError, match="object takes no agent more while it serves"):
        fixed.join(agent("c"))
