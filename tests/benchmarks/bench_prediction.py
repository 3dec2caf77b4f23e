"""Predictions at dispatch on streams from simulated engines: the queue model beside the trees, and what intervals hold.

Every figure is prequential: a request is predicted as it is dispatched, learnt from when its first token came (trees:
when it finished, as they are used). NMAE is MAE / mean of the whole stream, cold start included. The seed is none of
those that constants were chosen on (0, 1, 2).
"""

import time
from collections.abc import Callable

import numpy as np
import pytest

from prediction import AgentState, ConformalIntervals, HoeffdingQoS, Pending, QueueModel
from tests.prediction.engine_stream import LOADS, FirstToken, Sent, stream

SEED = 3
COUNT = 1500
#: The calibrations' own error against real engines.
NOISE = 0.07
STREAMS = [(name, noise) for noise in (0.0, NOISE) for name in LOADS]

#: MAE / mean that each load may have, over all and over the first requests.
NMAE = {"light": 0.10, "medium": 0.10, "heavy": 0.10, "saturated": 0.20}
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
    queue, trees = QueueModel(made.models, [p.fresh for p in made.prices]), HoeffdingQoS(made.prices)
    intervals = ConformalIntervals()
    told: dict[str, tuple[float, float, float, float]] = {}
    sent: dict[str, float] = {}
    actual: dict[str, float] = {}
    for event in made.events:
        j, name = event.agent, event.name
        if isinstance(event, Sent):
            features = event.features
            latency = queue.predict(event.states, features.prompt_tokens, features.cached_tokens, event.now_s)
            expected = float(latency.total[0, j])
            low, high = intervals.interval(expected)
            told[name] = (expected, float(low), float(high), float(trees.predict(features).latency[0, j]))
            sent[name] = event.now_s
            queue.sent(j, name, event.pending, event.states[j].decoding)
        elif isinstance(event, FirstToken):
            actual[name] = event.now_s - sent[name]
            queue.first_token(j, name, event.now_s)
            intervals.learn(told[name][0], actual[name], told[name][1:3])
        else:
            trees.learn(j, event.row, event.measured)
    table = np.array([told[name] for name in sent])
    seconds = np.array([actual[name] for name in sent])
    ours, theirs = errors(table[:, 0], seconds), errors(table[:, 3], seconds)
    held = (table[:, 1] <= seconds) & (seconds <= table[:, 2])
    stretches = [held[k : k + STRETCH].mean() for k in range(0, COUNT, STRETCH)]
    for kind, figures in (("queue", ours), ("trees", theirs)):
        line: dict[str, object] = {"table": "seconds to the first token", "size": load, "noise": noise, "kind": kind}
        line |= figures
        if kind == "queue":
            line |= {"held least": min(stretches), "held most": max(stretches)}
            line |= {"width / mean": float(np.mean(table[:, 2] - table[:, 1]) / seconds.mean())}
        row.append(line)
    assert ours["NMAE"] <= NMAE[load]
    if load != "saturated":
        # There the mates of one moment are not all known yet: printed, and about the bar.
        assert ours[f"first {FIRST}"] <= FIRST_NMAE
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
