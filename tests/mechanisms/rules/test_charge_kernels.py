"""The arithmetic of payments is that of one request after the other."""

import numpy as np
import pytest

from allocation.money import Money
from mechanisms.rules.charge_kernels import charge, charge_many


def by_hand(costs: Money, agents: Money, prices: Money) -> tuple[list[int], list[int]]:
    charges, receipts = [], [0] * len(prices)
    for i, j in enumerate(agents):
        charges.append(0 if j < 0 else int(costs[i, j]) + int(prices[j]))
        if j >= 0:
            receipts[j] += int(costs[i, j])
    return charges, receipts


@pytest.mark.parametrize("n", [0, 1, 63, 200])
@pytest.mark.parametrize("m", [1, 7])
def test_single_requests_pay_cost_and_price(n: int, m: int) -> None:
    rng, nothing = np.random.default_rng(n), np.zeros(0, np.int64)
    costs, prices = rng.integers(-(10**12), 10**12, (n, m)), rng.integers(0, 10**12, m)
    stack = rng.integers(-1, m, (4, n))
    stack[0] = -1
    for agents in stack:
        charges, receipts = charge(costs, agents, prices, nothing, np.zeros(1, np.int64), nothing)
        assert (charges.tolist(), receipts.tolist()) == by_hand(costs, agents, prices)
    gains = np.zeros((4, 0), np.int64)
    many = charge_many(costs, stack, np.tile(prices, (4, 1)), nothing, np.zeros(1, np.int64), gains)
    for row, agents in enumerate(stack):
        assert (many[0][row].tolist(), many[1][row].tolist()) == by_hand(costs, agents, prices)
