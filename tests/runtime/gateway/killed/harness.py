"""Kills a gateway under load, starts it again, and holds its books to what they promise."""

import asyncio
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import kill
from pathlib import Path
from typing import Any

import httpx

from runtime import Ledger
from runtime.accounts.archive import Archive
from runtime.accounts.holders import Holders
from runtime.referees import audit as referees
from tests.runtime.accounts.test_double_entry import check, query
from tests.runtime.gateway.killed.nursery import POINTS

FLEET = """
[server]
ledger = "{ledger}"
accounts = true
[[agents]]
name = "small-a"
simulated = "smollm2-135m-cpu"
prices = {{ fresh = 0.0001, cached = 0.00001, output = 0.0002 }}
serves = ["small"]
[[agents]]
name = "small-b"
simulated = "smollm2-135m-cpu"
prices = {{ fresh = 0.0001, cached = 0.00001, output = 0.0002 }}
serves = ["small"]
"""
#: What else may happen to a gateway: killed whenever, and while somebody locks its books.
WHENEVER = ("random", "locked")
CLIENTS = 12


@dataclass
class Tally:
    """What was seen: deaths by point, and what clients were told."""

    deaths: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    released: int = 0
    settled: int = 0


class Nursery:
    """A process that forks gateways."""

    def __init__(self, file: Path) -> None:
        command = [sys.executable, "-m", "tests.runtime.gateway.killed.nursery", str(file)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, point: str = "never", count: int = 0) -> tuple[int, str]:
        """A gateway that will die there; its process and its address."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{point} {count}\n")
        self._process.stdin.flush()
        told = self._tell() | self._tell()
        assert "url" in told, told
        return told["pid"], told["url"]

    def ended(self) -> int:
        """How the gateway ended."""
        return int(self._tell()["ended"])

    def _tell(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told

    def close(self) -> None:
        """No more gateways."""
        self._process.kill()
        self._process.communicate()


def accounts(where: str) -> list[str]:
    """Keys of three accounts: one without a limit, one with little, one with nearly nothing."""
    keys = []
    with Holders(where, make=True) as holders:
        for name, limit in (("free", None), ("some", 2_000_000), ("poor", 20_000)):
            holders.create_account(name, limit=limit)
            keys.append(holders.create_key(name)[0])
    return keys


async def load(url: str, keys: list[str], tally: Tally, until: "asyncio.Event", rng: random.Random) -> None:
    """Clients who ask until the gateway is gone, or they are told to stop; one in five hangs up."""

    async def ask(client: httpx.AsyncClient, number: int) -> None:
        while not until.is_set():
            stream = rng.random() < 0.6
            body = {
                "model": "small",
                "messages": [{"role": "user", "content": f"what is {rng.randrange(50)}? " * rng.randrange(1, 6)}],
                "max_tokens": rng.randrange(1, 12),
                "stream": stream,
            }
            headers = {"authorization": f"Bearer {keys[number % len(keys)]}"}
            try:
                async with client.stream("POST", f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
                    if answer.status_code == 200 and stream and rng.random() < 0.2:
                        async for _ in answer.aiter_bytes():
                            break
                        tally.answers["hung up"] += 1
                        continue
                    told = await answer.aread()
            except httpx.TransportError:
                tally.answers["cut off"] += 1
                return
            tally.answers[str(answer.status_code)] += 1
            assert answer.status_code in (200, 402, 429, 503), told
            if answer.status_code != 200:
                await asyncio.sleep(0.05)

    async with httpx.AsyncClient(timeout=30) as client:
        await asyncio.gather(*(ask(client, number) for number in range(CLIENTS)))


@contextmanager
def locked(where: str) -> Iterator[None]:
    """Somebody else's transaction, which holds the books."""
    from runtime.accounts.database import connect

    other = connect(where)
    try:
        with other.together():
            yield
    finally:
        other.close()


def audit(where: str, writer_from: int) -> None:
    """What holds of books at any time, and after a recovery: nothing is held by anybody who came before."""
    check(where)
    assert query(where, f"SELECT * FROM open_holds WHERE writer < {writer_from}") == []
    beyond = "SELECT * FROM endings e JOIN holds h ON h.request = e.request AND h.attempt = e.attempt"
    assert query(where, f"{beyond} WHERE e.charge > h.amount") == []
    assert query(where, "SELECT name FROM accounts WHERE balance + credit_limit < held") == []
    unended = (
        "SELECT h.request FROM holds h LEFT JOIN endings e ON e.request = h.request AND e.attempt = h.attempt"
        " LEFT JOIN open_holds o ON o.request = h.request AND o.attempt = h.attempt"
        " WHERE (e.request IS NULL) = (o.request IS NULL)"
    )
    assert query(where, unended) == []
    with Archive(where) as books:
        # Whatever was settled a round decided, and every round is what the rules say.
        verdict = referees.audit(books)
        assert verdict.faults == [], verdict.faults[:3]


async def one_life(nursery: Nursery, where: str, keys: list[str], tally: Tally, point: str, rng: random.Random) -> None:
    """Start, look at what the last one left, put it under load until it is dead."""
    loop = asyncio.get_running_loop()
    [(before,)] = query(where, "SELECT MAX(number) FROM writers")
    armed = point if point in POINTS else "never"
    process, url = await loop.run_in_executor(None, nursery.start, armed, rng.randrange(1, 25))
    for _ in range(100):
        old = query(where, f"SELECT COUNT(*) FROM open_holds WHERE writer <= {before}")
        if old == [(0,)]:
            break
        await asyncio.sleep(0.1)
    audit(where, before + 1)
    enough = asyncio.Event()
    clients = asyncio.create_task(load(url, keys, tally, enough, rng))
    if point in WHENEVER:
        await asyncio.sleep(rng.random() * 0.8)
        if point == "locked":
            with locked(where):
                await asyncio.sleep(0.1 + rng.random() * 0.4)
                kill(process, signal.SIGKILL)
        else:
            kill(process, signal.SIGKILL)
    ended = await asyncio.wait_for(loop.run_in_executor(None, nursery.ended), 60)
    assert ended == signal.SIGKILL, ended
    enough.set()
    await clients
    tally.deaths[point] += 1


def run(folder: Path, where: str, kills: int, seed: int = 0) -> Tally:
    """Kill so often, each point about as often as the others; then end in peace, with nothing held."""
    rng, tally = random.Random(seed), Tally()
    file = folder / "fleet.toml"
    file.write_text(FLEET.format(ledger=where))
    keys = accounts(where)
    nursery = Nursery(file)
    points = [*POINTS, *WHENEVER]
    try:
        for number in range(kills):
            asyncio.run(one_life(nursery, where, keys, tally, points[number % len(points)], rng))
        process, _ = nursery.start()
        kill(process, signal.SIGTERM)
        assert nursery.ended() == 0
    finally:
        nursery.close()
    with Ledger(where) as ledger:
        ledger.recover()
        assert ledger.held() == 0
    audit(where, 1 << 60)
    states = dict(query(where, "SELECT state, COUNT(*) FROM endings GROUP BY state"))
    tally.settled, tally.released = states.get("settled", 0), states.get("released", 0)
    return tally
