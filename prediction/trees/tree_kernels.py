"""The answers of all trees for all pairs, compiled. Nothing comes from other files, so a cached kernel is never stale.

The arithmetic and its order are those of river's trees and of `HoeffdingQoS`'s definition, pair by pair: answers are
equal to the last bit (`tests/prediction/test_hoeffding.py` compares). Inputs of a pair, in this order: one, prompt,
cached, uncached, max, turn, inflight, load, decode, backlog.
"""

import math

import numpy as np
from numba import njit


def _compiled(function):
    try:
        return njit(cache=True)(function)
    except RuntimeError:  # Nowhere to keep it: compiled in every process.
        return njit(function)


@_compiled
def predict_pairs(
    prompt, cached, max_tokens, turn, inflight, load, backlog,
    features, thresholds, children, weights, frequencies,
    source, pooled, prior, limit,
    prices, scales, output, warm,
    judged, shrink, bonus,
    latency, cost, quality,
):  # fmt: skip
    """Fill `latency`, `cost` and `quality`, each (M, N), for integer tokens `prompt`, `cached` (M, N).

    `max_tokens` and `turn` are (N,), `inflight`, `load` and `backlog` (M,). Of tree t (latency, cost, quality) of agent
    j, node k tests `x[features[t, j, k]] <= thresholds[t, j, k]` and has the children `children[t, j, k]` and the next,
    or is a leaf where the feature is -1. Leaves answer `weights[t, j, k] @ x`, those for quality `frequencies[j, k]`.

    `source` (M,) is where a latency comes from: 2 the agent's tree, 1 the `pooled` weights, 0 the `prior`; `limit` is
    the longest. `prices` (M, 3) are fresh, cached, output; `scales` (M,) the unit of cost trees, used where `warm`;
    `output` the tokens expected while they are not. Frequencies are shrunk by `shrink` judgements, half of them good.
    """
    x = np.empty(10)
    x[0] = 1.0
    most_input = 1000.0
    agents, requests = prompt.shape
    for j in range(agents):
        fresh_price, cached_price, output_price = prices[j, 0], prices[j, 1], prices[j, 2]
        x[6] = min(inflight[j] / 10.0, most_input)
        x[7] = min(load[j], most_input)
        x[9] = min(backlog[j] / 1000.0, most_input)
        for i in range(requests):
            p, c, most = float(prompt[j, i]), float(cached[j, i]), float(max_tokens[i])
            x[1] = min(p / 1000.0, most_input)
            x[2] = min(c / 1000.0, most_input)
            x[3] = min(float(prompt[j, i] - cached[j, i]) / 1000.0, most_input)
            x[4] = min(most / 1000.0, most_input)
            x[5] = min(float(turn[i]) / 10.0, most_input)
            x[8] = min(most / 1000.0 * load[j], most_input)

            seconds = prior
            if source[j] == 2:
                k = 0
                while features[0, j, k] >= 0:
                    k = children[0, j, k] + (not x[features[0, j, k]] <= thresholds[0, j, k])
                seconds = 0.0
                for f in range(10):
                    seconds += weights[0, j, k, f] * x[f]
            elif source[j] == 1:
                seconds = 0.0
                for f in range(10):
                    seconds += pooled[f] * x[f]
            if not math.isfinite(seconds):
                seconds = prior
            latency[j, i] = min(max(seconds, 0.0), limit)

            believed = fresh_price * (p - c) + cached_price * c + output_price * 0.0
            none_held = fresh_price * (p - 0.0) + cached_price * 0.0 + output_price * most
            all_held = fresh_price * (p - p) + cached_price * p + output_price * most
            dearest = max(none_held, all_held)
            listed = believed + output_price * min(most, output)
            if warm[j]:
                k = 0
                while features[1, j, k] >= 0:
                    k = children[1, j, k] + (not x[features[1, j, k]] <= thresholds[1, j, k])
                beyond = 0.0
                for f in range(10):
                    beyond += weights[1, j, k, f] * x[f]
                credits = believed + scales[j] * beyond
                if not math.isfinite(credits):
                    credits = listed
                cost[j, i] = min(max(credits, 0.0), dearest)
            else:
                cost[j, i] = min(listed, dearest)

            k = 0
            while features[2, j, k] >= 0:
                k = children[2, j, k] + (not x[features[2, j, k]] <= thresholds[2, j, k])
            good = frequencies[j, k]
            good = min(max(good, 0.0), 1.0) if math.isfinite(good) else 0.5
            quality[j, i] = min(1.0, (judged[j] * good + shrink * 0.5) / (judged[j] + shrink) + bonus[j])
