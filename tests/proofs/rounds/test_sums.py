"""Sums over honest rounds: what holds in every round may fail over all of them."""

from itertools import product

import numpy as np
import pytest

from allocation import MinCostFlow
from mechanisms import VCG, DynamicPivot, Mechanism, PerRound
from mechanisms.catalogue import promised
from mechanisms.dynamic import over_rounds
from proofs import Status, audit_plays
from proofs.rounds.conversations import Conversations
from proofs.rounds.sums import OVER_ROUNDS
from proofs.rounds.sums import _best as best_plan

EACH = PerRound(Mechanism(MinCostFlow(), VCG()))
PLANNED = DynamicPivot()


def verdicts(mechanism: object, world: Conversations, values: object) -> list[bool]:
    return [bool(found) for found in audit_plays(mechanism, world, values)]  # type: ignore[arg-type]


@pytest.mark.parametrize("rounds", [2, 3])
def test_one_round_after_the_other_wastes_what_a_plan_would_gain(rounds: int) -> None:
    world = Conversations(bidders=2, rounds=rounds)
    assert verdicts(EACH, world, range(4)) == [True, True, False]
    assert verdicts(PLANNED, world, range(4)) == [True, True, True]
    wasted = audit_plays(EACH, world, range(4))[2]
    assert wasted.status is Status.REFUTED and wasted.cases == 16 and wasted.evidence is not None
    assert (wasted.evidence.world.bidders, wasted.evidence.values) == (1, ((2,),))
    assert wasted.worst >= wasted.evidence.amount > 0


def test_who_teaches_the_predictor_may_pay_less_than_they_cost() -> None:
    world = Conversations(bidders=2, rounds=3, capacity=2, presumed=3)
    rational, funded, efficient = audit_plays(PLANNED, world, (0, 3))
    assert rational and efficient and not funded and funded.evidence is not None
    assert str(funded.evidence).startswith("the auctioneer loses 2 over all rounds: agents ")
    assert verdicts(EACH, world, (0, 3))[:2] == [True, True]


def test_the_optimum_is_that_of_every_sequence_of_allocations() -> None:
    world, values = Conversations(bidders=2), np.array([[3], [2]])
    best = 0
    for first, second in product([(-1, -1), (0, -1), (-1, 0)], repeat=2):
        welfare = 0
        for agents, history in ((first, ()), (second, (first,))):
            weights = world.market(values, history).weights[:, 0]
            welfare += sum(int(weights[i]) for i, agent in enumerate(agents) if agent == 0)
        best = max(best, welfare)
    assert best == best_plan(world, values, ()) == 3


def test_what_adds_up_is_promised_over_rounds() -> None:
    assert set(over_rounds(promised("vcg"))) == set(OVER_ROUNDS[:2])
    assert over_rounds(promised("vcg", "random")) == {}
