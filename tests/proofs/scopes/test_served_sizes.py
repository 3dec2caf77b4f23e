"""Markets as served have sizes and bidders of their own: a bidder of the scope is never taken for an agent."""

import numpy as np
import pytest

from allocation import Market, MinCostFlow
from mechanisms import VCG, Mechanism, PayAsBid
from proofs import ALL, Status, Truthful, audit
from proofs.misreports.misreport import Misreport
from proofs.properties.agents import TruthfulAgents
from proofs.samples.random_search import sides
from proofs.scopes.served import Served

pytestmark = pytest.mark.usefixtures("replayed_here")

EXACT = Mechanism(MinCostFlow(), VCG())


def served(seed: int) -> Served:
    rng = np.random.default_rng(seed)
    markets = []
    for _ in range(6):
        n, m = int(rng.integers(1, 6)), int(rng.integers(1, 4))
        values, costs = rng.integers(0, 10**6, (n, m)), rng.integers(0, 10**5, (n, m))
        markets.append(Market(values, costs, rng.integers(0, 3, m), bidders=rng.integers(0, 4, n) * 7))
    return Served(markets, seed)


def test_vcg_is_contradicted_by_no_market_of_any_size() -> None:
    for seed in range(10):
        assert not audit(EXACT, served(seed), ALL).refuted


def test_bidders_of_any_number_are_tried() -> None:
    for seed in range(3):
        found = audit(Mechanism(MinCostFlow(), PayAsBid()), served(seed), [Truthful()])["truthful"]
        assert found.status is Status.REFUTED and found.counterexample is not None
        assert isinstance(found.counterexample.misreport, Misreport)


def test_players_of_a_scope_are_those_of_each_market() -> None:
    market = Market([[1, 2], [3, 4]], [[0, 0], [0, 0]], [1, 1], bidders=[21, 7])
    assert sides(market, range(5), 5) == ([21, 7], [])
    assert sides(market, range(1), 5) == ([7], [])
    assert sides(market, [0, 1, 5, 6], 5) == ([21, 7], [0, 1])
    assert sides(market, range(5, 9), 5) == ([], [0, 1])
    agents = TruthfulAgents().players(Served([market]))
    assert sides(market, agents, 2) == ([], [0, 1])
