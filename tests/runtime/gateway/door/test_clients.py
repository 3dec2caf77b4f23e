"""Keys of the books at the gateway's door: who comes in, for how much, and how fast a revoked one is noticed."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime import Ledger, running
from runtime.accounts.holders import Holders, KnownKey
from runtime.gateway.app import Gateway
from runtime.gateway.door.clients import Client, Keyring, Metering
from runtime.gateway.door.door import Inside
from runtime.gateway.problems import Problem
from runtime.gateway.serving.serving import Serving
from tests.runtime.accounts.test_double_entry import check
from tests.runtime.gateway.fleets import BIG, SMALL, fleet
from tests.runtime.rounds.relays import sound
from tests.runtime.rounds.stories import Fixed

CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {
    "model": "auto",
    "messages": [{"role": "user", "content": "what is it?"}],
    "max_tokens": 4,
    "iemas": {"worth": 1000},
}
#: What `Fixed` charges, in micro-units.
CHARGE = 5
Story = Callable[[httpx.AsyncClient, Holders], Coroutine[Any, Any, Any]]


def visit(where: str, story: Story, **tables: Any) -> Any:
    async def main() -> Any:
        own = [sound("small"), sound("big")]
        made = fleet(SMALL, BIG, **tables)
        with Ledger(where) as ledger, Holders(where) as holders:
            serving = Serving(made, own, lambda: Fixed(0), ledger=ledger)
            keyring = Keyring(holders)
            gateway = Gateway(made, serving, keyring=keyring)
            async with running(own):
                await serving.start()
                tending = asyncio.create_task(gateway.tend())
                try:
                    transport = httpx.ASGITransport(gateway)
                    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=60) as client:
                        return await story(client, holders)
                finally:
                    tending.cancel()
                    await serving.stop()

    told = asyncio.run(main())
    check(where)
    return told


async def ask(client: httpx.AsyncClient, key: str, **more: Any) -> httpx.Response:
    return await client.post(CHAT, json=ASK | more, headers={"authorization": f"Bearer {key}"})


def code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


def test_keys_of_an_account_are_one_bidder_who_pays_from_its_balance(where: str) -> None:
    async def story(client: httpx.AsyncClient, holders: Holders) -> None:
        holders.create_account("alice", preferences={"worth": 900.0})
        one, two = (holders.create_key("alice", name)[0] for name in ("one", "two"))
        poor = await ask(client, one)
        assert (poor.status_code, code(poor)) == (429, "insufficient_quota")
        assert poor.headers["x-should-retry"] == "false" and "retry-after-ms" not in poor.headers
        holders.credit("alice", 2 * CHARGE)
        said = {name: value for name, value in ASK.items() if name != "iemas"}
        first = await client.post(CHAT, json=said, headers={"authorization": f"Bearer {one}"})
        assert first.json()["iemas"]["stated_by"]["worth"] == "key"
        # The other key sees the receipt, and spends the rest.
        name = first.headers["x-request-id"]
        receipt = await client.get(f"/iemas/v1/receipts/{name}", headers={"authorization": f"Bearer {two}"})
        assert receipt.status_code == 200
        assert (await ask(client, two)).status_code == 200
        assert code(await ask(client, two)) == "insufficient_quota"
        deadline = time.monotonic() + 5.0
        while holders.account("alice")["held"] and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert holders.account("alice")["balance"] == 0

    visit(where, story)


def test_a_revoked_key_is_refused_within_a_second_and_a_new_one_taken_at_once(where: str) -> None:
    async def story(client: httpx.AsyncClient, holders: Holders) -> None:
        holders.create_account("alice", limit=None)
        key, _ = holders.create_key("alice", "laptop")
        await asyncio.sleep(0.15)
        assert (await ask(client, key)).status_code == 200
        holders.revoke("laptop")
        await asyncio.sleep(1.0)
        assert (await ask(client, key)).status_code == 401
        for wrong in ("", "sk-iemas-unknown", "other"):
            assert (await ask(client, wrong)).status_code == 401
        assert (await client.get("/v1/models")).status_code == 401

    visit(where, story)


def test_a_key_of_the_file_goes_on_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALICE_KEY", "from-the-file")

    async def story(client: httpx.AsyncClient, holders: Holders) -> None:
        assert (await ask(client, "from-the-file")).status_code == 200

    visit(str(tmp_path / "books"), story, keys=[{"name": "alice", "key": {"env": "ALICE_KEY"}}])


def test_no_bid_is_cut_down_to_what_is_left_of_a_balance(tmp_path: Path) -> None:
    """Who has less left than they bid competes with all of it; refused is who cannot pay the price."""
    seen: list[float] = []

    async def main() -> list[int]:
        own = [sound("small"), sound("big")]
        with Ledger(tmp_path / "books") as ledger, Holders(tmp_path / "books") as holders:
            holders.create_account("local", limit=CHARGE)
            serving = Serving(
                fleet(SMALL, BIG),
                own,
                lambda: Fixed(0),
                ledger=ledger,
                subscribers=[lambda event: seen.append(event.offer.preferences.worth)],
            )
            gateway = Gateway(fleet(SMALL, BIG), serving)
            async with running(own):
                await serving.start()
                transport = httpx.ASGITransport(gateway)
                async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
                    told = [(await client.post(CHAT, json=ASK)).status_code for _ in range(2)]
                await serving.stop()
                return told

    assert asyncio.run(main()) == [200, 429]
    assert set(seen) == {ASK["iemas"]["worth"]}


@pytest.mark.parametrize("calls", [8, 64, pytest.param(1000, marks=pytest.mark.slow)])
def test_calls_at_once_with_budget_for_one_are_served_once(tmp_path: Path, calls: int) -> None:
    async def story(client: httpx.AsyncClient, holders: Holders) -> list[httpx.Response]:
        holders.create_account("alice")
        holders.credit("alice", CHARGE)
        key, _ = holders.create_key("alice")
        return list(await asyncio.gather(*(ask(client, key) for _ in range(calls))))

    limits = {"requests_per_key": calls, "requests": max(calls, 1024)}
    answers = visit(str(tmp_path / "books"), story, limits=limits)
    served = [answer for answer in answers if answer.status_code == 200]
    assert len(served) == 1
    assert {code(answer) for answer in answers if answer.status_code != 200} == {"insufficient_quota"}


def test_limits_of_a_key_are_told_with_when_to_come_back(tmp_path: Path) -> None:
    async def story(client: httpx.AsyncClient, holders: Holders) -> None:
        holders.create_account("alice", limit=None)
        often, _ = holders.create_key("alice", "often", requests_minute=2)
        assert [(await ask(client, often)).status_code for _ in range(3)] == [200, 200, 429]
        again = await ask(client, often)
        assert code(again) == "rate_limit_exceeded" and again.headers["x-should-retry"] == "true"
        assert 55_000 < int(again.headers["retry-after-ms"]) <= 60_000
        many, _ = holders.create_key("alice", "many", tokens_minute=200)
        assert (await ask(client, many)).status_code == 200
        long = await ask(client, many, max_tokens=300)
        assert (code(long), long.headers["x-should-retry"]) == ("insufficient_quota", "false")
        once, _ = holders.create_key("alice", "once", concurrency=1)
        answers = await asyncio.gather(*(ask(client, once) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [200, 429, 429]
        day, _ = holders.create_key("alice", "day", spend_day=CHARGE)
        assert [(await ask(client, day)).status_code for _ in range(2)] == [200, 429]
        assert code(await ask(client, day)) == "insufficient_quota"
        assert [key["spent_today"] for key in holders.keys("alice") if key["name"] == "day"] == [CHARGE]

    visit(str(tmp_path / "books"), story)


def client_with(**limits: int) -> Client:
    return Client("k", "a", b"", {}, KnownKey(b"", "k", "a", {}, **limits))


def test_never_more_than_its_limit_in_any_minute() -> None:
    now = 0.0
    metering, limited = Metering(lambda: now), client_with(requests_minute=3, tokens_minute=100)
    for at, fits in ((0.0, True), (20.0, True), (30.0, True), (59.0, False), (60.5, True), (79.0, False), (80.5, True)):
        now = at
        if fits:
            metering.request(limited)
        else:
            with pytest.raises(Problem) as told:
                metering.request(limited)
            assert told.value.retry_after_s == pytest.approx(60.0 * (at < 60) + 80.0 * (at > 60) - at, abs=0.1)
    now = 100.0
    use = metering.tokens(limited, 80)
    assert use is not None
    with pytest.raises(Problem):
        metering.tokens(limited, 30)
    # It was less than it could have been.
    use.correct(20)
    assert metering.tokens(limited, 80) is not None
    with pytest.raises(Problem, match="lower max_tokens") as never:
        metering.tokens(limited, 101)
    assert never.value.code == "insufficient_quota" and not never.value.retry
    metering.request(None)
    assert metering.tokens(client_with(), 10**9) is None


def test_books_that_cannot_be_read_leave_the_keys_as_they_were(tmp_path: Path) -> None:
    async def main() -> None:
        with Holders(tmp_path / "books", make=True) as holders:
            holders.create_account("alice")
            holders.create_key("alice")
            keyring = Keyring(holders)
            await keyring.refresh()
            assert len(keyring.keys) == 1
            (tmp_path / "books").rename(tmp_path / "gone")
            (tmp_path / "books").write_text("no database " * 1000)
            holders.close()
            await asyncio.sleep(0.15)
            await keyring.refresh()
            assert len(keyring.keys) == 1

    asyncio.run(main())


@pytest.mark.parametrize("limit, gateways", [(7, 1), (7, 2), (7, 3), (2, 3), (64, 5)])
def test_gateways_together_let_a_key_have_no_more_than_its_limits(tmp_path: Path, limit: int, gateways: int) -> None:
    async def main() -> tuple[int, int, int]:
        with Holders(tmp_path / "books", make=True) as holders:
            holders.create_account("alice")
            limits = {"requests_minute": limit, "tokens_minute": limit, "concurrency": limit}
            holders.create_key("alice", "laptop", **limits)
            requests = tokens = inside = 0
            for _ in range(gateways):
                keyring = Keyring(holders, gateways)
                await keyring.refresh()
                [client] = keyring.keys.values()
                metering, places = Metering(lambda: 0.0), Inside()
                for _ in range(2 * limit):
                    with suppress(Problem):
                        metering.request(client)
                        requests += 1
                    with suppress(Problem):
                        metering.tokens(client, 1)
                        tokens += 1
                    with suppress(Problem):
                        places.enter(client, fleet().limits)
                        inside += 1
            return requests, tokens, inside

    share = limit // gateways * gateways
    assert asyncio.run(main()) == (share, share, share)
