"""The admin API: the same as the command line, on a port and under a key of its own."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from runtime.accounts.holders import Holders
from runtime.gateway.operators.office import Office

ROOT = "/iemas/admin/v1"
KEY = "the-admin-key"


def visit(where: str, story: Callable[[httpx.AsyncClient, Holders], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        with Holders(where, make=True) as holders:
            office = Office(holders, KEY)
            tending = asyncio.create_task(office.tend())
            headers = {"authorization": f"Bearer {KEY}"}
            try:
                url = f"http://127.0.0.1:{office.port}{ROOT}"
                async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
                    await story(client, holders)
            finally:
                tending.cancel()
                await asyncio.gather(tending, return_exceptions=True)

    asyncio.run(main())


def test_an_account_and_its_key_from_making_to_revoking(where: str) -> None:
    async def story(client: httpx.AsyncClient, holders: Holders) -> None:
        made = (
            await client.post("/accounts", json={"name": "alice", "limit": 5, "preferences": {"worth": 2.0}})
        ).json()
        assert made == {"name": "alice", "balance": 0, "held": 0, "limit": 5, "preferences": {"worth": 2.0}}
        paid = {"amount": 10, "reference": "one"}
        assert (await client.post("/accounts/alice/credit", json=paid)).json()["balance"] == 10
        again = await client.post("/accounts/alice/credit", json=paid)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
        assert (await client.post("/accounts/alice/limit", json={"limit": None})).json()["limit"] is None
        assert (await client.post("/accounts/alice/preferences", json={"worth": 3})).json()["preferences"] == {
            "worth": 3
        }
        key = (await client.post("/accounts/alice/keys", json={"name": "laptop", "requests_minute": 3})).json()
        assert key["key"].startswith("sk-iemas-") and key["limits"]["requests_minute"] == 3
        assert [each["name"] for each in (await client.get("/keys", params={"account": "alice"})).json()] == ["laptop"]
        assert (await client.post("/keys/laptop/revoke")).json()["revoked"]
        assert (await client.get("/accounts")).json() == holders.accounts()
        assert (await client.get("/balances")).json() == holders.balances()
        assert (await client.get("/accounts/alice/statement")).json() == holders.statement("alice")

    visit(where, story)


def test_no_clients_key_opens_the_office(where: str) -> None:
    async def story(client: httpx.AsyncClient, holders: Holders) -> None:
        holders.create_account("alice")
        key, _ = holders.create_key("alice")
        for wrong in ("", f"Bearer {key}", "Bearer", f"Basic {KEY}", f"Bearer {KEY}x"):
            for method, path in (("GET", "/balances"), ("POST", "/accounts")):
                told = await client.request(method, path, headers={"authorization": wrong})
                assert told.status_code == 401
        assert len(holders.accounts()) == 1

    visit(where, story)


@pytest.mark.parametrize(
    "path, body, status",
    [
        ("/accounts", {"name": "a b"}, 409),
        ("/accounts", {"name": 3}, 400),
        ("/accounts", {"name": "b", "limit": -1}, 400),
        ("/accounts", {"name": "b", "limit": 1.5}, 400),
        ("/accounts", {"name": "b", "preferences": {"wort": 1}}, 400),
        ("/accounts", {"nam": "b"}, 400),
        ("/accounts", [], 400),
        ("/accounts/alice/credit", {"amount": 1.5}, 400),
        ("/accounts/alice/credit", {"amount": 2**70}, 400),
        ("/accounts/alice/credit", {"amount": -1}, 409),
        ("/accounts/nobody/credit", {"amount": 1}, 409),
        ("/accounts/alice/limit", {}, 400),
        ("/accounts/alice/keys", {"requests_minute": 0}, 400),
        ("/keys/none/revoke", {}, 409),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(tmp_path: Any, path: str, body: Any, status: int) -> None:
    async def story(client: httpx.AsyncClient, holders: Holders) -> None:
        holders.create_account("alice")
        before = holders.balances()
        told = await client.post(path, json=body)
        assert told.status_code == status and told.json()["error"]["message"]
        assert holders.balances() == before

    visit(str(tmp_path / "books"), story)
