"""Trees on what the queue model gets wrong, believed as far as they have foretold better so far.

The queue model knows how an engine works; trees know nothing and learn any pattern. Here they learn by what factor the
queue model is off (`HoeffdingQoS` on the ratio of measured to foretold seconds), and a prequential gate weighs the two
(Dawid 1984; `quality.gate`): where the ratio has no pattern, the queue model stays as good as alone.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from prediction.errors import PredictionError
from prediction.qos import Features, Measured, TokenPrices
from prediction.quality.gate import Gate
from prediction.trees.hoeffding import HoeffdingQoS

Floats = NDArray[np.float64]

#: The queue model is not taken to be off by more than this factor, either way.
_MOST = 4.0
#: Weight of the queue model alone, and of the corrected one, before anything is measured.
_FIRST = (0.9, 0.1)
#: What the queue model is taken to be off by at first (of the logarithm), and how fast that is learnt.
_OFF, _SMOOTHING = 0.1, 0.02


class TreeCorrection:
    """Corrects seconds to the first token, as `QueueModel` foretells them, on each of M agents.

    Args:
        prices: each agent's price list; M is its length.

    Raises:
        PredictionError: there are no prices.

    It reads `Features` and moments alone: the non-interference law of `qos` holds. An option: on the streams of
    `bench_prediction` it wins nothing over the queue model alone.

    Example:
        >>> correction = TreeCorrection([TokenPrices(0.01, 0.001, 0.02)])
        >>> one, pair = np.array([1]), np.array([[500]])
        >>> experts = correction.experts(Features(pair, 0 * pair, 16 * one, 0 * one, one, 8 * one), np.array([[2.0]]))
        >>> float(correction.mix(experts)[0, 0])
        2.0
    """

    def __init__(self, prices: Sequence[TokenPrices]) -> None:
        self._trees = HoeffdingQoS(prices, latency_prior=1.0, latency_limit=_MOST)
        self._gate = Gate(_FIRST)
        self._off = _OFF

    @property
    def weight(self) -> float:
        """How far the trees are believed, in [0, 1]."""
        return float(self._gate.weights[1])

    def experts(self, features: Features, seconds: Floats) -> Floats:
        """(2, N, M) seconds: as foretold by the queue model, and as corrected; changes nothing.

        Args:
            seconds: (N, M) from now to the first token.

        Raises:
            PredictionError: shapes disagree.
        """
        if seconds.shape != features.shape:
            raise PredictionError(f"`seconds` must have shape {features.shape}, not {seconds.shape}.")
        ratio = np.maximum(self._trees.predict(features).latency, 1 / _MOST)
        return np.stack([seconds, seconds * ratio])

    def mix(self, experts: Floats) -> Floats:
        """(...) seconds, given (2, ...) what both say."""
        queue, trees = experts
        mixed: Floats = (1 - self.weight) * queue + self.weight * trees
        return mixed

    def learn(self, agent: int, row: Mapping[str, float], experts: Floats, seconds: float) -> None:
        """Learn from a first token on `agent`.

        Args:
            row: the `Features.row` under which it was foretold.
            experts: (2,) what both had said of it.
            seconds: measured.
        """
        if not (seconds > 0 and (experts > 0).all()):
            return
        off = np.abs(np.log(seconds / experts))
        # As likely as a Laplace density makes it whose spread is that of the queue model so far.
        self._gate.learn(np.exp(-off / max(self._off, 1e-6)), True)
        self._off += _SMOOTHING * (float(off[0]) - self._off)
        self._trees.learn(agent, row, Measured(min(seconds / float(experts[0]), _MOST), 0.0))
