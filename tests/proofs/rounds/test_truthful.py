"""Misreports over several rounds: what per-round VCG invites, and the dynamic pivot mechanism does not."""

from collections.abc import Sequence

import numpy as np
import pytest

from allocation import Allocation, Market, MinCostFlow
from allocation.money import Money
from mechanisms import VCG, DynamicPivot, Mechanism, Outcome, PayAsBid, Payments, PerRound, World
from mechanisms.dynamic import PastRound, served_in
from proofs import AuditError, ReplayError, Status, audit_rounds
from proofs.rounds.conversations import Conversations
from proofs.rounds.truthful import MultiRoundDeviation, multi_round_gain

EACH = PerRound(Mechanism(MinCostFlow(), VCG()))
PLANNED = DynamicPivot()

WORLDS = [
    (Conversations(bidders=1), range(4)),
    (Conversations(bidders=2), range(4)),
    (Conversations(bidders=2, rounds=3), range(4)),
    (Conversations(bidders=2, document=2, cache=1), range(5)),
    (Conversations(bidders=2, agents=2, fresh=1), range(3)),
    (Conversations(bidders=1, cached=1, presumed=2), range(6)),
    (Conversations(bidders=2, presumed=2), range(5)),
    (Conversations(bidders=2, capacity=2), range(4)),
]


@pytest.fixture
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replays here: a fresh process takes seconds, and one test about it is enough."""
    monkeypatch.setattr(
        "proofs.evidence.evidence.evaluated_afresh", lambda expression, amount: f"{eval(expression) - amount} off"
    )


@pytest.mark.parametrize(("world", "values"), WORLDS, ids=str)
def test_no_misreport_over_rounds_gains_under_the_dynamic_pivot(world: Conversations, values: range) -> None:
    found = audit_rounds(PLANNED, world, values)
    assert found and found.worst == 0
    types, sequences = len(values) ** world.agents, len(values) ** (world.agents * world.rounds)
    assert found.cases == types**world.bidders * world.bidders * (sequences - 1)


def test_the_smallest_misreport_that_buys_a_cache() -> None:
    found = audit_rounds(EACH, Conversations(bidders=2), range(4))
    assert found.status is Status.REFUTED and found.note == "replayed in a fresh process"
    deviation = found.evidence
    assert deviation is not None and (deviation.world.bidders, deviation.world.agents) == (1, 1)
    assert (deviation.values, deviation.reports, deviation.amount) == (((2,),), ((3,), (2,)), 1)
    assert str(deviation).splitlines() == [
        "bidder 0 reports [3], then [2] instead of [2] in every round and gains 1; true values [[2]]; 2 rounds, "
        "capacity 1 per agent; documents of 1 and questions of 1 token; 1 per fresh token, 0 per cached one",
        "honest: agents [-1] charges [0]; agents [-1] charges [0] | "
        "deviating: agents [0] charges [2]; agents [0] charges [1]",
    ]
    assert eval(deviation.expression(EACH)) == deviation.replay(EACH) == 1
    with pytest.raises(ReplayError, match="nothing fails now"):
        deviation.replay(PLANNED)


def test_the_planner_serves_of_its_own_accord_whom_the_misreport_would_have_served() -> None:
    world = Conversations(bidders=1)
    first = PLANNED.decide(world, np.array([[2]]), ())
    second = PLANNED.decide(world, np.array([[2]]), (PastRound.of(first),))
    assert [outcome.allocation.agents.tolist() for outcome in (first, second)] == [[0], [0]]
    assert [outcome.payments.charges.tolist() for outcome in (first, second)] == [[2], [1]]


def test_a_misreport_may_take_another_bidders_cache() -> None:
    theft = MultiRoundDeviation.of(EACH, Conversations(bidders=2), [(3,), (3,)], 1, [(4,), (3,)])
    assert theft is not None and theft.amount == 1
    # Both value the agent at 3, so whoever is served gains nothing in round 1 and 1 in round 2.
    assert [(answer.agents, answer.charges) for answer in theft.honest] == [((0, -1), (3, 0)), ((0, -1), (2, 0))]
    assert [(answer.agents, answer.charges) for answer in theft.deviating] == [((-1, 0), (0, 3)), ((-1, 0), (0, 2))]


@pytest.mark.usefixtures("same_process")
def test_three_rounds_pay_the_misreport_twice() -> None:
    found = audit_rounds(EACH, Conversations(bidders=1, rounds=3), range(4))
    assert found.worst == 2 and found.note == "0 off"


@pytest.mark.usefixtures("same_process")
def test_a_misreport_may_buy_knowledge_in_place_of_a_cache() -> None:
    # Tokens cost the same, cached or not; but the predictor expects double of an agent that it never saw serve.
    found = audit_rounds(EACH, Conversations(bidders=1, cached=1, presumed=2), range(6))
    assert found.status is Status.REFUTED and found.evidence is not None
    assert found.evidence.world.presumed == 2 and found.evidence.reports[0] > found.evidence.values[0]


@pytest.mark.usefixtures("same_process")
def test_without_memory_truth_in_every_round_is_truth_over_rounds() -> None:
    assert audit_rounds(EACH, Conversations(bidders=2, cached=1), range(4))
    assert not audit_rounds(
        PerRound(Mechanism(MinCostFlow(), PayAsBid())), Conversations(bidders=1, cached=1), range(5)
    )


@pytest.mark.usefixtures("same_process")
def test_a_coarse_grid_hides_the_misreport() -> None:
    assert audit_rounds(EACH, Conversations(bidders=1), range(3))
    assert not audit_rounds(EACH, Conversations(bidders=1), range(4))


class Overbooked:
    """Serves everybody at agent 0, for nothing."""

    def decide(self, world: World, values: Money, past: Sequence[PastRound]) -> Outcome:
        n, m = values.shape
        nothing = Payments(np.zeros(n, np.int64), np.zeros(m, np.int64))
        return Outcome(world.market(values, served_in(past)), Allocation(np.zeros(n, np.int64)), nothing)


def test_questions_that_make_no_sense_are_refused() -> None:
    with pytest.raises(AuditError, match="capacity is 1"):
        audit_rounds(Overbooked(), Conversations(bidders=2), range(2))
    with pytest.raises(AuditError, match="do not fit"):
        MultiRoundDeviation.of(EACH, Conversations(bidders=1), [(1,)], 0, [(1,)])
    with pytest.raises(AuditError, match="rounds = 0"):
        Conversations(rounds=0)
    with pytest.raises(AuditError, match="fresh = -1"):
        Conversations(fresh=-1)
    assert multi_round_gain(PLANNED, Conversations(bidders=1), [(2,)], 0, [(3,), (2,)]) == 0


class LearntReserve:
    """A posted price: the highest bid of the round before."""

    def decide(self, world: World, values: Money, past: Sequence[PastRound]) -> Outcome:
        reserve = max((value for row in past[-1].reports for value in row), default=0) if past else 0
        return reserved(world.market(values, served_in(past)), reserve)

    def __str__(self) -> str:
        return "learnt reserve"


class Remembering:
    """The same reserve, kept in the object instead of read from the past rounds."""

    def __init__(self) -> None:
        self.bid = 0

    def decide(self, world: World, values: Money, past: Sequence[PastRound]) -> Outcome:
        reserve, self.bid = self.bid, int(values.max(initial=0))
        return reserved(world.market(values, served_in(past)), reserve)


def reserved(market: Market, reserve: int) -> Outcome:
    """Whoever bids at least the reserve is served at that price; for one bidder and one agent."""
    served = bool(market.values[0, 0] >= reserve)
    allocation = Allocation(np.array([0 if served else -1]))
    return Outcome(market, allocation, Payments(np.array([reserve * served]), np.zeros(1, np.int64)))


#: Nothing is cached, so that nothing but the reserve connects the rounds.
PLAIN = Conversations(bidders=1, fresh=0, cached=0)


@pytest.mark.usefixtures("same_process")
def test_a_reserve_learnt_from_bids_is_shaded_for() -> None:
    found = audit_rounds(LearntReserve(), PLAIN, range(4))
    assert found.status is Status.REFUTED and found.worst == 3
    # By hand: value 3, reports 0 then 3: served for nothing in both rounds, where honesty pays 3 in the second.
    assert multi_round_gain(LearntReserve(), PLAIN, [(3,)], 0, [(0,), (3,)]) == 3


def test_a_mechanism_with_a_memory_of_its_own_is_refused() -> None:
    with pytest.raises(AuditError, match=r"memory of its own.*past rounds"):
        audit_rounds(Remembering(), PLAIN, range(4))
