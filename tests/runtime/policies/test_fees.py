"""Fees in numbers that can be checked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms import Preferences
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
