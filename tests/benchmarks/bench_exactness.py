"""The long sweep: every answer and every payment against OR-tools, to the micro-unit. No mismatch is tolerated."""

import numpy as np
import pytest

from allocation import Market, MinCostFlow
from mechanisms import VCG, Mechanism
from tests.benchmarks.kinds import ADVERSARIAL, ORDINARY, make
from tests.benchmarks.rivals import or_tools
from tests.markets import random_market

Rows = list[dict[str, object]]


def mismatches(market: Market, requests: np.ndarray) -> tuple[int, int]:
    """Wrong answers among welfare, certificate and the payments of these requests; and how many were compared."""
    outcome = Mechanism(MinCostFlow(), VCG()).run(market)
    total = or_tools(market) if market.shape[0] else 0
    wrong = int(market.certify(outcome.allocation) != total)
    weights = market.take(market.weights, outcome.allocation)
    costs = market.take(market.costs, outcome.allocation)
    for i in requests:
        rest = market.without(int(i))
        without = or_tools(rest) if rest.shape[0] else 0
        wrong += int(outcome.payments.charges[i] - costs[i] != without - (total - weights[i]))
    return wrong, len(requests)


def report(rows: Rows, name: str, markets: int, payments: int, wrong: int) -> None:
    rows.append({"table": "exactness", "kind": name, "markets": markets, "payments": payments, "mismatches": wrong})
    assert wrong == 0


def test_small_markets(row: Rows, full: bool) -> None:
    if not full:
        pytest.skip("measured in the full run alone: make bench BENCH=--full")
    rng = np.random.default_rng(20)
    wrong = payments = 0
    for _ in range(20_000):
        market = random_market(rng, int(rng.integers(0, 8)), int(rng.integers(1, 5)))
        bad, compared = mismatches(market, np.arange(market.shape[0]))
        wrong, payments = wrong + bad, payments + compared
    report(row, "small, every payment", 20_000, payments, wrong)


def test_large_markets(row: Rows, full: bool) -> None:
    if not full:
        pytest.skip("measured in the full run alone: make bench BENCH=--full")
    rng = np.random.default_rng(21)
    kinds = [*ORDINARY, *ADVERSARIAL]
    wrong = payments = 0
    for turn in range(200):
        n, m = int(rng.choice([500, 2000, 5000, 9000])), int(rng.choice([1, 3, 10, 30]))
        market = make(kinds[turn % len(kinds)], n, m, turn, float(rng.choice([0.1, 0.5, 0.9, 1.0, 1.5])))
        bad, compared = mismatches(market, rng.choice(n, 3))
        wrong, payments = wrong + bad, payments + compared
    report(row, "large, three payments each", 200, payments, wrong)
