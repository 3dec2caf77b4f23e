"""What a server's events are worth to the forecast of hits, under eviction, on a real vLLM server.

    pytest tests/benchmarks/bench_kv_events.py -o python_files='bench_*.py' -m vllm -p no:benchmark

The same requests with and without events, and with others at the server whom the gateway does not see.
"""

import asyncio
import os
from pathlib import Path

import pytest

from tests.runtime.gateway.real.gateway import serving
from tests.runtime.gateway.real.pressure import press, small_cache
from tests.runtime.gateway.real.report import figures

pytestmark = pytest.mark.vllm

SHOWN = ("served", "hit_rate", "hit_rate_predicted", "hit_error", "over", "under")


@pytest.mark.parametrize("besides", [False, True], ids=["alone", "besides"])
@pytest.mark.parametrize("events", [False, True], ids=["without", "events"])
def test_predicted_and_measured_hits(events: bool, besides: bool, tmp_path: Path, row: list[dict[str, object]]) -> None:
    requests = int(os.environ.get("IEMAS_REQUESTS", "60"))
    with serving(small_cache(tmp_path, events=events)) as gateway:
        told = asyncio.run(press(gateway, requests, besides=besides))
        found = figures(gateway.notes)
    assert [one for one in told if not one.whole] == []
    kind = f"{'events' if events else 'no events'}, {'others besides' if besides else 'alone'}"
    row.append({"table": "KV events", "kind": kind} | {name: float(found[name]) for name in SHOWN})
