"""Predictions at dispatch on streams from simulated engines: the queue model beside the trees, and what intervals hold.

`queue + trees` is the queue model corrected by trees on what it gets wrong, behind a gate; `weight` is their last.

Every figure is prequential: a request is predicted as it is dispatched, learnt from when its first token came (trees:
when it finished, as they are used). NMAE is MAE / mean of the whole stream, cold start included. The seed is none of
those that constants were chosen on (0, 1, 2). The engines are linear in what the queue model learns, so a second half
of the rows has steps that vary by chance as much as the calibrations err.

Milliseconds here are the least of several runs by the clock, not CPU time.
"""

import time
from collections.abc import Callable

import numpy as np
import pytest

from prediction import (
    AgentState,
    ConformalIntervals,
    Features,
    HoeffdingQoS,
    Measured,
    Pending,
    PrefixIndex,
    QueueModel,
    TokenPrices,
    TreeCorrection,
)
from tests.prediction.engine_stream import LOADS, Assigned, FirstToken, Sent, stream
from tests.prediction.trees import slow_trees

SEED = 3
COUNT = 1500
#: The calibrations' own error against real engines.
NOISE = 0.07
STREAMS = [(name, noise) for noise in (0.0, NOISE) for name in LOADS]

#: MAE / mean that each load may have, over all and over the first requests.
NMAE = {"light": 0.10, "medium": 0.10, "heavy": 0.10, "saturated": 0.20}
NMAE |= dict.fromkeys(("saturated, depth 1", "saturated, depth 2"), 0.20)
FIRST, FIRST_NMAE = 117, 0.20
#: Share within 90 % intervals in every stretch of so many requests.
STRETCH, WITHIN = 300, (0.87, 0.93)


def errors(predicted: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    off = np.abs(predicted - actual)
    return {
        "NMAE": off.mean() / actual.mean(),
        f"first {FIRST}": off[:FIRST].mean() / actual[:FIRST].mean(),
        "MAE/range": off.mean() / (actual.max() - actual.min()),
        "median APE": float(np.median(off / actual)),
    }


@pytest.mark.parametrize(("load", "noise"), STREAMS)
def test_first_tokens(row: list[dict[str, object]], load: str, noise: float) -> None:
    made = stream(LOADS[load], COUNT, SEED, noise)
    queue, trees = (
        QueueModel(made.models, [p.fresh for p in made.prices], depth=LOADS[load].depth),
        HoeffdingQoS(made.prices),
    )
    correction = TreeCorrection(made.prices)
    corrected: dict[str, tuple[np.ndarray, float, dict[str, float]]] = {}
    intervals = ConformalIntervals()
    told: dict[str, tuple[float, float, float, float]] = {}
    began: dict[str, float] = {}
    actual: dict[str, float] = {}
    for event in made.events:
        j, name = event.agent, event.name
        if isinstance(event, Assigned):
            features = event.features
            latency = queue.predict(event.states, features.prompt_tokens, features.cached_tokens, event.now_s)
            expected = float(latency.total[0, j])
            low, high = intervals.interval(expected)
            told[name] = (expected, float(low), float(high), float(trees.predict(features).latency[0, j]))
            began[name] = event.now_s
            experts = correction.experts(features, latency.total)
            corrected[name] = (experts[:, 0, j], float(correction.mix(experts)[0, j]), features.row(0, j))
        elif isinstance(event, Sent):
            queue.sent(j, name, event.pending, event.decoding)
        elif isinstance(event, FirstToken):
            actual[name] = event.now_s - began[name]
            queue.first_token(j, name, event.now_s)
            correction.learn(j, corrected[name][2], corrected[name][0], actual[name])
            intervals.learn(told[name][0], actual[name], told[name][1:3])
        else:
            trees.learn(j, event.row, event.measured)
    table = np.array([told[name] for name in began])
    seconds = np.array([actual[name] for name in began])
    ours, theirs = errors(table[:, 0], seconds), errors(table[:, 3], seconds)
    both = errors(np.array([corrected[name][1] for name in began]), seconds)
    gated = {"weight": correction.weight}
    held = (table[:, 1] <= seconds) & (seconds <= table[:, 2])
    stretches = [held[k : k + STRETCH].mean() for k in range(0, COUNT, STRETCH)]
    for kind, figures in (("queue", ours), ("trees", theirs), ("queue + trees", both | gated)):
        line: dict[str, object] = {"table": "seconds to the first token", "size": load, "noise": noise, "kind": kind}
        line |= figures
        if kind == "queue":
            line |= {"held least": min(stretches), "held most": max(stretches)}
            line |= {"width / mean": float(np.mean(table[:, 2] - table[:, 1]) / seconds.mean())}
        row.append(line)
    assert ours["NMAE"] <= NMAE[load]
    if load != "saturated":
        # Not held there, .10 to .25 by seed and noise: whoever comes while a step runs joins the next and delays all in
        # it. Adding what is expected to come took the bias away and made errors larger, on every load.
        assert ours[f"first {FIRST}"] <= FIRST_NMAE
    # Behind the gate, trees on what is left cost next to nothing, and win nothing: an option.
    assert both["NMAE"] <= ours["NMAE"] + 0.01
    assert WITHIN[0] <= min(stretches) and max(stretches) <= WITHIN[1]


def best(act: Callable[[], object], rounds: int = 15) -> float:
    """Least milliseconds of several runs: other work on the machine only adds."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        took.append(time.perf_counter() - began)
    return min(took) * 1e3


@pytest.mark.parametrize("agents", [4, 20, 100])
def test_speed_of_the_queue_model(row: list[dict[str, object]], agents: int) -> None:
    rng = np.random.default_rng(0)
    model = QueueModel([j % 3 for j in range(agents)], [0.1] * agents)
    states = [AgentState(tuple(Pending(300, 0, float(k)) for k in range(8)), 3, 0.0) for _ in range(agents)]
    prompt = rng.integers(1, 4000, (1000, agents))
    cached = prompt // 2
    events = 2000
    began = time.perf_counter()
    for k in range(events):
        model.sent(0, "r", Pending(int(prompt[k % 1000, 0]), 0, float(k)), 1)
        model.first_token(0, "r", k + 0.5 + 1e-4 * int(prompt[k % 1000, 0]))
    learning = (time.perf_counter() - began) / events
    intervals = ConformalIntervals()
    for _ in range(600):
        intervals.learn(1.0, float(rng.lognormal(0.0, 0.5)))
    total = model.predict(states, prompt, cached, 9.0).total
    row.append(
        {
            "table": "speed of the queue model",
            "size": f"1000x{agents}",
            "predict ms": best(lambda: model.predict(states, prompt, cached, 9.0)),
            "chance ms": best(lambda: intervals.chance_within(total, 2.0)),
            "learn us": learning * 1e6,
        }
    )


#: Milliseconds for all three predictions of 1000 requests on 100 agents.
TREES_MS = 15.0


def some_features(rng: np.random.Generator, requests: int, agents: int) -> Features:
    prompt = np.repeat(rng.integers(50, 4000, (requests, 1)), agents, 1)
    cached = (rng.random((requests, agents)) * prompt).astype(np.int64) // 16 * 16
    return Features(
        prompt, cached, rng.integers(8, 128, requests), rng.integers(0, 20, requests),
        rng.integers(0, 16, agents), np.full(agents, 16), rng.integers(0, 5000, agents),
    )  # fmt: skip


@pytest.mark.parametrize(("agents", "each"), [(4, 500), (20, 300), (100, 200)])
def test_speed_of_the_trees(row: list[dict[str, object]], agents: int, each: int) -> None:
    rng = np.random.default_rng(0)
    prices = [TokenPrices(0.01 * (1 + j % 3), 0.001, 0.02) for j in range(agents)]
    model = HoeffdingQoS(prices)
    learning = 0.0
    for _ in range(each):
        features = some_features(rng, agents, agents)
        for j in range(agents):
            seen = features.row(j, j)
            seconds = 0.02 + seen["uncached_tokens"] * 2e-4 * (1 + j % 3) + seen["backlog_tokens"] * 1e-4
            output = int(rng.integers(1, seen["max_tokens"]))
            cost = prices[j].cost(seen["prompt_tokens"], seen["cached_tokens"], output)
            good = float(rng.random() < 0.3 + 0.5 * (seen["turn"] < 10))
            measured = Measured(seconds + seen["load"] ** 2 * 0.3, cost, good, output)
            began = time.perf_counter()
            model.learn(j, seen, measured)
            learning += time.perf_counter() - began
    few, many = some_features(rng, 20, agents), some_features(rng, 1000, agents)
    fast = model.predict(few)
    began = time.perf_counter()
    slow = slow_trees.predict(model, few)
    by_river = (time.perf_counter() - began) / (20 * agents)
    for name in ("latency", "cost", "quality"):
        assert np.array_equal(getattr(fast, name), getattr(slow, name))
    took = best(lambda: model.predict(many))
    row.append(
        {
            "table": "speed of the trees, all three predictions",
            "size": f"1000x{agents}",
            "predict ms": took,
            "x river": by_river * 1000 * agents / (took / 1e3),
            "learn us": learning / (each * agents) * 1e6,
            "leaves": float(np.mean([agent.latency.n_leaves for agent in model._agents])),
        }
    )
    assert took <= TREES_MS


#: Milliseconds to count the cached tokens of 1000 prompts of 2000 tokens, half of it cached, on 100 agents.
PREFIX_MS = 20.0


@pytest.mark.parametrize("agents", [10, 100])
def test_speed_of_the_prefix_index(row: list[dict[str, object]], agents: int) -> None:
    rng = np.random.default_rng(0)
    dialogues = rng.integers(0, 30_000, (10_000, 1000)).astype(np.int32)
    index = PrefixIndex(agents, 16, capacity_blocks=200_000)
    began = time.perf_counter()
    for k, tokens in enumerate(dialogues):
        index.insert(k % agents, tokens)
    inserting = (time.perf_counter() - began) / len(dialogues)
    for k in range(0, len(dialogues), 5):
        index.insert((7 * k + 1) % agents, dialogues[k])
    chosen = dialogues[rng.integers(len(dialogues), size=1000)]
    fresh = rng.integers(0, 30_000, (1000, 1000)).astype(np.int32)
    half = list(np.hstack([chosen, fresh]))
    cut = [np.concatenate([chosen[k][: rng.integers(1001)], fresh[k], fresh[k]])[:2000] for k in range(1000)]
    lists = [prompt.tolist() for prompt in half]
    took = best(lambda: index.match_many(half))
    row.append(
        {
            "table": "speed of the prefix index, 1000 prompts of 2000 tokens, 10,000 conversations",
            "size": f"1000x{agents}",
            "half cached ms": took,
            "random cut ms": best(lambda: index.match_many(cut)),
            "lists ms": best(lambda: index.match_many(lists), 5),
            "one by one ms": best(lambda: [index.match(prompt) for prompt in half], 5),
            "insert us": inserting * 1e6,
        }
    )
    assert index.match_many(half).max(axis=1).min() == 992
    assert took <= PREFIX_MS
