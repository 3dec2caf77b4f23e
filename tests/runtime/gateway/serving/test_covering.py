"""`covers = "value"`: who cannot pay what they report enters no round. By default the price has to be covered alone."""

import asyncio
from typing import Any

import httpx
import pytest

from runtime import Arrived, Event, Ledger
from runtime.accounts.holders import Holders
from runtime.errors import EngineError
from runtime.gateway.serving.serving import Serving
from tests.runtime.gateway.serving.visits import ASK, CHAT, visit
from tests.runtime.rounds.relays import Fallible

#: What `Fixed` charges, in micro-units.
CHARGE = 5


def asked(where: str, worths: list[float], covers: str, free: int, **more: Any) -> tuple[list[httpx.Response], int]:
    """Answers to requests of one account that come one after another, and how many entered a round."""
    events: list[Event] = []

    async def story(client: httpx.AsyncClient, serving: Serving) -> list[httpx.Response]:
        told = []
        for worth in worths:
            told.append(await client.post(CHAT, json=ASK | {"iemas": {"worth": worth}}))
            await asyncio.sleep(0.05)
        assert serving.cover is None or serving.cover.set_apart("local") == 0
        return told

    with Ledger(where) as ledger, Holders(where) as holders:
        holders.create_account("local")
        holders.credit("local", free)
        told = visit(story, ledger=ledger, events=events, auction={"covers": covers}, **more)
        assert holders.account("local")["held"] == 0
        return told, sum(isinstance(event, Arrived) for event in events)


@pytest.mark.parametrize(("covers", "entered"), [("price", 2), ("value", 1)])
def test_who_cannot_pay_what_they_report_enters_a_round_where_the_price_alone_is_asked(
    where: str, covers: str, entered: int
) -> None:
    """2 credits left: a request worth 1000 is covered by its price alone, one worth 1 by its value too."""
    told, arrived = asked(where, [1000.0, 1.0], covers, free=2_000_000)
    assert [answer.status_code for answer in told] == ([200, 200] if covers == "price" else [429, 200])
    assert arrived == entered
    if covers == "value":
        error = told[0].json()["error"]
        assert error["code"] == "insufficient_quota" and "lower max_price" in error["message"]
        assert told[0].headers["x-should-retry"] == "false"


def test_who_cannot_pay_the_price_has_been_in_a_round_unless_the_value_is_asked(where: str) -> None:
    told, arrived = asked(where, [1000.0], "price", free=CHARGE - 1)
    assert (told[0].json()["error"]["code"], arrived) == ("insufficient_quota", 1)


def test_max_price_is_the_most_that_has_to_be_covered(where: str) -> None:
    async def story(client: httpx.AsyncClient, serving: Serving) -> list[int]:
        stated = [{"worth": 1000.0}, {"worth": 1000.0, "max_price": 1.5}]
        return [(await client.post(CHAT, json=ASK | {"iemas": one})).status_code for one in stated]

    with Ledger(where) as ledger, Holders(where) as holders:
        holders.create_account("local")
        holders.credit("local", 2_000_000)
        assert visit(story, ledger=ledger, auction={"covers": "value"}) == [429, 200]


def test_what_fails_or_cannot_be_said_leaves_nothing_set_apart(where: str) -> None:
    broken = [Fallible(name, lambda call: EngineError("down")) for name in ("small", "big")]
    told, _ = asked(where, [1.0, 1e300, 1.0], "value", free=1_500_000, engines=broken)
    assert told[0].status_code >= 500 and told[1].status_code in (400, 429) and told[2].status_code >= 500
