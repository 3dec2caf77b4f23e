"""What reading and splicing a body costs, beside parsing it with the standard library and writing it anew.

Microseconds are the least of many runs; held is the ratio to `json.loads` and `json.dumps`, which lose digits as well.
"""

import json
import time
from collections.abc import Callable

import pytest

from runtime.gateway.splice import read

TURN = {"role": "user", "content": 'so "far" it was\n' * 62}
BODIES = {
    "small": {"model": "auto", "messages": [{"role": "user", "content": "hi"}]},
    "100 turns": {"model": "auto", "messages": [TURN] * 100},
    "one prompt": {"model": "auto", "messages": [{"role": "user", "content": "and so it was " * 7200}]},
    "token ids": {"model": "auto", "prompt": list(range(17_000))},
    "tools": {"model": "auto", "tools": [{"type": "function", "function": {"parameters": {"a": {}}}}] * 1400},
}


def least_us(call: Callable[[], object], seconds: float = 0.5) -> float:
    until, best = time.perf_counter() + seconds, float("inf")
    while time.perf_counter() < until:
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return 1e6 * best


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_spliced_faster_than_it_is_written_anew(name: str, row: list[dict[str, object]]) -> None:
    raw = json.dumps(BODIES[name] | {"stream": True, "iemas": {"worth": 2.0}}).encode()
    spliced = least_us(lambda: read(raw).bytes_for("tiny"))
    written = least_us(lambda: json.dumps(json.loads(raw)).encode())
    figures = {"bytes": len(raw), "spliced us": round(spliced, 1), "written anew us": round(written, 1)}
    row.append({"table": "bodies", "body": name, **figures, "ratio": round(spliced / written, 2)})
    if len(raw) > 10_000:
        assert spliced < 0.75 * written
