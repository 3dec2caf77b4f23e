"""What will it cost, how fast, how good? From a request and an agent to an expected QoS.

    prefix         `PrefixIndex`: which prefixes each agent's KV cache is believed to hold, as vLLM would count them
    qos            `Features` in, `QoS` out; `Measured` and `TokenPrices`; the `QoSModel` protocol and `Frozen` models
    hoeffding      `HoeffdingQoS`: online trees for each agent, with an explicit cold start
    queueing       `QueueModel`: seconds to the first token, by playing each agent's prefill queue forward
    prefill_queue  when the last in an agent's line has its turn: `AgentState`, `Pending`
    service_time   how long a model's steps take, learnt from the moments of first tokens
    speed_changes  whether an engine has become slower or faster than it was
    intervals      `ConformalIntervals`: how far off a prediction may be, and the chance that a deadline is kept
    lengths        `OutputLengths`: how long an agent's answers are
    scores         `ErrorMeter`: prequential errors of what was predicted
    errors         `PredictionError`

One round: `PrefixIndex.match` counts the cached tokens, `Features` gathers what the router sees, `QoSModel.predict`
answers for all N requests on all M agents; after each completion `QoSModel.learn`, `PrefixIndex.observe` and
`PrefixIndex.insert`. A prediction never depends on a bidder's report (see `qos`).

The room imports nothing of ours, and river only when a `HoeffdingQoS` is built.
"""

from prediction.errors import PredictionError
from prediction.hoeffding import HoeffdingQoS
from prediction.intervals import ConformalIntervals
from prediction.lengths import OutputLengths
from prediction.prefill_queue import AgentState, Pending
from prediction.prefix import PrefixIndex
from prediction.qos import RIGHT, Features, Frozen, Measured, QoS, QoSModel, TokenPrices
from prediction.queueing import Latency, QueueModel
from prediction.scores import ErrorMeter

__all__ = [
    "RIGHT",
    "AgentState",
    "ConformalIntervals",
    "ErrorMeter",
    "Features",
    "Frozen",
    "HoeffdingQoS",
    "Latency",
    "Measured",
    "OutputLengths",
    "Pending",
    "PredictionError",
    "PrefixIndex",
    "QoS",
    "QoSModel",
    "QueueModel",
    "TokenPrices",
]
