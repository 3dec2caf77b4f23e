"""What a client and their bidder are told of a price: in the answer, afterwards, and as a proof."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from mechanisms import find_mechanism
from runtime import Auction
from runtime.gateway.serving.passing import credits
from runtime.gateway.serving.serving import Serving
from tests.runtime.gateway.serving.visits import CHAT, RICH, visit


def test_a_whole_answer_has_its_receipt_in_it_and_it_is_kept() -> None:
    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        answer = await client.post(CHAT, json=RICH)
        return answer, (await client.get(f"/iemas/v1/receipts/{answer.headers['x-request-id']}")).json()

    answer, kept = visit(story)
    told = answer.json()["iemas"]
    assert answer.status_code == 200 and answer.json()["choices"][0]["message"]["content"]
    assert told["id"] == answer.headers["x-request-id"]
    assert (told["agent"], told["round"], told["price"]) == ("small", 1, "0.000005")
    assert answer.headers["x-iemas-agent"] == "small" and answer.headers["x-iemas-price"] == "0.000005"
    assert told["stated_by"] == {"worth": "body", "delay_cost": "operator"}
    assert kept == told | {"status": "served"}


@pytest.mark.parametrize("asks", [True, False])
def test_a_stream_tells_usage_and_receipt_to_who_asks_for_it(asks: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if asks else {}

    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        return await client.post(CHAT, json=RICH | {"stream": True} | options)

    answer = visit(story)
    events = [line for line in answer.text.split("\n\n") if line]
    assert events[-1] == "data: [DONE]"
    usage = [json.loads(event[6:]) for event in events[:-1] if '"usage"' in event]
    assert len(usage) == asks
    if asks:
        assert usage[0]["iemas"]["tokens"]["output"] == usage[0]["usage"]["completion_tokens"] == 4


def test_a_receipt_is_for_its_bidder_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALICE", "sk-alice")
    monkeypatch.setenv("BOB", "sk-bob")
    keys = [{"name": name, "key": {"env": name.upper()}} for name in ("alice", "bob")]

    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        alice, bob = ({"authorization": f"Bearer sk-{name}"} for name in ("alice", "bob"))
        answer = await client.post(CHAT, json=RICH, headers=alice)
        path = f"/iemas/v1/receipts/{answer.headers['x-request-id']}"
        return [(await client.get(path, headers=whose)).status_code for whose in (alice, bob, {})]

    assert visit(story, keys=keys) == [200, 404, 401]


def test_credits_are_exact() -> None:
    assert [credits(micros) for micros in (0, 1, 10**6, 1_230_000, -5)] == ["0", "0.000001", "1", "1.23", "-0.000005"]


def told_of(story: Callable[[httpx.AsyncClient, Serving], Coroutine[Any, Any, Any]], **tables: Any) -> Any:
    return visit(story, policy=Auction(find_mechanism("vcg")), **tables)


def test_a_receipt_proves_its_price_to_its_bidder_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALICE", "sk-alice")
    monkeypatch.setenv("BOB", "sk-bob")
    keys = [{"name": name, "key": {"env": name.upper()}} for name in ("alice", "bob")]

    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        alice, bob = ({"authorization": f"Bearer sk-{name}"} for name in ("alice", "bob"))
        answer = await client.post(CHAT, json=RICH, headers=alice)
        name = answer.headers["x-request-id"]
        path = f"/iemas/v1/receipts/{name}"
        told = (await client.get(path, headers=alice)).json()
        return told, (await client.get(path, headers=bob)).status_code, await serving.proof(name, "bob")

    told, other, proof = told_of(story, keys=keys)
    assert (other, proof) == (404, None)
    shown = told["proof"]
    got = shown["menu"][shown["chosen"]]
    assert got["agent"] == told["agent"] and got["price"] == shown["charge"] == told["price"]
    assert shown["stated"]["worth"] == 1000 and len(shown["record_sha256"]) == 64
    gains = [float(line["value"]) - float(line["price"]) for line in shown["menu"]]
    assert max(gains) == pytest.approx(float(shown["best"])) == pytest.approx(gains[shown["chosen"]])


@pytest.mark.parametrize("tables", [{"server": {"menus": False}}, {"auction": {"mechanism": "pay-as-bid"}}])
def test_no_menu_is_shown_where_none_is_wanted_or_true(tables: dict[str, Any]) -> None:
    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        answer = await client.post(CHAT, json=RICH)
        return (await client.get(f"/iemas/v1/receipts/{answer.headers['x-request-id']}")).json()

    assert "proof" not in told_of(story, **tables)
