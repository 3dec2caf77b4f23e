"""A synthetic stream of completions from unlike agents.

latency = (a + b uncached (1 + load) + c output (1/2 + load)) noise, where a, b, c, the prices and how long the answers
run are drawn for each agent.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from prediction import Features, Measured, TokenPrices

AGENTS = 6
BLOCK = 16


@dataclass(frozen=True)
class Event:
    agent: int
    features: Features  # one request, every agent
    measured: Measured


def price_lists(seed: int) -> list[TokenPrices]:
    fresh = np.exp(np.random.default_rng(seed).uniform(np.log(1e-3), np.log(1e-2), AGENTS))
    return [TokenPrices(float(p), float(p) / 10, float(p) * 3) for p in fresh]


def completions(count: int, seed: int, *, first_token: bool = False) -> Iterator[Event]:
    """Multi-turn dialogues sent to agents at random; `first_token` leaves the output's time out of the latency."""
    rng = np.random.default_rng([seed, 1])
    prices = price_lists(seed)
    start = rng.uniform(0.02, 0.3, AGENTS)
    prefill = np.exp(rng.uniform(np.log(1e-4), np.log(2e-3), AGENTS))
    decode = np.exp(rng.uniform(np.log(4e-3), np.log(4e-2), AGENTS))
    slots = rng.choice([4, 8, 16], AGENTS)
    verbosity = rng.uniform(0.25, 0.75, AGENTS)
    skill = rng.uniform(0.4, 0.9, AGENTS)
    dialogues: dict[int, tuple[int, int]] = {}
    for _ in range(count):
        dialogue = int(rng.integers(40))
        turn, history = dialogues.get(dialogue, (9, 0))
        if turn > 8:
            turn, history = 0, int(rng.integers(50, 600))
        prompt = history + int(rng.integers(10, 120))
        cached = np.where(rng.random(AGENTS) < 0.5, history * (turn > 0) // BLOCK * BLOCK, 0)
        max_tokens = int(rng.choice([32, 64, 128, 256]))
        inflight = np.minimum(rng.poisson(slots * 0.4), slots)
        features = Features(
            prompt_tokens=np.full((1, AGENTS), prompt),
            cached_tokens=cached[None, :],
            max_tokens=np.array([max_tokens]),
            turn=np.array([turn]),
            inflight=inflight,
            slots=slots,
        )
        j = int(rng.integers(AGENTS))
        hit = int(cached[j]) if rng.random() < 0.95 else 0  # the belief is wrong now and then
        output = int(np.clip(rng.lognormal(np.log(verbosity[j] * max_tokens), 0.35), 1, max_tokens))
        load = inflight[j] / slots[j]
        seconds = start[j] + prefill[j] * (prompt - hit) * (1 + load)
        if not first_token:
            seconds += decode[j] * output * (0.5 + load)
        measured = Measured(
            latency_s=float(seconds * rng.lognormal(0, 0.1)),
            cost=prices[j].cost(prompt, hit, output),
            quality=float(rng.random() < np.clip(skill[j] - 0.04 * turn, 0.05, 0.95)),
            output_tokens=output,
        )
        dialogues[dialogue] = (turn + 1, prompt + output)
        yield Event(j, features, measured)
