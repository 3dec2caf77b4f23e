"""Two gateways on one PostgreSQL ledger, in front of the same engines: caps hold for both, and one may die."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.benchmarks.gateway.engines import engines
from tests.runtime.accounts.test_double_entry import query
from tests.runtime.gateway.killed.harness import accounts, audit
from tests.runtime.gateway.killed.soak import AGENT, FLEET

pytestmark = pytest.mark.slow
CLIENTS = 12


def _serve(stack: ExitStack, file: Path) -> tuple["subprocess.Popen[bytes]", str]:
    command = [sys.executable, "-m", "experiments.cli", "serve", str(file), "--port", "0", "--json"]
    gateway = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
    stack.callback(gateway.kill)
    assert gateway.stdout is not None
    return gateway, json.loads(gateway.stdout.readline())["url"]


async def _load(urls: list[str], keys: list[str], seconds: float, seed: int) -> Counter[int]:
    """Clients who ask one gateway or the other, as it comes."""
    told: Counter[int] = Counter()
    until_s = time.monotonic() + seconds

    async def ask(client: httpx.AsyncClient, key: str, rng: random.Random) -> None:
        while time.monotonic() < until_s:
            body = {
                "model": "fake",
                "messages": [{"role": "user", "content": f"what is {rng.randrange(50)}? @pace=1@ @tokens=4@"}],
                "max_tokens": rng.randrange(1, 12),
                "stream": rng.random() < 0.5,
            }
            try:
                answer = await client.post(
                    f"{rng.choice(urls)}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}
                )
                told[answer.status_code] += 1
            except httpx.TransportError:
                told[0] += 1

    async with httpx.AsyncClient(timeout=30) as client:
        await asyncio.gather(*(ask(client, keys[k % len(keys)], random.Random(seed + k)) for k in range(CLIENTS)))
    return told


@pytest.mark.parametrize("where", ["postgresql"], indirect=True)
def test_two_gateways_on_one_ledger_keep_every_cap_and_settle_each_request_once(tmp_path: Path, where: str) -> None:
    keys, file = accounts(where), tmp_path / "fleet.toml"
    with ExitStack() as stack:
        fleet = stack.enter_context(engines(2))
        agents = "".join(AGENT.format(j=j, port=engine.port) for j, engine in enumerate(fleet))
        file.write_text(FLEET.format(ledger=where) + "[rounds]\nwindow_s = 0.005\n" + agents)
        (first, one), (second, other) = _serve(stack, file), _serve(stack, file)
        told = asyncio.run(_load([one, other], keys, 3.0, seed=0))
        assert set(told) <= {200, 402, 429, 503} and told[200] > 20 and told[402] + told[429]
        rounds = query(where, "SELECT writer, COUNT(*) FROM rounds GROUP BY writer")
        assert len(rounds) == 2 and all(kept for _, kept in rounds), "both decided"
        # One dies in the middle; the other goes on, and whoever comes next releases what the dead one held.
        killer = stack.enter_context(subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {first.pid}"]))
        told = asyncio.run(_load([one, other], keys, 3.0, seed=100))
        killer.wait()
        assert told[0] and told[200]
        third, _ = _serve(stack, file)
        for gateway in (second, third):
            gateway.send_signal(signal.SIGTERM)
            assert gateway.wait(60) == 0
    [(held,)] = query(where, "SELECT COUNT(*) FROM open_holds")
    assert held == 0
    audit(where, 1 << 60)
    spent = dict(query(where, "SELECT name, -balance FROM accounts"))
    assert 0 < spent["poor"] <= 20_000 and spent["some"] <= 2_000_000
