"""Random traces through a real vLLM engine and through ours: equal cache hits, request for request.

The real one has random weights (`dummy_engine`), so what it generates is noise, but its cache and its scheduler are
vLLM's own. The caches are so small that blocks are evicted all the time. A step of ours takes one second here, so
that latencies count steps.
"""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from runtime import Completion, EngineShape, SimulatedEngine, StepTime, running
from runtime.engines.simulated.virtual_time import run
from runtime.engines.vllm.process import find_python
from tests.runtime.engines.vllm.dummy_engine import VOCABULARY, bursts, replay_all

pytestmark = pytest.mark.vllm

ONE_SECOND = StepTime(1.0, 0.0, 0.0, 0.0, 0.0, "nothing: one second a step", 0.0, 0.0)


@dataclass
class Conversations:
    """Draws requests that grow, repeat, cut and share what came before them; it knows lengths only."""

    rng: random.Random
    block_size: int
    limit: int
    lengths: list[int] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.systems = [self.tokens(n) for n in (self.block_size, self.block_size + 9, 2 * self.block_size, 5)]

    def tokens(self, count: int) -> list[int]:
        return [self.rng.randrange(3, VOCABULARY) for _ in range(count)]

    def add(self, max_tokens: int, past: int, **more: int) -> None:
        """One more request; it may continue the first `past` requests only."""
        rng, limit = self.rng, self.limit - max_tokens
        kind = rng.choice(("new", "next", "next", "next", "again", "cut", "branch")) if past else "new"
        before: dict[str, Any] = {}
        known = 0
        if kind != "new":
            after = rng.randrange(max(0, past - 8), past)
            before = {"after": after}
            known = self.lengths[after]
            if kind == "cut":
                known = (
                    rng.randint(1, known // self.block_size) * self.block_size if known >= self.block_size else known
                )
            elif kind == "branch":
                known = rng.randint(1, known)
            elif kind == "again":
                known -= self.requests[after]["max_tokens"]
            known = min(known, limit)
            before["keep"] = known
        own = [] if kind in ("again", "cut") else self.tokens(rng.randint(1, 2 * self.block_size))
        if kind == "new":
            own = [*rng.choice(self.systems), *own]
        elif own and rng.random() < 0.3:
            own = own[: max(1, len(own) - (known + len(own)) % self.block_size)]
        own = own[: max(0, limit - known)]
        self.requests.append({"prompt": own, "max_tokens": max_tokens, **before, **more})
        self.lengths.append(known + len(own) + max_tokens)


def serial_trace(seed: int, block_size: int, cache_blocks: int, requests: int) -> dict[str, Any]:
    rng = random.Random(seed)
    drawn = Conversations(rng, block_size, min(2048, (cache_blocks - 1) * block_size))
    for k in range(requests):
        drawn.add(rng.randint(1, 20), past=k)
    return {"block_size": block_size, "cache_blocks": cache_blocks, "requests": drawn.requests}


def burst_trace(
    seed: int, block_size: int, cache_blocks: int, budget: int, answers: int, requests: int
) -> dict[str, Any]:
    """Bursts of up to 7 requests for a capacity of 4, some of them arriving while the first is served.

    A step computes at most `budget` tokens; an answer has at most `answers`.
    """
    rng = random.Random(seed)
    drawn = Conversations(rng, block_size, min(2048, (cache_blocks - 1) * block_size))
    while len(drawn.requests) < requests:
        past, first = len(drawn.requests), rng.randint(answers // 3, answers)
        for k in range(rng.randint(2, 7)):
            step = rng.choice((0, 0, rng.randint(1, first - 1))) if k else 0
            drawn.add(rng.randint(1, answers) if k else first, past=past, burst=past, step=step)
    limits = {"max_num_seqs": 4, "max_num_batched_tokens": budget}
    return {"block_size": block_size, "cache_blocks": cache_blocks, **limits, "requests": drawn.requests}


#: block size, blocks
SERIAL = {
    f"{blocks} blocks of {size}, seed {seed}": serial_trace(seed, size, blocks, 50)
    for seed, (size, blocks) in enumerate(
        [(32, 12), (32, 16), (32, 20), (32, 24), (32, 40), (64, 12), (64, 20), (64, 40)]
    )
}
#: block size, blocks, tokens a step, tokens an answer
BURSTS = {
    f"{blocks} blocks of {size}, {budget} tokens a step, seed {seed}": burst_trace(
        seed, size, blocks, budget, answers, 50
    )
    for seed, (size, blocks, budget, answers) in enumerate(
        [
            (32, 12, 2048, 40),
            (32, 12, 2048, 90),
            (32, 16, 48, 70),
            (32, 20, 2048, 40),
            (32, 30, 2048, 60),
            (64, 10, 100, 90),
            (64, 30, 2048, 40),
        ]
    )
}


@pytest.fixture(scope="module")
def real() -> dict[str, Any]:
    traces = SERIAL | BURSTS
    return dict(zip(traces, replay_all(find_python(None), list(traces.values())), strict=True))


def simulate(trace: dict[str, Any], real: dict[str, Any]) -> list[Completion]:
    """The same trace through our engine, which generates what the real one did."""

    async def main() -> list[Completion]:
        engine = SimulatedEngine(
            "simulated",
            lambda request: "",
            ONE_SECOND,
            EngineShape(
                trace["block_size"],
                trace["cache_blocks"],
                trace.get("max_num_seqs", 8),
                trace.get("max_num_batched_tokens", 2048),
                2048,
            ),
        )

        async def together(burst: list[dict[str, Any]], answers: list[dict[str, Any]]) -> list[Completion]:
            loop = asyncio.get_running_loop()
            began, jobs = loop.time(), {}
            for k in sorted(range(len(burst)), key=lambda k: burst[k].get("step", 0)):
                if burst[k].get("step", 0):
                    await asyncio.sleep(began + burst[k]["step"] - 0.5 - loop.time())
                jobs[k] = asyncio.create_task(engine.generate_tokens(answers[k]["prompt"], answers[k]["output"]))
            return [await jobs[k] for k in range(len(burst))]

        served: list[Completion] = []
        async with running([engine]):
            for burst in bursts(trace):
                served += await together(burst, real["requests"][len(served) : len(served) + len(burst)])
        return served

    return run(main(), virtual=True)


def cached(requests: list[dict[str, Any]]) -> list[int]:
    return [request["cached_tokens"] for request in requests]


@pytest.mark.parametrize("name", SERIAL)
def test_one_request_at_a_time_hits_the_very_same_tokens(name: str, real: dict[str, Any]) -> None:
    ours = simulate(SERIAL[name], real[name])
    assert [one.cached_tokens for one in ours] == cached(real[name]["requests"])


@pytest.mark.parametrize("name", BURSTS)
def test_bursts_hit_the_very_same_tokens_and_take_the_very_same_steps(name: str, real: dict[str, Any]) -> None:
    ours, theirs = simulate(BURSTS[name], real[name]), real[name]["requests"]
    assert [one.cached_tokens for one in ours] == cached(theirs)
    # Who arrives later does so half a step early, to be there when the step begins.
    steps = [(int(one.first_token_s), int(one.latency_s)) for one in ours]
    assert steps == [(one["first_step"], one["last_step"]) for one in theirs]


def test_the_traces_put_the_caches_under_pressure(real: dict[str, Any]) -> None:
    for name, answer in real.items():
        prompts = [one["prompt"] for one in answer["requests"]]
        assert 0.2 < sum(cached(answer["requests"])) / sum(map(len, prompts)) < 0.8, name
    assert sum(real[name]["preemptions"] for name in BURSTS) > 20
