"""What attackers try of a gateway that no other test is about; docs/threats.md lists all of it."""

import asyncio
import json
import logging
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime import Ledger, running
from runtime.accounts.holders import Holders
from runtime.gateway.app import Gateway
from runtime.gateway.door import connections
from runtime.gateway.door.clients import Keyring
from runtime.gateway.operators.office import Office
from runtime.gateway.operators.watching import Watching
from runtime.gateway.serving.passing import spliced
from runtime.gateway.serving.serving import Serving
from tests.runtime.gateway.fakes import ASK, CHAT, Fake, ask
from tests.runtime.gateway.fleets import BIG, SMALL, fleet
from tests.runtime.rounds.relays import sound
from tests.runtime.rounds.stories import Fixed

ROUTING = {
    "host": "localhost", "x-forwarded-host": "10.0.0.1", "forwarded": "host=evil", "x-original-url": "/metrics",
    "x-dialogue-id": "somebody-elses", "x-session-id": "s", "source": "cheap-leaf", "turn": "99", "x-user-id": "root",
    "x-agent": "big", "cookie": "agent=big", "x-request-id": "req-another", "x-forwarded-for": "127.0.0.1",
}  # fmt: skip


def test_headers_of_a_client_choose_no_agent_no_bidder_and_no_prefix() -> None:
    plain, routed = Fake(), Fake()
    ask(Gateway(fleet(), plain))
    answer = ask(Gateway(fleet(), routed), headers=ROUTING)
    [one], [other] = plain.asked, routed.asked
    assert (one.agents, one.bidder, one.stated, one.body, one.path) == (
        other.agents, other.bidder, other.stated, other.body, other.path
    )  # fmt: skip
    assert set(other.headers) <= {"user-agent", "traceparent", "tracestate"}
    assert answer.headers["x-request-id"] == other.id != "req-another"


def test_urls_in_a_body_are_text_to_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where to connect is the operator's to write: of a body no address is even looked up."""

    def refuse(*arguments: Any, **more: Any) -> Any:
        raise AssertionError(f"looked up {arguments}")

    image = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest/meta-data"}}
    body = ASK | {"messages": [{"role": "user", "content": [image]}], "base_url": "http://127.0.0.1:1/"}
    backend, app = Fake(), Gateway(fleet(), Fake())
    app._backend = backend
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert ask(app, body).status_code == 200
    assert b"169.254.169.254" in backend.asked[0].bytes_for("tiny")


def test_guesses_of_keys_look_into_the_books_a_few_times_a_second(tmp_path: Path) -> None:
    async def main() -> int:
        with Holders(tmp_path / "books", make=True) as holders:
            looks = 0
            changes = holders.changes

            def counted() -> int:
                nonlocal looks
                looks += 1
                return changes()

            holders.changes = counted  # type: ignore[method-assign]
            app = Gateway(fleet(), Fake(), keyring=Keyring(holders))
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                told = await asyncio.gather(
                    *(
                        client.post(CHAT, json=ASK, headers={"authorization": f"Bearer sk-iemas-{guess}"})
                        for guess in range(300)
                    )
                )
            assert {answer.status_code for answer in told} == {401}
            return looks

    assert asyncio.run(main()) <= 3


def test_no_prompt_and_no_key_is_in_a_log_a_metric_the_feed_or_the_books(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prompt, where = "the-secret-of-the-prompt", tmp_path / "books"
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []

    async def main() -> str:
        made, own = fleet(SMALL, BIG), [sound("small"), sound("big")]
        with Ledger(where) as ledger, Holders(where) as holders:
            holders.create_account("alice", limit=None)
            key, _ = holders.create_key("alice")
            watching = Watching(made, log_requests=True)
            serving = Serving(
                made, own, lambda: Fixed(0), ledger=ledger, subscribers=watching.subscribers, expect=watching.expect
            )
            watching.look_at(serving)
            gateway = Gateway(made, serving, watching.admin, Keyring(holders))
            async with running(own):
                await serving.start()
                transport = httpx.ASGITransport(gateway)
                headers = {"authorization": f"Bearer {key}"}
                async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
                    body = ASK | {"messages": [{"role": "user", "content": prompt}], "iemas": {"worth": 1000}}
                    served = await client.post(CHAT, json=body)
                    assert served.status_code == 200
                    for odd in (b'{"the-secret-of-the-prompt', b'{"model": "m", "n": "the-secret-of-the-prompt"}'):
                        told = await client.post(CHAT, content=odd, headers={"content-type": "application/json"})
                        seen.append(told.text)
                    seen.append((await client.get("/metrics")).text)
                    seen.append((await client.get(f"/iemas/v1/receipts/{served.headers['x-request-id']}")).text)
                seen.append(repr(watching.admin.feed.__dict__))
                await serving.stop()
            watching.close()
            return key

    key = asyncio.run(main())
    seen += [file.read_bytes().decode("latin-1") for file in tmp_path.iterdir()]
    seen += [caplog.text, *(str(record.__dict__) for record in caplog.records)]
    for secret in (prompt, key, key.removeprefix("sk-iemas-")):
        assert not any(secret in text for text in seen)


def test_headers_that_do_not_come_hold_no_connection_of_an_operators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_HEADERS_S", 0.05)

    async def main() -> None:
        with Holders(tmp_path / "books", make=True) as holders:
            office = Office(holders, "admin-key")
            tending = asyncio.create_task(office.tend())
            try:
                for sent in (b"", b"GET /iemas/admin/v1/balances HTTP/1.1\r\nhost: loc"):
                    reader, writer = await asyncio.open_connection("127.0.0.1", office.port)
                    writer.write(sent)
                    assert await asyncio.wait_for(reader.read(), 20) == b""
                    writer.close()
            finally:
                tending.cancel()
                await asyncio.gather(tending, return_exceptions=True)

    asyncio.run(main())


def test_what_an_engine_says_of_prices_is_never_the_last_word() -> None:
    """A receipt of its own making comes before ours, and readers of JSON take the last of two members."""
    for body in (b'{"iemas": {"price": "0"}, "choices": []}', b'{"iemas": {"price": "0"}}', b'{"a": {"iemas": 1}}'):
        assert json.loads(spliced(body, {"price": "5"}))["iemas"] == {"price": "5"}
