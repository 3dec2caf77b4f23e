"""The gateway over simulated engines: one request from the client's bytes to the books."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from mechanisms import find_mechanism
from runtime import Auction, EngineError, Event, Ledger, Served
from runtime.engines.call import Usage
from runtime.engines.engine import EngineInfo
from runtime.engines.vllm.kv_blocks import KvBlocks
from runtime.gateway.serving.serving import Serving
from runtime.policies.forecast import Noted
from tests.runtime.engines.vllm.publisher import removed, stored
from tests.runtime.gateway.fleets import BIG, SMALL, fleet
from tests.runtime.gateway.serving.visits import ASK, CHAT, RICH, visit
from tests.runtime.rounds.relays import REFUSED, Fallible, sound
from tests.runtime.rounds.stories import Fixed


def test_a_model_is_asked_for_by_the_engines_own_name() -> None:
    engines = [sound("small"), sound("big")]

    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        asks = b'{"model":"wide","messages":[{"role":"user","content":"x"}],"seed":123456789012345678901234567890'
        raw = asks + b',"t":1.10}'
        return await client.post(CHAT, content=raw, headers={"content-type": "application/json"})

    answer = visit(story, engines, policy=Fixed(1))
    (call,) = engines[1].calls
    name = json.dumps(answer.headers["x-iemas-model"]).encode()
    assert call.body.startswith(b'{"model":' + name) and call.body.endswith(b'"t":1.10}')
    assert b'"seed":123456789012345678901234567890' in call.body and b'"max_tokens": 1024' in call.body
    assert not engines[0].calls


def test_an_adapter_keeps_its_name_and_its_cache() -> None:
    class WithAdapter(Fallible):
        async def start(self) -> EngineInfo:
            from dataclasses import replace

            return replace(await super().start(), adapters=("mine",))

    engine = WithAdapter("small", lambda call: None)

    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        for model in ("mine", "tiny"):
            assert (await client.post(CHAT, json=RICH | {"model": model})).status_code == 200

    events: list[Event] = []
    visit(story, [engine], agents=[SMALL | {"serves": ["mine", "tiny"]}], events=events)
    assert [call.view.model == "mine" for call in engine.calls] == [True, False]
    first, second = (list(event.offer.tokens[0])[:4] for event in events if isinstance(event, Served))
    assert first != second


def test_worth_less_than_its_cost_is_told_so() -> None:
    events: list[Event] = []

    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        answer = await client.post(CHAT, json=ASK | {"iemas": {"worth": 0.0001}})
        path = f"/iemas/v1/receipts/{answer.headers['x-request-id']}"
        capped = await client.post(CHAT, json=ASK | {"iemas": {"worth": 1000, "max_price": 0.0001}})
        return answer, (await client.get(path)).json(), capped

    answer, kept, capped = visit(story, policy=Auction(find_mechanism("vcg")), events=events)
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "bid_too_low")
    assert "report a higher worth" in answer.json()["error"]["message"]
    assert (
        capped.status_code == 402 and "max_price lowers what it is worth to 0.0001" in capped.json()["error"]["message"]
    )
    assert answer.headers["x-should-retry"] == "false" and kept["status"] == "declined"


def test_what_an_engine_refuses_goes_to_the_client_byte_for_byte() -> None:
    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        return await client.post(CHAT, json=RICH)

    answer = visit(story, [Fallible("small", lambda call: REFUSED), sound("big")])
    assert (answer.status_code, answer.content) == (422, REFUSED.body)


def test_what_fails_everywhere_fails_alone() -> None:
    def poison(call: Any) -> Any:
        return EngineError("odd") if b"poison" in call.body else None

    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        return await client.post(CHAT, json=RICH | {"user": "poison"}), await client.post(CHAT, json=RICH)

    bad, good = visit(story, [Fallible("small", poison), Fallible("big", poison)])
    assert (bad.status_code, bad.json()["error"]["code"], good.status_code) == (502, "engine_failed", 200)


def test_an_engine_that_breaks_off_is_an_event_of_the_stream() -> None:
    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        answer = await client.post(CHAT, json=RICH | {"stream": True})
        return answer, serving.house.routers[0].ledger.totals().entries

    answer, entries = visit(story, [Fallible("small", lambda call: 2), sound("big")])
    events = [line for line in answer.text.split("\n\n") if line]
    assert json.loads(events[-1][6:])["error"]["code"] == "engine_failed" and entries == 0


def test_prompts_that_go_on_are_found_in_the_cache_without_asking_an_engine() -> None:
    """Whatever the engine's own tokens are, its figures teach how many a piece stands for."""
    engines = [sound("small", block_size=4, cache_blocks=4096), sound("big", block_size=4, cache_blocks=4096)]
    events: list[Event] = []
    policy = Auction(find_mechanism("vcg"))
    conversation = [{"role": "user", "content": "tell me a long story about the harbour and its ferries. " * 8}]

    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        for k in range(6):
            answer = await client.post(CHAT, json=RICH | {"messages": conversation})
            conversation.append(answer.json()["choices"][0]["message"])
            conversation.append({"role": "user", "content": f"and on day {k}?"})

    visit(story, engines, policy=policy, events=events)
    served = [event for event in events if isinstance(event, Served)]
    assert len({event.agent for event in served}) == 1
    assert all(event.completion.cached_tokens > 50 for event in served[1:])
    assert all(event.note.cached > 50 for event in served[1:])  # type: ignore[attr-defined]
    assert all(event.predicted is not None for event in served)
    for event in served[3:]:
        assert event.predicted is not None
        assert event.predicted.cost == pytest.approx(event.cost / 1e6, rel=0.35)


def test_books_that_cannot_be_written_are_no_readiness_but_the_process_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.gateway.serving.serving._CHECK_S", 0.01)
    books = tmp_path / "books.db"

    async def story(client: httpx.AsyncClient, serving: Serving) -> list[tuple[int, int]]:
        async def statuses(wanted: int) -> tuple[int, int]:
            for _ in range(500):
                health, ready = (await client.get("/health")).status_code, (await client.get("/ready")).status_code
                if ready == wanted:
                    break
                await asyncio.sleep(0.01)
            return health, ready

        tending = asyncio.create_task(serving.tend())
        told = [await statuses(200)]
        with closing(sqlite3.connect(books, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            told.append(await statuses(503))
            other.execute("ROLLBACK")
            told.append(await statuses(200))
            other.execute("BEGIN IMMEDIATE")
            serving._unwritten = 0
            await serving._check_books()
            told.append((0, 200 if serving.ready() else 503))
            other.execute("ROLLBACK")
        tending.cancel()
        return told

    with Ledger(books) as ledger:
        told = visit(story, ledger=ledger)
    assert told == [(200, 200), (200, 503), (200, 200), (0, 200)], "one look is not enough"


@pytest.mark.parametrize("stream", [True, False])
def test_why_an_answer_ended_is_the_engines_word(stream: bool) -> None:
    events: list[Event] = []

    async def story(client: httpx.AsyncClient, serving: Serving) -> None:
        for most in (2, 64):
            assert (await client.post(CHAT, json=RICH | {"stream": stream, "max_tokens": most})).status_code == 200

    visit(story, events=events)
    served = [event.completion.finish_reason for event in events if isinstance(event, Served)]
    assert served == ["length", "stop"]


def test_agents_come_and_go_with_the_file() -> None:
    third = SMALL | {"name": "third", "serves": ["third"]}
    engines = {"third": sound("third"), "broken": Fallible("broken", lambda call: None)}

    def make(made: Any, j: int) -> Any:
        engine = engines[made.agents[j].name]
        if engine.name == "broken":
            raise EngineError("it does not come up")
        return engine

    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        gateway = client._transport.app  # type: ignore[attr-defined]

        async def take_over(*agents: dict[str, Any]) -> None:
            new = fleet(*agents)
            take = await serving.adopt(new, make)
            gateway.adopt(new)
            take()

        assert (await client.post(CHAT, json=RICH | {"model": "third"})).status_code == 404
        await take_over(third, SMALL, BIG)
        answers = [await client.post(CHAT, json=RICH | {"model": model}) for model in ("third", "tiny", "wide")]
        assert [answer.headers["x-iemas-agent"] for answer in answers] == ["third", "small", "big"]
        await take_over(BIG, third)
        gone = await client.post(CHAT, json=RICH | {"model": "tiny"})
        answers = [await client.post(CHAT, json=RICH | {"model": model}) for model in ("third", "wide")]
        assert gone.status_code == 404
        assert [answer.headers["x-iemas-agent"] for answer in answers] == ["third", "big"]
        with pytest.raises(EngineError, match="does not come up"):
            await take_over(BIG, third, SMALL | {"name": "broken", "serves": ["broken"]})
        assert (await client.post(CHAT, json=RICH | {"model": "third"})).status_code == 200
        await asyncio.sleep(0.1)
        return serving.house.alive()

    assert visit(story, policy=Auction(find_mechanism("vcg"))) == [False, True, True]


def test_what_an_engine_says_it_removed_is_expected_no_more() -> None:
    engine = sound("small")
    engine.contents = KvBlocks()  # type: ignore[attr-defined]
    events: list[Event] = []
    ask = RICH | {"messages": [{"role": "user", "content": "what is it, and why? " * 40}]}

    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        size = serving.house.infos[0].block_size
        first = await client.post(CHAT, json=ask)
        blocks = list(range(first.json()["usage"]["prompt_tokens"] // size))
        session = first.headers["x-request-id"]
        engine.contents.apply([stored(*blocks, session=session, block_size=size)])  # type: ignore[attr-defined]
        await client.post(CHAT, json=ask)
        engine.contents.apply([removed(*blocks[::-1])])  # type: ignore[attr-defined]
        await client.post(CHAT, json=ask)

    visit(story, [engine], policy=Auction(find_mechanism("vcg")), agents=[SMALL], events=events)
    expected = [event.note.cached for event in events if isinstance(event, Served) and isinstance(event.note, Noted)]
    assert expected[0] == expected[2] == 0 < expected[1]


def test_what_is_asked_for_is_what_is_priced() -> None:
    events: list[Event] = []
    policy = Auction(find_mechanism("vcg"))

    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        for _ in range(8):
            assert (await client.post(CHAT, json=RICH)).status_code == 200
        return (await client.post(CHAT, json=RICH | {"n": 8})).json()["iemas"]

    told = visit(story, policy=policy, events=events)
    one = [event for event in events if isinstance(event, Served)][-2]
    assert float(told["price"]) > 4 * one.charge / 1e6 and told["tokens"]["output"] == 32


def test_an_engine_that_reports_impossible_figures_is_not_believed() -> None:
    class Odd(Fallible):
        """Says that every prompt has a billion tokens."""

        async def open(self, call: Any, deadline: float = float("inf")) -> Any:
            answer = await super().open(call, deadline)

            class Lying:
                usage = Usage(10**9, 0, 10**9, reported=True)

                def __getattr__(self, name: str) -> Any:
                    return getattr(answer, name)

                def __aiter__(self) -> Any:
                    return aiter(answer)

            return Lying()

    policy = Auction(find_mechanism("vcg"))
    events: list[Event] = []

    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        return [(await client.post(CHAT, json=RICH)).status_code for _ in range(4)]

    engines = [Odd("small", lambda call: None), sound("big")]
    assert visit(story, engines, policy=policy, events=events) == [200] * 4
    lied = [event.completion for event in events if isinstance(event, Served) and event.agent == 0]
    assert lied and all((one.prompt_tokens, one.output_tokens) == (4096, 4) for one in lied)
    assert (policy.forecaster._ratio <= 4.0).all()


@pytest.mark.parametrize("own", [{}, {"cache_salt": "mine"}, {"cache_salt": None}])
def test_accounts_that_are_salted_share_no_prefix(monkeypatch: pytest.MonkeyPatch, own: dict[str, Any]) -> None:
    monkeypatch.setenv("ALICE", "sk-alice")
    monkeypatch.setenv("BOB", "sk-bob")
    keys = [{"name": name, "key": {"env": name.upper()}} for name in ("alice", "bob")]
    engine, events = sound("small"), []

    async def story(client: httpx.AsyncClient, serving: Serving) -> Any:
        for name in ("alice", "bob", "alice"):
            body = {**RICH, **own, "stream": True}
            answer = await client.post(CHAT, json=body, headers={"authorization": f"Bearer sk-{name}"})
            assert answer.status_code == 200

    visit(story, [engine], agents=[SMALL], keys=keys, server={"salt_accounts": True}, events=events)
    bodies = [json.loads(call.body) for call in engine.calls]
    salts = [body["cache_salt"] for body in bodies]
    assert salts[0] == salts[2] != salts[1] and all(len(salt) == 44 for salt in salts)
    assert all(body["messages"] == RICH["messages"] and "iemas" not in body for body in bodies)
    assert [call.view.salt for call in engine.calls] == salts
    first = [list(event.offer.tokens[0])[:2] for event in events if isinstance(event, Served)]
    assert first[0] == first[2] != first[1]
