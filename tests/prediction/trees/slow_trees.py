"""What `HoeffdingQoS` predicts, pair by pair as river answers: the oracle of the compiled loop."""

import math

import numpy as np

from prediction import Features, HoeffdingQoS, QoS
from prediction.trees.hoeffding import _inputs, _price_range


def predict(model: HoeffdingQoS, features: Features) -> QoS:
    n, m = features.shape
    latency, cost, quality = np.empty((3, n, m))
    for j, agent in enumerate(model._agents):
        for i in range(n):
            row = features.row(i, j)
            x = _inputs(row)
            latency[i, j] = _latency(model, agent, x)
            cost[i, j] = _cost(model, agent, row, x)
            quality[i, j] = _quality(model, agent, x)
    return QoS(latency, cost, quality)


def _latency(model, agent, x):
    if agent.completions >= model._warmup:
        seconds = agent.latency.predict_one(x)
    elif model._completions >= model._warmup:
        seconds = model._pooled.predict_one(x)
    else:
        seconds = model._latency_prior
    return _clip(seconds, model._latency_limit, otherwise=model._latency_prior)


def _cost(model, agent, row, x):
    prompt, most = _price_range(agent.prices, row)
    output = row["max_tokens"]
    if model._outputs:
        output = min(output, model._output_sum / model._outputs)
    listed = prompt + agent.prices.output * output
    if agent.completions < model._warmup:
        return min(listed, most)
    return _clip(prompt + agent.price_scale * agent.cost.predict_one(x), most, otherwise=listed)


def _quality(model, agent, x):
    # River's classifier answers {} before it has learnt anything.
    good = agent.quality.predict_proba_one(x).get(True, 0.0)
    good = _clip(good, 1.0, otherwise=0.5)
    shrunk = (agent.judged * good + model._warmup * 0.5) / (agent.judged + model._warmup)
    bonus = model._optimism * math.sqrt(math.log1p(model._judged) / (1 + agent.judged))
    return min(1.0, shrunk + bonus)


def _clip(value, most, *, otherwise):
    return min(max(value if math.isfinite(value) else otherwise, 0.0), most)
