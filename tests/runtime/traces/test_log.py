"""A line for every request that ended, and nobody waits for it."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.events import Abandoned, Declined, Event, Failed, Served
from runtime.gateway.app import Gateway
from runtime.gateway.operators.watching import Watching
from runtime.traces.lines import Lines
from tests.runtime.gateway.fleets import fleet
from tests.runtime.gateway.simulated import CHAT, ask, chat, told

SECRET = "a word that nobody must find"
ENDS = {Served: "served", Declined: "declined", Abandoned: "abandoned", Failed: "failed"}


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def kept() -> Iterator[Kept]:
    logger, handler = logging.getLogger("iemas.requests"), Kept()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)


class Logging(Watching):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args, log_requests=True)
        self.ends: list[Event] = []
        self.subscribers.append(self._keep)

    def _keep(self, event: Event) -> None:
        if type(event) in ENDS and not getattr(event, "retried", False):
            self.ends.append(event)


def test_every_request_that_ends_is_one_line(kept: Kept) -> None:
    async def story(app: Gateway, watching: Logging) -> Logging:
        rich = {"iemas": {"worth": 5000}}
        served = await ask(app, CHAT, chat(SECRET, **rich))
        assert served.status == 200
        assert (await ask(app, CHAT, chat(SECRET, iemas={"worth": 0.0}))).status == 402
        leave = asyncio.Event()
        gone = asyncio.ensure_future(ask(app, CHAT, chat(SECRET, stream=True, **rich), hang_up=leave))
        while not any(one.running for one in watching.tally.agents):
            await asyncio.sleep(0.001)
        leave.set()
        await gone
        await asyncio.sleep(1)
        watching.close()
        return watching

    watching = told(fleet(), story, make=Logging)
    rows = [json.loads(line) for line in kept.lines]
    assert SECRET not in "".join(kept.lines) and len(rows) == 3
    for row, end in zip(rows, watching.ends, strict=True):
        assert (row["id"], row["outcome"]) == (end.offer.request.id, ENDS[type(end)])
        assert (row["bidder"], row["asked"]) == ("local", "auto")
    first, poor, left = rows
    served = watching.ends[0]
    assert isinstance(served, Served)
    assert first["charge"] == served.charge / 1e6 and first["agent"] in ("small", "big")
    assert first["tokens"]["prompt"] == served.completion.prompt_tokens and (first["status"], first["tries"]) == (
        200,
        1,
    )
    assert 0 <= first["queued_s"] < first["latency_s"] == pytest.approx(served.latency_s, abs=1e-3)
    assert abs(first["at"] - time.time()) < 3600
    assert (poor["status"], poor["code"], poor["agent"], poor["charge"]) == (402, "bid_too_low", None, 0.0)
    assert (left["status"], left["tokens"]) == (499, None)


def test_nothing_is_logged_unless_asked(kept: Kept) -> None:
    async def story(app: Gateway, watching: Watching) -> None:
        assert (await ask(app, CHAT, chat("hi", iemas={"worth": 5000}))).status == 200
        watching.close()

    told(fleet(), story)
    assert kept.lines == []


def test_who_puts_a_line_never_waits_and_what_is_too_much_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    stuck, written = threading.Event(), []

    def write(thing: int) -> None:
        stuck.wait(10)
        if thing == 1:
            raise OSError("disk full")
        written.append(thing)

    lines = Lines(write, "a log", bound=3)
    began = time.monotonic()
    lines.put(0)
    while lines._waiting:
        time.sleep(0.01)
    for thing in range(1, 50):
        lines.put(thing)
    assert time.monotonic() - began < 5
    assert lines.dropped >= 46
    stuck.set()
    lines.close()
    assert written[0] == 0 and 1 not in written and len(written) + lines.dropped == 50
    assert "were not written" in caplog.text
