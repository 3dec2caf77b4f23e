"""Deaths of a gateway at every point of a request's life, a lock and a full disk: the books hold what they promise."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from runtime import Ledger
from runtime.accounts.holders import Holders
from tests.runtime.gateway.killed.harness import FLEET, WHENEVER, Nursery, audit, run
from tests.runtime.gateway.killed.nursery import POINTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="processes are forked and killed as POSIX systems do"),
]


@pytest.mark.parametrize("where, kills", [("sqlite", 16), ("postgresql", 4)], indirect=["where"])
def test_whoever_kills_a_gateway_finds_each_request_settled_once_or_released(
    tmp_path: Path, where: str, kills: int
) -> None:
    tally = run(tmp_path, where, kills, seed=kills)
    assert sum(tally.deaths.values()) == kills
    assert tally.released
    if kills >= 16:
        assert set(tally.deaths) == {*POINTS, *WHENEVER}
        assert tally.settled and tally.answers["200"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("no small disk: run as root where file systems may be mounted")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_turns_requests_away_and_loses_nothing(tmp_path: Path, small_disk: Path) -> None:
    where = str(small_disk / "books.db")
    with Holders(where, make=True) as holders:
        holders.create_account("alice", limit=10_000_000)
        key, _ = holders.create_key("alice")
    file = tmp_path / "fleet.toml"
    file.write_text(FLEET.format(ledger=where))
    nursery = Nursery(file)

    async def ask(client: httpx.AsyncClient, stream: bool) -> httpx.Response:
        body = {
            "model": "small",
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 3,
            "stream": stream,
        }
        headers = {"authorization": f"Bearer {key}"}
        return await client.post("/v1/chat/completions", json=body, headers=headers)

    async def story(url: str) -> list[int]:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            statuses = [(await ask(client, False)).status_code]
            ballast = small_disk / "ballast"
            with suppress(OSError):
                ballast.write_bytes(bytes(1 << 20))
            full = await asyncio.gather(*(ask(client, k % 2 == 0) for k in range(30)))
            statuses.append(max(answer.status_code for answer in full))
            assert {answer.status_code for answer in full} <= {200, 503}
            refused = [answer for answer in full if answer.status_code == 503]
            assert all(answer.headers["x-should-retry"] == "true" for answer in refused)
            ballast.unlink()
            statuses.append((await ask(client, True)).status_code)
            return statuses

    try:
        process, url = nursery.start()
        assert asyncio.run(story(url)) == [200, 503, 200]
        os.kill(process, signal.SIGTERM)
        assert nursery.ended() == 0
    finally:
        nursery.close()
    with Ledger(where) as ledger:
        ledger.recover()
        assert ledger.held() == 0
    audit(where, 1 << 60)
