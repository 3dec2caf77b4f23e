"""The dynamic pivot mechanism against plans made without regard for speed, and against VCG where there is one round."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings

from allocation import BruteForce, Market, MinCostFlow
from allocation.money import Money
from mechanisms import VCG, DynamicMechanism, DynamicPivot, Mechanism, PerRound, World
from mechanisms.dynamic import History, PastRound
from proofs.rounds.conversations import Conversations
from tests.markets import markets

PLANNED = DynamicPivot()


@pytest.mark.parametrize("rounds", [2, 3])
def test_the_plan_is_the_best_of_all_plans_and_utilities_are_marginal_contributions(rounds: int) -> None:
    world, rng = Conversations(bidders=2, rounds=rounds, cache=1), np.random.default_rng(rounds)
    for _ in range(20):
        values = rng.integers(0, 6, (2, 1))
        past: tuple[PastRound, ...] = ()
        welfare, utility = 0, np.zeros(2, np.int64)
        for _ in range(rounds):
            outcome = PLANNED.decide(world, values, past)
            welfare += outcome.welfare
            utility += np.array(list(outcome.bidder_utilities().values()))
            past = (*past, PastRound.of(outcome))
        assert welfare == best(world, values, (), [0, 1])
        assert utility.tolist() == [welfare - best(world, values, (), [1]), welfare - best(world, values, (), [0])]


def best(world: Conversations, values: Money, history: History, present: list[int]) -> int:
    """Most welfare over the remaining rounds, written down without regard for speed."""
    if len(history) == world.rounds:
        return 0
    weights = world.market(values, history).weights[:, 0]
    options = [best(world, values, (*history, (-1, -1)), present)]
    for who in present:
        agents = (0, -1) if who == 0 else (-1, 0)
        options.append(int(weights[who]) + best(world, values, (*history, agents), present))
    return max(options)


@dataclass(frozen=True)
class Once:
    """One round, of a market that nothing went before."""

    template: Market
    rounds: int = 1

    def market(self, values: Money, history: History) -> Market:
        return self.template.replace(values=values)


@settings(max_examples=60, deadline=None)
@given(markets(max_requests=3, max_agents=2, owners=True))
def test_one_round_is_vcg(market: Market) -> None:
    pivot = PLANNED.decide(Once(market), market.values, ())
    vcg = Mechanism(BruteForce(), VCG()).run(market)
    assert pivot.welfare == vcg.welfare
    # Ties may fall differently; what a bidder ends up with may not.
    assert pivot.bidder_utilities() == vcg.bidder_utilities()
    assert min(pivot.bidder_utilities().values(), default=0) >= 0


def test_per_round_asks_the_mechanism_for_the_world_as_it_stands() -> None:
    each, world = PerRound(Mechanism(MinCostFlow(), VCG())), Conversations(bidders=1)
    assert each.decide(world, np.array([[2]]), ()).allocation.agents.tolist() == [-1]
    served = PastRound((0,), ((2,),), (0,), (0,))
    assert each.decide(world, np.array([[2]]), (served,)).payments.charges.tolist() == [1]
    assert isinstance(each, DynamicMechanism) and isinstance(world, World)
    assert (str(each), str(PLANNED)) == ("VCG over MinCostFlow in every round", "dynamic pivot")
