"""Three real servers behind the gateway: what clients get, what it costs, and what a killed server breaks.

One gateway serves one scenario (some minutes on two cores); the tests look at different parts of what was seen. With
`-s` the figures are printed.
"""

import asyncio
import os
import signal
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from allocation.money import MICROS
from tests.runtime.engines.vllm.processes import members
from tests.runtime.gateway.real.gateway import AGENTS, POOL, Gateway, fleet_file, serving
from tests.runtime.gateway.real.report import figures
from tests.runtime.gateway.real.talks import Pending, Told, ask_async, asking, hold_all, talks

pytestmark = pytest.mark.vllm

NAMES = [serves for _, _, serves in AGENTS]
#: Seconds for a killed server to be back: it is started as it was at first, on a machine that may be busy.
BACK_S = 180.0


@dataclass
class Seen:
    """What one run of the scenario saw, in order."""

    talked: list[Told] = field(default_factory=list)
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    killed: list[Told] = field(default_factory=list)
    unknown: int = 0
    back: Told | None = None
    back_s: float = 0.0
    drained: Told | None = None
    refused_while_draining: bool = False
    exit_code: int | None = None
    left_over: list[int] = field(default_factory=list)
    entries: list[tuple[str, str, int, int]] = field(default_factory=list)
    log: str = ""


async def scenario(gateway: Gateway, seen: Seen) -> None:
    url = gateway.url
    seen.talked = await hold_all(url, talks(24, ["auto", *NAMES, POOL, "auto"]), at_once=6)
    seen.figures = figures(gateway.notes)
    async with httpx.AsyncClient(base_url=url) as client:
        for told in seen.talked:
            seen.receipts[told.id] = (await client.get(f"/iemas/v1/receipts/{told.id}")).json()
        ask = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}
        seen.unknown = (await client.post("/v1/chat/completions", json=ask)).status_code
    seen.killed = await kill_one(gateway)
    began = time.monotonic()
    while time.monotonic() < began + BACK_S:
        seen.back = await ask_async(url, question(NAMES[0]), streamed=False)
        if seen.back.whole:
            break
        await asyncio.sleep(1)
    seen.back_s = time.monotonic() - began
    servers = gateway.servers()
    seen.drained, seen.refused_while_draining = await drain(gateway)
    seen.exit_code = await asyncio.to_thread(gateway.process.wait, 60)
    seen.left_over = [pid for group in servers.values() for pid in members(group)]


def question(model: str, words: str = "Name three rivers.", max_tokens: int = 12) -> dict[str, Any]:
    return asking(model, [{"role": "user", "content": words}], max_tokens)


async def kill_one(gateway: Gateway) -> list[Told]:
    """Requests for either of two servers, one of which is killed while some are answered and some wait."""
    before = len(gateway.notes)
    asked = [
        asyncio.create_task(
            ask_async(gateway.url, question(POOL, f"Tell story number {n}.", 40), streamed=True, turn=n)
        )
        for n in range(10)
    ]
    while sum(note["kind"] == "Dispatched" for note in gateway.notes[before:]) < 6:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    os.killpg(gateway.server_of("small"), signal.SIGKILL)
    return list(await asyncio.gather(*asked))


async def drain(gateway: Gateway) -> tuple[Told, bool]:
    """SIGTERM while an answer comes: it comes to its end, and nobody else gets in."""
    pending = Pending(0, 0, "auto")
    refused = False
    async with openai.AsyncOpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
        ask = question(NAMES[2], "Tell a long story.", 60)
        answer = await client.chat.completions.with_raw_response.create(
            **ask, stream=True, stream_options={"include_usage": True}
        )
        pending.headers = answer.headers
        async for chunk in answer.parse():
            if not pending.begun:
                gateway.process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.5)
                refused = not (await ask_async(gateway.url, question("auto"), streamed=False)).whole
            pending.take(chunk)
    return pending.told(), refused


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("three")
    seen = Seen()
    with serving(fleet_file(folder)) as gateway:
        try:
            asyncio.run(scenario(gateway, seen))
        finally:
            seen.log = gateway.log()
            print("\n" + "\n".join(f"{name} {value:.4g}" for name, value in seen.figures.items()))
            kept = [told.whole for told in seen.killed]
            retried = sum(note["kind"] == "Failed" and bool(note["retried"]) for note in gateway.notes)
            print(
                f"killed: {sum(kept)} of {len(kept)} whole, {retried} of them tried again; back in {seen.back_s:.0f} s"
            )
            print("\n".join(line for line in seen.log.splitlines() if " s: " not in line))
    seen.entries = _entries(folder / "iemas.db")
    return seen


def _entries(books: Path) -> list[tuple[str, str, int, int]]:
    with sqlite3.connect(books) as ledger:
        return ledger.execute(
            "SELECT request, COALESCE(state, 'held'), COALESCE(endings.charge, holds.charge), cost"
            " FROM holds LEFT JOIN endings USING (request, attempt) ORDER BY attempt"
        ).fetchall()


def test_every_answer_is_whole(seen: Seen) -> None:
    assert len(seen.talked) == 24
    for told in seen.talked:
        assert told.whole and told.text, told


def test_usage_is_sane(seen: Seen) -> None:
    for told in seen.talked:
        cached = told.usage.prompt_tokens_details.cached_tokens if told.usage.prompt_tokens_details else 0
        assert 0 <= cached < told.usage.prompt_tokens
        assert 0 < told.usage.completion_tokens <= 12
        assert told.usage.total_tokens == told.usage.prompt_tokens + told.usage.completion_tokens


def test_names_choose_who_may_answer(seen: Seen) -> None:
    by_name = {serves: {name} for name, _, serves in AGENTS}
    allowed = {**by_name, POOL: {"small", "twin"}, "auto": {name for name, _, _ in AGENTS}}
    for told in seen.talked:
        assert told.agent in allowed[told.model]
    assert seen.unknown == 404


def test_the_cache_holds_more_of_a_conversation_with_each_turn(seen: Seen) -> None:
    for number in {told.conversation for told in seen.talked if told.model in NAMES}:
        turns = [told for told in seen.talked if told.conversation == number]
        cached = [told.receipt["tokens"]["cached"] for told in turns]
        assert cached == sorted(cached) and cached[-1] > cached[0], turns


def test_hits_are_predicted_and_measured(seen: Seen) -> None:
    assert seen.figures["hit_rate"] > 0.3
    assert abs(seen.figures["hit_rate"] - seen.figures["hit_rate_predicted"]) < 0.2


def test_receipts_answers_and_books_tell_one_story(seen: Seen) -> None:
    booked = {request: (state, charge, cost) for request, state, charge, cost in seen.entries}
    for told in seen.talked:
        receipt = seen.receipts[told.id]
        # Asked for again it comes with what proves its price.
        proof = receipt["proof"]
        assert receipt == told.receipt | {"status": "served", "proof": proof}
        assert float(proof["charge"]) == float(receipt["price"])
        assert receipt["tokens"]["prompt"] == told.usage.prompt_tokens
        assert receipt["tokens"]["output"] == told.usage.completion_tokens
        state, charge, cost = booked[told.id]
        assert (state, charge) == ("settled", round(float(receipt["price"]) * MICROS))
        assert cost == round(float(receipt["cost"]) * MICROS)
    assert not [entry for entry in seen.entries if entry[1] == "held"]


def test_a_killed_server_breaks_only_what_it_had_begun(seen: Seen) -> None:
    for told in seen.killed:
        assert told.whole or (told.begun and told.agent == "small"), told
    assert any(told.whole for told in seen.killed)


def test_a_killed_server_comes_back(seen: Seen) -> None:
    assert seen.back is not None and seen.back.whole and seen.back.agent == "small", seen.back


def test_sigterm_lets_an_answer_end_and_leaves_no_process(seen: Seen) -> None:
    assert seen.drained is not None and seen.drained.whole and seen.refused_while_draining
    assert seen.exit_code == 0
    assert seen.left_over == []
