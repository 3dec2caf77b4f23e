"""What will it cost, how fast, how good? From a request and an agent to an expected QoS.

    errors    `PredictionError`
    qos       `Features` in, `QoS` out; `Measured` and `TokenPrices`; the `QoSModel` protocol and `Frozen` models
    scores    `ErrorMeter`: prequential errors of what was predicted
    caches    `PrefixIndex`: which prefixes each agent's KV cache is believed to hold, as vLLM would count them
    latency   `QueueModel`: seconds to the first token, by playing each agent's prefill queue forward, from `AgentState`
              and `Pending`; `ConformalIntervals`: how far off that may be, and the chance that a deadline is kept;
              `OutputLengths`: how long an agent's answers are
    trees     `HoeffdingQoS`: online trees for each agent, with an explicit cold start
    quality   `PerQuestion`: the chance that a model answers this question right, as far as questions tell; from vectors
              of an `Embedder`, by default `HashedNgrams`
    correction  `TreeCorrection`: trees on what `QueueModel` gets wrong, as far as they have foretold better

One round: `PrefixIndex.match` counts the cached tokens, `Features` gathers what the router sees, `QoSModel.predict`
answers for all N requests on all M agents; after each completion `QoSModel.learn`, `PrefixIndex.observe` and
`PrefixIndex.insert`. A prediction never depends on a bidder's report (see `qos`).

The room imports nothing of ours, and river only when a `HoeffdingQoS` is built.
"""

from prediction.caches.prefix import PrefixIndex, Tokens
from prediction.correction import TreeCorrection
from prediction.errors import PredictionError
from prediction.latency.intervals import ConformalIntervals
from prediction.latency.lengths import OutputLengths
from prediction.latency.prefill_queue import AgentState, Pending
from prediction.latency.queueing import Latency, QueueModel
from prediction.qos import RIGHT, Features, Frozen, Measured, QoS, QoSModel, TokenPrices
from prediction.quality.embedding import Embedder, HashedNgrams
from prediction.quality.per_question import PerQuestion
from prediction.scores import ErrorMeter
from prediction.trees.hoeffding import HoeffdingQoS

__all__ = [
    "RIGHT",
    "AgentState",
    "ConformalIntervals",
    "Embedder",
    "ErrorMeter",
    "Features",
    "Frozen",
    "HashedNgrams",
    "HoeffdingQoS",
    "Latency",
    "Measured",
    "OutputLengths",
    "Pending",
    "PerQuestion",
    "PredictionError",
    "PrefixIndex",
    "QoS",
    "QoSModel",
    "QueueModel",
    "TokenPrices",
    "Tokens",
    "TreeCorrection",
]
