"""Rounds are kept as long as the file says, one chain for each gateway, and hold up."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx

from mechanisms import find_mechanism
from runtime import Auction, Ledger, running
from runtime.accounts.archive import Archive
from runtime.gateway.app import Gateway
from runtime.gateway.serving.serving import Serving
from runtime.referees.audit import audit
from tests.runtime.gateway.fleets import BIG, SMALL, fleet
from tests.runtime.gateway.serving.visits import CHAT, RICH
from tests.runtime.rounds.relays import sound
from tests.runtime.rounds.stories import Fixed


def test_rounds_are_kept_as_the_file_says_and_hold_up(tmp_path: Path) -> None:
    for days in (30, 0):
        engines = [sound("small"), sound("big")]
        made = fleet(SMALL, BIG, server={"rounds": {"keep_days": days}})
        where = tmp_path / f"{days}.db"

        async def main(made: Any = made, engines: Any = engines, where: Path = where) -> None:
            with Ledger(where) as ledger:
                serving = Serving(made, engines, lambda: Auction(find_mechanism("vcg")), ledger=ledger)
                async with running(engines):
                    await serving.start()
                    transport = httpx.ASGITransport(Gateway(made, serving))
                    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                        asked = [client.post(CHAT, json=RICH) for _ in range(6)]
                        assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}
                    await serving.stop()

        asyncio.run(main())
        with Archive(where) as books:
            verdict = audit(books)
        # Without rounds nothing can be said against what was settled, nor for it.
        assert verdict.faults == [] and (verdict.certified > 0) == (days > 0)
        assert verdict.settled == (6 if days else 0)


def test_rounds_are_dropped_once_they_are_old(tmp_path: Path) -> None:
    made = fleet(SMALL, server={"rounds": {"keep_days": 2}})

    async def main(ledger: Ledger) -> None:
        serving = Serving(made, [sound("small")], lambda: Fixed(0), ledger=ledger)
        tending = asyncio.create_task(serving.tend())
        await asyncio.sleep(0.1)
        tending.cancel()
        await asyncio.gather(tending, return_exceptions=True)

    now = time.time()
    with Ledger(tmp_path / "books.db") as ledger:
        for days in (5, 3, 1, 0):
            ledger.keep(f'{{"days":{days}}}', now - days * 86_400)
        asyncio.run(main(ledger))
    with Archive(tmp_path / "books.db") as books:
        assert [row.record for row in books.rounds()] == ['{"days":1}', '{"days":0}'] and books.dropped()


def test_rounds_of_hubs_are_one_chain_of_their_gateway(tmp_path: Path) -> None:
    made = fleet(SMALL, BIG, hubs={"near": ["small"], "far": ["big"]}, rounds={"assign": "bidder"})

    async def main(ledger: Ledger) -> None:
        engines = [sound("small"), sound("big")]
        serving = Serving(made, engines, lambda: Auction(find_mechanism("vcg")), ledger=ledger)
        async with running(engines):
            await serving.start()
            transport = httpx.ASGITransport(Gateway(made, serving))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                for model in ("tiny", "wide", "tiny", "wide"):
                    answer = await client.post(CHAT, json=RICH | {"model": model})
                    assert answer.status_code == 200
            await serving.stop()

    with Ledger(tmp_path / "books.db") as ledger:
        asyncio.run(main(ledger))
    with Archive(tmp_path / "books.db") as books:
        agents = [json.loads(row.record)["agents"] for row in books.rounds()]
        verdict = audit(books)
    assert agents == [["small"], ["big"], ["small"], ["big"]]
    assert verdict.faults == [] and (verdict.certified, verdict.settled) == (4, 4)
