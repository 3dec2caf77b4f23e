"""Load for minutes while engines die at random: each request ends once, the books add up, memory does not grow."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from runtime import Ledger
from tests.benchmarks.gateway.engines import Engine, engines
from tests.runtime.accounts.test_double_entry import query
from tests.runtime.gateway.killed.harness import accounts, audit

FLEET = """
[server]
ledger = "{ledger}"
accounts = true
[limits]
first_byte_s = 5.0
idle_s = 5.0
"""
AGENT = """
[[agents]]
name = "engine-{j}"
url = "http://127.0.0.1:{port}"
model = "fake"
serves = ["fake"]
capacity = 8
prices = {{ fresh = 0.0001, cached = 0.00001, output = 0.0002 }}
"""
ENGINES, CLIENTS = 3, 12
#: What a client may be told while engines die; 502 in a stream is an event.
TOLD = (200, 402, 429, 502, 503)


@dataclass
class Soaked:
    """What was seen; `memory` is the gateway's resident set in MiB, once a second."""

    answers: Counter[str] = field(default_factory=Counter)
    deaths: int = 0
    memory: list[float] = field(default_factory=list)
    settled: int = 0
    released: int = 0
    cpu_s: float = 0.0

    def grown(self) -> float:
        """MiB more in the last quarter than in the second: the first warms up."""
        quarter = len(self.memory) // 4
        second, last = self.memory[quarter : 2 * quarter], self.memory[-quarter:]
        return sum(last) / len(last) - sum(second) / len(second)


async def _client(client: httpx.AsyncClient, key: str, rng: random.Random, until_s: float, soaked: Soaked) -> None:
    talk = [{"role": "user", "content": f"conversation {rng.random()} @pace=2@ @tokens={rng.randrange(1, 12)}@"}]
    while time.monotonic() < until_s:
        stream = rng.random() < 0.7
        body = {"model": "fake", "messages": talk, "max_tokens": 12, "stream": stream}
        headers = {"authorization": f"Bearer {key}"}
        async with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
            if answer.status_code == 200 and stream and rng.random() < 0.1:
                async for _ in answer.aiter_bytes():
                    break
                soaked.answers["hung up"] += 1
                continue
            said = await answer.aread()
        assert answer.status_code in TOLD, said
        broken = answer.status_code == 200 and stream and b"data: [DONE]" not in said
        assert not broken or b'"error"' in said, said
        soaked.answers["broken off" if broken else str(answer.status_code)] += 1
        if answer.status_code != 200:
            await asyncio.sleep(0.05)
        talk = talk[:1] if len(talk) > 8 else [*talk, {"role": "assistant", "content": "ok"}, talk[0]]


async def _deaths(fleet: list[Engine], rng: random.Random, until_s: float, soaked: Soaked) -> None:
    while time.monotonic() < until_s:
        await asyncio.sleep(rng.uniform(0.5, 4.0))
        engine = rng.choice(fleet)
        engine.kill()
        soaked.deaths += 1
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        engine.start()


async def _watch(process: int, until_s: float, soaked: Soaked) -> None:
    page = os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    while time.monotonic() < until_s:
        soaked.memory.append(int(Path(f"/proc/{process}/statm").read_text().split()[1]) * page)
        await asyncio.sleep(1.0)


async def _load(
    url: str, keys: list[str], fleet: list[Engine], process: int, seconds: float, seed: int, soaked: Soaked
) -> None:
    until_s, rng = time.monotonic() + seconds, random.Random(seed)
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        await asyncio.gather(
            *(
                _client(client, keys[k % len(keys)], random.Random(rng.random()), until_s, soaked)
                for k in range(CLIENTS)
            ),
            _deaths(fleet, random.Random(rng.random()), until_s, soaked),
            _watch(process, until_s, soaked),
        )


def soak(folder: Path, seconds: float, seed: int = 0) -> Soaked:
    """Load for so long; then a stop in peace, and an audit of the books.

    Raises:
        AssertionError: what was promised does not hold.
    """
    where, file, soaked = str(folder / "books.db"), folder / "fleet.toml", Soaked()
    keys = accounts(where)
    with ExitStack() as stack:
        fleet = stack.enter_context(engines(ENGINES))
        agents = "".join(AGENT.format(j=j, port=engine.port) for j, engine in enumerate(fleet))
        file.write_text(FLEET.format(ledger=where) + agents)
        command = [sys.executable, "-m", "experiments.cli", "serve", str(file), "--port", "0", "--json"]
        gateway = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        stack.callback(gateway.kill)
        assert gateway.stdout is not None
        url = json.loads(gateway.stdout.readline())["url"]
        asyncio.run(_load(url, keys, fleet, gateway.pid, seconds, seed, soaked))
        stat = Path(f"/proc/{gateway.pid}/stat").read_text().rpartition(")")[2].split()
        soaked.cpu_s = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(60) == 0
    with Ledger(where) as ledger:
        # Nothing is left for a successor to release.
        assert ledger.held() == 0
    audit(where, 1 << 60)
    assert query(where, "SELECT SUM(balance) FROM accounts") == [(0,)]
    states = dict(query(where, "SELECT state, COUNT(*) FROM endings GROUP BY state"))
    soaked.settled, soaked.released = states.get("settled", 0), states.get("released", 0)
    return soaked
