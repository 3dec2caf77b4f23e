"""Many markets at once are decided and charged as one by one; removal without solving again is removal."""

import numpy as np
import pytest
from hypothesis import given, settings

from allocation import Greedy, Market, MarketError, MinCostFlow, OrTools
from mechanisms import VCG, BatchMechanism, Mechanism, PayAsBid
from mechanisms.mechanism import run_each
from tests.benchmarks.kinds import ADVERSARIAL, ORDINARY, make
from tests.markets import markets


@pytest.mark.parametrize(
    "mechanism",
    [Mechanism(MinCostFlow(), VCG()), Mechanism(MinCostFlow(), PayAsBid()), Mechanism(Greedy(), VCG())],
    ids=str,
)
@settings(max_examples=300, deadline=None)
@given(market=markets(owners=True))
def test_a_batch_is_run_as_its_members_are(mechanism: Mechanism, market: Market) -> None:
    values = np.stack([market.values, market.values[::-1], np.minimum(market.values + 1, 2**40)])
    batch = mechanism.run_many(values, market)
    for b in range(3):
        alone = mechanism.run(market.replace(values=values[b]))
        assert batch.agents[b].tolist() == alone.allocation.agents.tolist()
        assert batch.charges[b].tolist() == alone.payments.charges.tolist()
        assert batch.receipts[b].tolist() == alone.payments.receipts.tolist()


def test_a_mechanism_is_a_batch_mechanism_and_others_go_one_by_one() -> None:
    class Nobody:
        def run(self, market: Market) -> object:
            return Mechanism(MinCostFlow(), PayAsBid()).run(market)

    template = Market([[5, 3], [4, 1]], [[1, 1], [1, 1]], [1, 1])
    assert isinstance(Mechanism(MinCostFlow(), VCG()), BatchMechanism)
    assert not isinstance(Nobody(), BatchMechanism)
    assert run_each(Nobody(), template.values[None], template).charges.tolist() == [[3, 4]]  # type: ignore[arg-type]


def test_values_that_do_not_fit_are_refused() -> None:
    template = Market([[5, 3], [4, 1]], [[1, 1], [1, 1]], [1, 1])
    mechanism = Mechanism(MinCostFlow(), VCG())
    with pytest.raises(MarketError, match=r"expected \(markets, 2, 2\)"):
        mechanism.run_many(np.zeros((4, 3, 2), np.int64), template)
    with pytest.raises(MarketError, match="float"):
        mechanism.run_many(np.zeros((4, 2, 2)), template)
    assert mechanism.run_many(np.zeros((0, 2, 2), np.int64), template).charges.shape == (0, 2)


@pytest.mark.parametrize("kind", [*ORDINARY, *ADVERSARIAL])
def test_payments_in_large_markets_equal_removal_by_or_tools(kind: str) -> None:
    rng = np.random.default_rng(3)
    plain = make(kind, 600, 8, 5)
    market = Market(plain.values, plain.costs + 3, plain.capacities, plain.feasible, rng.integers(0, 350, 600))
    outcome = Mechanism(MinCostFlow(), VCG()).run(market)
    weights, costs = market.take(market.weights, outcome.allocation), market.take(market.costs, outcome.allocation)
    for bidder in rng.choice(market.players, 12, replace=False):
        mine = market.requests_of(bidder)
        rest = market.without(bidder)
        alone = rest.welfare(OrTools().allocate(rest))
        assert outcome.payments.charges[mine].sum() == alone - np.delete(weights, mine).sum() + costs[mine].sum()
