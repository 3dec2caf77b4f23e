"""A hundred requests through the gateway over three real vLLM servers: hits, waits, welfare.

    pytest tests/benchmarks/bench_three_servers.py -o python_files='bench_*.py' -m vllm -p no:benchmark

`IEMAS_REQUESTS` is another number; ten minutes on two cores. Figures are of this machine: nothing is held but that
every request is answered whole.
"""

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.runtime.gateway.real.gateway import AGENTS, POOL, fleet_file, serving
from tests.runtime.gateway.real.report import figures
from tests.runtime.gateway.real.talks import hold_all, talks

pytestmark = pytest.mark.vllm


def test_three_servers(tmp_path: Path, row: list[dict[str, object]]) -> None:
    requests = int(os.environ.get("IEMAS_REQUESTS", "100"))
    models = ["auto", *(serves for _, _, serves in AGENTS), POOL, "auto"]
    with serving(fleet_file(tmp_path)) as gateway:
        began = time.monotonic()
        told = asyncio.run(hold_all(gateway.url, talks(requests, models, turns=5), at_once=6))
        seconds = time.monotonic() - began
        found = figures(gateway.notes)
    assert [one for one in told if not one.whole] == []
    row.extend({"table": "three servers", "kind": name, "figure": value} for name, value in found.items())
    row.append({"table": "three servers", "kind": "requests_per_s", "figure": len(told) / seconds})
    for agent, _, _ in AGENTS:
        served = sum(one.agent == agent for one in told)
        row.append({"table": "three servers", "kind": f"served by {agent}", "figure": served})
