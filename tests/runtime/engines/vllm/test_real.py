"""A real vLLM server with a real model on this machine's CPU: what it measures, and how it ends.

One server serves one scripted scenario (about a minute); the tests look at different parts of what was seen.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import pytest

from runtime.engines.call import Call, Usage, View, collect
from runtime.engines.engine import Completion, EngineInfo, Message, Request
from runtime.engines.vllm.engine import EngineCounters, ServerOptions, VllmEngine
from runtime.errors import EngineError, Refused, RequestError
from runtime.models import fetch
from tests.runtime.engines.vllm.processes import members

pytestmark = pytest.mark.vllm

QUESTION = "Explain in plain words why a queue in front of a single counter grows so quickly when it is nearly full. "
OPTIONS = ServerOptions(max_model_len=2048, max_num_seqs=4, block_size=32, kv_cache_bytes=128 << 20)


@dataclass(frozen=True)
class Streamed:
    """Two choices as a stream, one as a stream and as a body, and how long the server worked for who had left."""

    events: list[bytes]
    usage: Usage | None
    finished: bool
    same_as_a_body: bool
    working_s: float


@dataclass(frozen=True)
class Seen:
    """What one run of the scenario saw, in order."""

    info: EngineInfo
    turns: tuple[Completion, Completion]
    prompts: tuple[tuple[int, ...], tuple[int, ...]]
    again: Completion
    together: Sequence[Completion]
    counters: EngineCounters
    streamed: Streamed
    refused: Refused
    too_long: RequestError
    while_running: list[int]
    in_flight: EngineError
    afterwards: EngineError
    after_stop: list[int]


async def scenario() -> Seen:
    engine = VllmEngine.launch("alice", fetch("smollm2-135m"), options=OPTIONS)
    try:
        info = await engine.start()
        first = (Message("user", QUESTION * 6),)
        one = await engine.generate(Request("t1", "alice", first, max_tokens=24))
        second = (*first, Message("assistant", one.text), Message("user", "Say it more briefly."))
        two = await engine.generate(Request("t2", "alice", second, max_tokens=8))
        again = await engine.generate(Request("t2 again", "alice", second, max_tokens=8))
        together = await asyncio.gather(
            *(
                engine.generate(Request(f"c{n}", "bob", (Message("user", f"{n} " * 40),), max_tokens=6))
                for n in range(3)
            )
        )
        prompts = (await engine.tokenize(first), await engine.tokenize(second))
        counters = await settled_counters(engine, sum(done.output_tokens for done in (one, two, again, *together)))
        streamed = await stream(engine)
        with pytest.raises(Refused) as refused:
            await engine.open(call("x", max_tokens=-1))
        with pytest.raises(RequestError) as too_long:
            await engine.generate(Request("long", "alice", (Message("user", QUESTION * 200),)))
        assert engine.pid is not None
        pid, while_running = engine.pid, members(engine.pid)
        running = asyncio.create_task(engine.generate(Request("doomed", "alice", first, max_tokens=500)))
        await asyncio.sleep(1.0)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(EngineError) as in_flight:
            await running
        with pytest.raises(EngineError) as afterwards:
            await engine.generate(Request("late", "alice", first))
    finally:
        await engine.stop()
    return Seen(
        info=info,
        turns=(one, two),
        prompts=prompts,
        again=again,
        together=together,
        counters=counters,
        streamed=streamed,
        refused=refused.value,
        too_long=too_long.value,
        while_running=while_running,
        in_flight=in_flight.value,
        afterwards=afterwards.value,
        after_stop=members(pid),
    )


def call(question: str, **fields: object) -> Call:
    told = [{"role": "user", "content": question}]
    asked = {"model": "smollm2-135m", "messages": told, "temperature": 0, "unknown": 1.10, **fields}
    body = json.dumps(asked).encode()
    view = View(stream=bool(fields.get("stream")), n=2 if fields.get("n") == 2 else 1)
    return Call("call", body, view)


async def stream(engine: VllmEngine) -> Streamed:
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    # Greedily vLLM gives one choice alone.
    answer = await engine.open(call("Name two rivers.", max_tokens=5, n=2, temperature=1, **usage))
    events = [event async for event in answer]
    one = await collect(await engine.open(call("Name two rivers.", max_tokens=5, **usage)))
    whole = await collect(await engine.open(call("Name two rivers.", max_tokens=5)))
    assert engine._client is not None
    left = await engine.open(call("Tell a long story.", max_tokens=1500, stream=True))
    await anext(aiter(left))
    await left.aclose()
    began = time.monotonic()
    while time.monotonic() < began + 20:
        at_work = [one.value for one in await engine._client.metrics() if one.name == "vllm:num_requests_running"]
        if at_work == [0.0]:
            break
        await asyncio.sleep(0.05)
    working_s = time.monotonic() - began
    return Streamed(events, answer.usage, answer.finished, one.text == whole.text, working_s)


async def settled_counters(engine: VllmEngine, generated: int) -> EngineCounters:
    """The counters once they include everything generated, or after two seconds."""
    for _ in range(20):
        counters = await engine.metrics()
        if counters.generation_tokens >= generated:
            break
        await asyncio.sleep(0.1)
    return counters


@pytest.fixture(scope="module")
def seen() -> Seen:
    return asyncio.run(scenario())


def test_the_engine_says_what_it_is(seen: Seen) -> None:
    assert seen.info.model == "smollm2-135m"
    assert seen.info.block_size == OPTIONS.block_size
    assert seen.info.cache_blocks > 2048 // seen.info.block_size
    assert (seen.info.max_model_len, seen.info.slots, seen.info.simulated) == (2048, 4, False)


def test_tokenize_is_the_prompt_that_the_server_saw(seen: Seen) -> None:
    for prompt, turn in zip(seen.prompts, seen.turns, strict=True):
        assert turn.token_ids[: turn.prompt_tokens] == prompt
        assert len(turn.token_ids) == turn.prompt_tokens + turn.output_tokens


def test_the_second_turn_finds_exactly_the_full_blocks_of_the_common_prefix(seen: Seen) -> None:
    first, second = seen.turns
    block = seen.info.block_size
    # The last token of an answer is never fed back, so its keys and values are not in the cache.
    pairs = zip(first.token_ids[:-1], seen.prompts[1], strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    assert first.cached_tokens == 0
    assert second.cached_tokens == common // block * block
    assert second.cached_tokens > 0


def test_a_repeated_prompt_recomputes_its_last_token(seen: Seen) -> None:
    block = seen.info.block_size
    assert seen.again.cached_tokens == (seen.again.prompt_tokens - 1) // block * block
    assert seen.again.text == seen.turns[1].text


def test_a_warm_prefix_answers_sooner(seen: Seen) -> None:
    assert seen.again.first_token_s < seen.turns[0].first_token_s
    for done in (*seen.turns, seen.again, *seen.together):
        assert 0 < done.first_token_s <= done.latency_s


def test_the_counters_agree_with_the_completions(seen: Seen) -> None:
    served = (*seen.turns, seen.again, *seen.together)
    prompt_tokens = sum(done.prompt_tokens for done in served)
    assert seen.counters == EngineCounters(
        prefix_queries=prompt_tokens,
        prefix_hits=sum(done.cached_tokens for done in served),
        prompt_tokens=prompt_tokens,
        generation_tokens=sum(done.output_tokens for done in served),
    )


def test_a_stream_comes_event_by_event_to_its_end(seen: Seen) -> None:
    streamed = seen.streamed
    assert streamed.events[-1] == b"data: [DONE]\n\n" and len(streamed.events) > 10
    assert streamed.finished and streamed.same_as_a_body
    assert streamed.usage is not None and streamed.usage.reported and streamed.usage.output == 10


def test_the_server_stops_for_who_hangs_up(seen: Seen) -> None:
    # A story of 1500 tokens takes it minutes.
    assert seen.streamed.working_s < 10


def test_a_refusal_is_in_the_servers_own_words(seen: Seen) -> None:
    assert seen.refused.status == 400
    assert "max_tokens" in json.loads(seen.refused.body)["error"]["message"]


def test_a_prompt_beyond_the_context_is_the_requests_fault(seen: Seen) -> None:
    assert "2048" in str(seen.too_long)


def test_a_killed_server_is_the_engines_fault(seen: Seen) -> None:
    assert "died with exit code -9" in str(seen.in_flight)
    assert "died with exit code -9" in str(seen.afterwards)


def test_no_process_outlives_stop(seen: Seen) -> None:
    assert seen.while_running
    assert seen.after_stop == []
