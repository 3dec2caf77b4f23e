"""The far-sighted auction: what it claims of a round, term by term."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocation import UNSERVED
from mechanisms import Preferences, find_mechanism
from prediction import TokenPrices
from runtime import (
    Agent,
    Auction,
    Completion,
    Decided,
    Declined,
    Dispatched,
    EngineInfo,
    FirstToken,
    Fleet,
    Job,
    Offer,
    Served,
    ServingError,
)
from runtime.engines.simulated.tokens import encode_chat
from runtime.policies.auction import TERMS
from runtime.policies.forecast import Noted
from tests.runtime.fleet import request

CHEAP, DEAR = TokenPrices(0.01, 0.001, 0.02), TokenPrices(0.02, 0.002, 0.04)
KEEN = Preferences(100.0, 1.0)


def agent(name: str, prices: TokenPrices = CHEAP, slots: int = 8, model: str = "m") -> Agent:
    return Agent(name, EngineInfo(model, 4, 1000, 1000, slots, "t", simulated=True), prices, slots, depth=1)


def pair() -> list[Agent]:
    return [agent("a", CHEAP, model="small"), agent("b", DEAR, model="large")]


def fleet(agents: list[Agent], *jobs: tuple[Job, ...], now: float = 10.0) -> Fleet:
    held = jobs or ((),) * len(agents)
    return Fleet(tuple(agents), np.ones(len(agents), bool), held, now, np.full(len(agents), -inf))


def offer(
    name: str, preferences: Preferences = KEEN, *, bidder: str = "", words: int = 30, agents: int = 2, turn: int = 0
) -> Offer:
    made = request(name, " ".join(f"{name}{k}" for k in range(words)), bidder=bidder or name)
    return Offer(made, preferences, (encode_chat(made.messages),) * agents, turn, 10.0)


def auction(agents: list[Agent], **options: object) -> Auction:
    made = Auction(find_mechanism("vcg"), **options)  # type: ignore[arg-type]
    made.attach(agents)
    return made


def serve(policy: Auction, made: Offer, at: int, *, seconds: float = 1.0, right: bool = True, now: float = 0.0) -> None:
    """The life of a request, as events."""
    length = len(made.tokens[at])
    note = Noted(length, 0, seconds)
    policy.notice(Decided(now, made, at, 0, None, note))
    policy.notice(Dispatched(now, made, at, 0, note))
    policy.notice(FirstToken(now + seconds, made, at, note))
    took = Completion("x", length, 0, 4, seconds, seconds + 1, (*made.tokens[at], 1, 2, 3, 4))
    policy.notice(Served(now + seconds + 1, made, at, took, now, now, 0, 0, 0, float(right), None, note))


def busy(count: int, tokens: int = 200) -> tuple[Job, ...]:
    return tuple(Job(Noted(tokens, 0, 1.0), 9.0 if k == 0 else None) for k in range(count))


reports = st.builds(
    Preferences,
    st.floats(0, 500),
    st.floats(0, 30),
    st.one_of(st.just(inf), st.floats(0.5, 60)),
    st.floats(0, 100),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(reports, reports), min_size=1, max_size=4))
def test_no_present_report_enters_the_terms_of_a_round(told: list[tuple[Preferences, Preferences]]) -> None:
    agents = pair()
    policy = auction(agents, budget=50.0)
    for k in range(4):
        serve(policy, offer(f"past{k}", Preferences(20.0 * k, k), bidder=f"x{k}"), k % 2)
    state = fleet(agents, busy(2), busy(1))
    one, two = ([offer(f"r{k}", pairs[side]) for k, pairs in enumerate(told)] for side in (0, 1))
    terms, others = policy.terms(one, state), policy.terms(two, state)
    assert np.array_equal(terms.fees, others.fees) and np.array_equal(terms.latency, others.latency)
    assert np.array_equal(terms.places.agents, others.places.agents)
    for part in ("cost", "quality", "possible", "start", "service"):
        assert np.array_equal(getattr(terms.outlook, part), getattr(others.outlook, part))


def test_a_bidders_own_past_reports_are_not_in_the_fees_they_face() -> None:
    agents = pair()
    faced = []
    for worth, delay in ((1.0, 0.1), (500.0, 30.0)):
        policy = auction(agents)
        for k in range(3):
            serve(policy, offer(f"p{k}", Preferences(50.0, 2.0), bidder=f"x{k}"), k % 2)
        serve(policy, offer("own", Preferences(worth, delay), bidder="me"), 0)
        faced.append(policy.terms([offer("r", bidder="me")], fleet(agents)).fees)
    assert np.array_equal(*faced)


def test_fees_are_never_negative_without_a_budget_for_exploration() -> None:
    agents = pair()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        policy = auction(agents)
        for k in range(12):
            reported = Preferences(float(rng.uniform(1, 300)), float(rng.uniform(0, 9)))
            serve(policy, offer(f"p{k}", reported), int(rng.integers(2)), seconds=float(rng.uniform(0.1, 3)), now=k / 2)
        offers = [offer(f"r{k}", words=int(rng.integers(5, 80))) for k in range(3)]
        state = fleet(agents, busy(int(rng.integers(3))), busy(int(rng.integers(3))))
        assert policy.terms(offers, state).fees.min() >= 0
        outcome = policy.decide(offers, state).outcome
        assert outcome is not None and outcome.surplus >= 0


def test_exploration_spends_its_budget_and_no_more() -> None:
    agents = pair()
    policy = auction(agents, budget=5.0)
    assert (policy.terms([offer("r")], fleet(agents)).fees == 0).all()
    for k in range(3):
        serve(policy, offer(f"p{k}", Preferences(100.0, 1.0)), 0)
    spent = 0.0
    for k in range(60):
        decision = policy.decide([offer(f"r{k}")], fleet(agents))
        assert decision.outcome is not None
        spent += max(-decision.outcome.surplus, 0) / 1e6
        j = int(decision.agents[0])
        if j >= 0:
            policy.notice(
                Decided(10.0, offer(f"r{k}"), j, int(decision.charges[0]), decision.predicted[0], decision.notes[0])
            )
        assert spent <= policy.spent + 1e-6 <= 5.0 + 1e-5
    assert spent > 0


def test_a_worse_agent_is_taken_where_the_queue_costs_others_more() -> None:
    agents = [agent("a"), agent("b")]
    policy = auction(agents, without=["continuation", "gathering"])
    for k in range(20):
        serve(policy, offer(f"p{k}", Preferences(50.0, 20.0)), 0, now=k / 4)
    asked = [offer("r")]
    fees = policy.terms(asked, fleet(agents, busy(2), ())).fees[0]
    assert fees[0] > fees[1] == 0
    none = auction(agents, without=["congestion", "continuation"])
    assert (none.terms(asked, fleet(agents, busy(2), ())).fees == 0).all()


def test_each_request_is_decided_once_a_place_or_declined() -> None:
    agents = [agent("a")]
    policy = auction(agents)
    offers = [offer(f"r{k}", Preferences(10.0 * (k + 1), 0.5), agents=1) for k in range(5)]
    decision = policy.decide(offers, fleet(agents))
    assert decision.positions is not None
    placed = [int(decision.positions[i]) for i in range(5) if decision.agents[i] == 0]
    assert sorted(placed) == list(range(len(placed)))
    assert set(decision.agents.tolist()) <= {0, UNSERVED}
    poor = policy.decide([offer("poor", Preferences(0.0, 1.0), agents=1)], fleet(agents))
    assert poor.agents.tolist() == [UNSERVED]


def test_who_loses_most_by_waiting_goes_first_and_pays_for_it() -> None:
    agents = [agent("a")]
    policy = auction(agents)
    calm, hasty = Preferences(200.0, 0.01), Preferences(200.0, 20.0)
    decision = policy.decide([offer("calm", calm, agents=1), offer("hasty", hasty, agents=1)], fleet(agents))
    assert decision.positions is not None and decision.positions.tolist() == [1, 0]
    assert decision.charges[1] > decision.charges[0]
    assert decision.displaced is not None and decision.displaced.tolist() == [False, True]


def test_requests_of_one_bidder_are_one_player() -> None:
    agents = [agent("a")]
    for owner, displaced in (("me", False), ("you", True)):
        policy = auction(agents)
        offers = [
            offer("r", Preferences(100.0, 5.0), bidder="me", agents=1),
            offer("s", Preferences(100.0, 4.0), bidder=owner, agents=1),
        ]
        assert policy.decide(offers, fleet(agents)).displaced.any() == displaced  # type: ignore[union-attr]


def test_a_request_that_will_be_late_is_worth_less() -> None:
    agents = [agent("a")]
    policy = auction(agents)
    for k in range(30):
        serve(policy, offer(f"p{k}", agents=1), 0, seconds=5.0, now=10.0 * k)
    hopeless = replace(KEEN, deadline=0.5)
    assert policy.decide([offer("r", hopeless, agents=1)], fleet(agents, now=400.0)).agents.tolist() == [UNSERVED]
    assert policy.decide([offer("r", KEEN, agents=1)], fleet(agents, now=400.0)).agents.tolist() == [0]


def test_time_that_has_passed_is_lost_whatever_is_decided() -> None:
    agents = [agent("a")]
    policy = auction(agents)
    fresh, old = offer("r", agents=1), replace(offer("r", agents=1), arrived_s=-500.0)
    charges = [policy.decide([one], fleet(agents)).charges.tolist() for one in (fresh, old)]
    assert charges[0] == charges[1]


def test_what_being_declined_would_end_counts_for_being_served() -> None:
    agents = [agent("a")]
    policy = auction(agents)
    poor = Preferences(0.1, 0.0)
    assert policy.decide([offer("r", poor, agents=1)], fleet(agents)).agents.tolist() == [UNSERVED]
    assert policy.decide([offer("r", replace(poor, stake=50.0), agents=1)], fleet(agents)).agents.tolist() == [0]


def test_a_round_waits_while_every_agent_has_a_prompt_to_compute() -> None:
    agents = pair()
    policy, eager = auction(agents), auction(agents, without=["gathering"])
    decoding = (Job(None, 1.0, 2.0),)
    assert policy.ready(fleet(agents)) and policy.ready(fleet(agents, busy(1), decoding))
    assert not policy.ready(fleet(agents, busy(1), busy(2)))
    assert eager.ready(fleet(agents, busy(1), busy(2)))
    dead = replace(fleet(agents, busy(1), ()), alive=np.array([True, False]))
    assert not policy.ready(dead)


def test_reports_beyond_reason_stay_within_money() -> None:
    agents = pair()
    policy = auction(agents)
    decision = policy.decide([offer("r", Preferences(1e6, 1e6)), offer("s")], fleet(agents, busy(8), busy(8)))
    assert decision.agents[1] >= 0


def test_forecasts_beyond_reason_stay_within_money_too() -> None:
    """Engines that hung for days as they died are forecast to hang again: others' wait is no sum that money has."""
    agents = pair()
    policy = auction(agents)
    for k, bidder in enumerate("abc"):
        serve(policy, offer(f"p{k}", Preferences(500.0, 30.0), bidder=bidder), k % 2, seconds=1e6, now=1e6 * k)
    policy.notice(Decided(4e6, offer("q", Preferences(500.0, 30.0), bidder="b"), 0, 0, None, Noted(200, 0, 1e6)))
    decision = policy.decide([offer("r", bidder="d")], fleet(agents, busy(8), busy(8), now=4e6))
    assert len(decision.agents) == 1


def test_a_wall_makes_later_places_wait_for_slots() -> None:
    agents = [agent("a", slots=2)]
    policy = auction(agents)
    for k in range(5):
        serve(policy, offer(f"p{k}", agents=1), 0, now=10.0 * k)
    free = policy.terms([offer("r", agents=1)], fleet(agents, (), now=60.0)).latency[0, 0]
    full = policy.terms([offer("r", agents=1)], fleet(agents, (Job(None, 1.0, 2.0),) * 2, now=60.0)).latency[0, 0]
    assert full > free + 0.5


def test_unknown_terms_and_budgets_are_refused() -> None:
    with pytest.raises(ServingError, match="no term queue; there are: congestion, continuation, exploration"):
        Auction(find_mechanism("vcg"), without=["queue"])
    with pytest.raises(ServingError, match="budget = -1"):
        Auction(find_mechanism("vcg"), budget=-1)
    assert set(TERMS) == {"congestion", "continuation", "exploration", "gathering"}


def test_declined_requests_teach_what_was_reported_and_leave_nothing_else() -> None:
    agents = pair()
    policy = auction(agents)
    for k in range(500):
        policy.notice(Declined(1.0, offer(f"r{k}", Preferences(7.0, 3.0), bidder=f"b{k % 5}"), "no"))
    assert policy._others.typical_without("b0") == (7.0, 3.0)
    assert len(policy._others._types) == 5
