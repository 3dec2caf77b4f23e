"""Fees in numbers that can be checked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms import Preferences
from runtime.policies import fees_kernels
from runtime.policies.fees import MEMORY_S, Others, TrafficMeter, against_unserved, congestion
from runtime.policies.forecast import Outlook


def outlook(start: list[float], service: list[list[float]]) -> Outlook:
    shape = np.shape(service)
    zeros, ones = np.zeros(shape), np.ones(shape, bool)
    whole = np.zeros(shape, np.int64)
    row = np.zeros(shape[1])
    return Outlook(
        np.array(start),
        np.array(service),
        zeros,
        zeros,
        ones,
        whole,
        whole,
        zeros,
        row.astype(np.int64),
        row,
    )


def test_congestion_is_what_later_arrivals_wait() -> None:
    fee = congestion(outlook([0.0, 3.0], [[2.0, 2.0]]), np.array([[5.0, 5.0]]))
    assert fee.tolist() == [[2 * 5 * 1.0, 2 * 5 * 4.0]]


def test_fees_are_measured_against_declining() -> None:
    possible = np.ones((3, 2), bool)
    loss = np.array([[10.0, 10.0], [-30.0, -20.0], [5.0, -2.0]])
    assert against_unserved(loss, possible).tolist() == [[10.0, 10.0], [0.0, 10.0], [7.0, 0.0]]
    possible[1, 0] = False
    assert against_unserved(loss, possible)[1].tolist() == [0.0, 0.0]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 100), st.floats(0, 9)), min_size=1, max_size=30))
def test_typical_is_the_median_of_the_others(told: list[tuple[str, float, float]]) -> None:
    others = Others()
    last: dict[str, tuple[float, float]] = {}
    for bidder, worth, delay in told:
        others.learn(bidder, Preferences(worth, delay))
        last[bidder] = worth, delay
    for bidder in "abcdefg":
        rest = [types for name, types in last.items() if name != bidder]
        expected = tuple(sorted(column)[(len(rest) - 1) // 2] for column in zip(*rest, strict=True)) or (0.0, 0.0)
        assert others.typical_without(bidder) == expected


def test_delay_flow_leaves_out_the_bidder_and_fades() -> None:
    meter = TrafficMeter(2)
    for k in range(60):
        meter.arrived(0, "x", 2.0, 1, 10, float(k))
        meter.arrived(1, "me", 50.0, 1, 10, float(k))
    assert meter.delay_flows(60.0, ["me"])[0] == pytest.approx([2.0, 0.0], rel=0.05)
    assert meter.delay_flows(60.0, ["you", "x"])[1] == pytest.approx([0.0, 50.0], rel=0.05)
    assert meter.delay_flows(60.0 + 5 * MEMORY_S, ["me"])[0, 0] < 0.02


def test_the_future_is_as_its_formula_has_it_whoever_else_is_asked() -> None:
    rng = np.random.default_rng(3)
    n, m = 5, 4
    quality, typical, prices = rng.random((n, m)), rng.uniform(1, 90, (n, 2)), rng.uniform(0.001, 0.04, (m, 3))
    prompt = rng.integers(20, 900, (n, m))
    cached, output = prompt // rng.integers(1, 9, (n, m)), rng.uniform(1, 40, (n, m))
    possible = rng.random((n, m)) < 0.7
    base, per_token = rng.random(m) / 10, rng.random(m) / 500
    turns, growth = 3.5, 21.0
    found = fees_kernels.future(
        quality, prompt, cached, output, possible, typical, base, per_token, prices, turns, growth
    )
    for i, (worth, delay) in enumerate(typical):
        fresh, held, out = prices.T
        seconds = base + per_token * growth
        turn = worth * quality[i] - delay * seconds - held * prompt[i] - fresh * growth - out * output[i]
        missing = prompt[i] + output[i] - cached[i]
        moved = turns * turn - missing * (fresh - held) - delay * per_token * missing
        for j in range(m):
            others = [moved[k] for k in range(m) if k != j and possible[i, k]]
            assert found[i, j] == pytest.approx(max([turns * turn[j], 0.0, *others]))
    alone = fees_kernels.future(
        quality[:1],
        prompt[:1],
        cached[:1],
        output[:1],
        possible[:1],
        typical[:1],
        base,
        per_token,
        prices,
        turns,
        growth,
    )
    assert alone[0].tolist() == found[0].tolist()
