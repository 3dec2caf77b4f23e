"""`iemas serve` as a process over engines that die of some requests: the others are served all the same."""

import asyncio

import pytest

from tests.benchmarks.gateway.engines import engines
from tests.benchmarks.gateway.peers import PEERS
from tests.benchmarks.gateway.poison import poison

pytestmark = pytest.mark.slow


def test_requests_that_kill_whoever_serves_them_cost_no_other_its_answer() -> None:
    with engines() as fleet, PEERS["iemas auction"].run(fleet) as running:
        row = asyncio.run(poison(running, poisoned=8, innocent=20))
    assert row["served"] == row["innocent"] == 20
    assert row["answered 5xx"] == row["poisoned"] == 8 and row["engines killed"] >= 3
    assert row["never ended"] == 0
