"""What events add up to, against sums of the very same events taken singly."""

import asyncio
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from allocation import MICROS
from runtime import Served
from runtime.events import Declined, Event
from runtime.gateway.app import Gateway
from runtime.gateway.operators.watching import Watching
from runtime.metrics.exposition import exposition, surplus
from runtime.metrics.histogram import Histogram
from runtime.metrics.tally import Tally
from tests.runtime.gateway.fleets import fleet
from tests.runtime.gateway.simulated import CHAT, JSON, ask, chat, told


def figures(tally: Tally) -> dict[tuple[str, ...], float]:
    """Every sample by its name and labels' values."""
    families = text_string_to_metric_families(exposition(tally).decode())
    return {
        (one.name, *(one.labels[key] for key in sorted(one.labels))): one.value
        for family in families
        for one in family.samples
    }


class Keeping(Watching):
    """Keeps the events too."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.events: list[Event] = []
        self.subscribers.append(self.events.append)


async def traffic(app: Gateway, watching: Watching) -> None:
    texts = ["tell me more about the sea " * 20] * 3 + ["another thing", "a third"]
    ways: list[dict[str, Any]] = [{"iemas": {"worth": 5000}}, {"stream": True, "iemas": {"worth": 5000}}, {}]
    answers = [ask(app, CHAT, chat(text, **way)) for text in texts for way in ways[:2]]
    await asyncio.gather(*answers)
    cheap = await ask(app, CHAT, chat("not worth it " * 40, iemas={"worth": 0.0}))
    assert cheap.status == 402
    await ask(app, CHAT, chat("by header"), headers=(*JSON, (b"x-iemas-worth", b"5000")))


def test_sums_are_those_of_the_events() -> None:
    async def story(app: Gateway, watching: Keeping) -> tuple[dict[tuple[str, ...], float], Keeping]:
        await traffic(app, watching)
        return figures(watching.tally), watching

    seen, watching = told(fleet(), story, make=Keeping)
    served = [one for one in watching.events if isinstance(one, Served)]
    assert len(served) == 11 and sum(isinstance(one, Declined) for one in watching.events) == 1
    assert seen["iemas_ended_total", "served"] == 11 and seen["iemas_declined_total", "too_low"] == 1
    assert seen["iemas_arrived_total",] == 12
    assert {name: seen["iemas_stated_total", name] for name in watching.tally.stated} == {
        "body": 11, "header": 1, "service_tier": 0, "key": 0, "operator": 0,
    }  # fmt: skip
    for j, labels in enumerate((("small", "tiny"), ("big", "wide"))):
        mine = [one for one in served if one.agent == j]
        assert mine, "both agents serve, or this test shows nothing"
        for name, each in (
            ("vllm:prompt_tokens_total", lambda one: one.completion.prompt_tokens),
            ("vllm:generation_tokens_total", lambda one: one.completion.output_tokens),
            ("vllm:prefix_cache_hits_total", lambda one: one.completion.cached_tokens),
            ("iemas_matches_total", lambda one: 1),
            ("iemas_measured_cached_tokens_total", lambda one: one.completion.cached_tokens),
            ("iemas_predicted_cached_tokens_total", lambda one: one.note.cached),
            ("iemas_charges_credits_total", lambda one: one.charge / MICROS),
            ("iemas_receipts_credits_total", lambda one: one.receipt / MICROS),
            ("iemas_predicted_cost_credits_total", lambda one: one.predicted.cost),
            ("iemas_measured_cost_credits_total", lambda one: one.cost / MICROS),
        ):
            assert seen[(name, *labels)] == pytest.approx(sum(map(each, mine))), name
        assert seen["vllm:e2e_request_latency_seconds_count", *labels] == len(mine)
        assert seen["vllm:time_to_first_token_seconds_count", *labels] == sum(o.completion.streamed for o in mine)
        assert seen["vllm:num_requests_running", *labels] == 0 == seen["vllm:num_requests_waiting", *labels]
        assert seen["iemas_agent_up", *labels] == 1
    assert seen["iemas_surplus_credits",] == pytest.approx(sum(one.charge - one.receipt for one in served) / MICROS)
    assert surplus(watching.tally) == sum(one.charge - one.receipt for one in served)
    assert seen["iemas_rounds_total",] == seen["iemas_decide_seconds_count",] > 1
    assert sum(one.matches for one in watching.tally.recent_rounds) == 11
    assert watching.tally.waiting == 0


def test_whoever_hangs_up_or_fails_leaves_nothing_behind() -> None:
    async def story(app: Gateway, watching: Watching) -> Tally:
        leave = asyncio.Event()
        asked = asyncio.ensure_future(ask(app, CHAT, chat("go", stream=True, iemas={"worth": 5000}), hang_up=leave))
        while not sum(one.running for one in watching.tally.agents):
            await asyncio.sleep(0.001)
        leave.set()
        await asked
        await asyncio.sleep(1)
        return watching.tally

    tally = told(fleet(), story)
    assert sum(one.abandoned + one.failed for one in tally.agents) == 1
    assert tally.waiting == sum(one.running + one.in_line for one in tally.agents) == 0


def test_a_bucket_holds_its_upper_bound() -> None:
    seen = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 2.1):
        seen.add(value)
    assert seen.cumulative() == [("1.0", 2), ("2.0", 4), ("+Inf", 5)] and seen.total == pytest.approx(6.6)


def test_an_agent_more_is_counted_under_its_own_name_or_number() -> None:
    tally = Tally([("a", "m")])
    tally.join("b", "n")
    tally.observe(lambda: [True] * 4, tuple, lambda: [("a", "m"), ("b", "n"), ("a", "m")])
    tally._at(3).served += 1
    assert [name for name, _ in tally.names] == ["a", "b", "a#2", "agent-3"] and tally.alive() == [True] * 4
    assert figures(tally)["iemas_agent_up", "a#2", "m"] == 1
