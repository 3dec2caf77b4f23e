"""How long one model takes from one first token to the next: five seconds-per-unit weights, learnt robustly.

    seconds = w0 + w1 uncached tokens + w2 attention pairs + w3 sequences + w4 [a decode step must end first]

is what a step of vLLM costs (`runtime.engines.simulated.step_time` fits the same form to real engines). The weights are
learnt by recursive least squares (Young, 1984, "Recursive estimation and time-series analysis"), with residuals clipped
as Huber (1964, "Robust estimation of a location parameter") does, weights kept at least 0, and old samples forgotten
exponentially.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Seconds of one unit of each term before anything is measured: a step, a thousand prompt tokens, a million attention
#: pairs, a sequence decoding, what is left of a decode step. A small model on one CPU thread; only their ratios
#: matter once one step was measured.
PRIOR_SECONDS = np.array([0.1, 6.0, 3.0, 0.015, 0.05])

#: Units of the five terms: step, tokens, pairs, sequences, steps.
_UNITS = np.array([1.0, 1e3, 1e6, 1.0, 1.0])
_SCALES = PRIOR_SECONDS / _UNITS

_PRIOR_DEVIATION = 1.0
_NOISE = 0.15
_CLIP = 4.0
_FORGETTING = 0.998
# The least that an unexpected sample may weigh as noise, in its own seconds.
_NOISE_FLOOR = 0.3 * _NOISE


class ServiceTime:
    """The weights of one model, in seconds per unit of `(1, tokens, pairs, sequences, residual steps)`.

    The weights supposed until then keep their ratios at the first sample, which sets their common factor. `typical` are
    the mean terms of late, `samples` how many were learnt; `measured` is False while nothing was.

    Example:
        >>> import numpy as np
        >>> service = ServiceTime()
        >>> service.learn(np.array([1.0, 500.0, 125_000.0, 0.0, 0.0]), 1.8)
        >>> round(float(service.weights @ [1.0, 500.0, 125_000.0, 0.0, 0.0]), 3)
        1.8
    """

    __slots__ = ("_covariance", "_relative", "measured", "samples", "typical")

    def __init__(self) -> None:
        self.samples = 0
        self.measured = False
        # Weights in the prior's units, where all of them are of the order of the model's slowness.
        self._relative = np.ones(5)
        self._covariance = np.eye(5)
        self.typical = np.zeros(5)

    @property
    def weights(self) -> Floats:
        """Seconds per unit of each term, shape (5,)."""
        weights: Floats = self._relative * _SCALES
        return weights

    def suppose(self, weights: Floats) -> None:
        """Take `weights` as the prior: nothing was measured here, but elsewhere."""
        self._relative = np.maximum(weights / _SCALES, 1e-9)

    def guess(self, terms: Floats, seconds: float) -> None:
        """Take the speed from a step that may not have been seen whole; the first that was will replace it."""
        x = terms * _SCALES
        self._relative = self._relative * (seconds / float(self._relative @ x))
        self.measured = True

    def learn(self, terms: Floats, seconds: float) -> None:
        """Learn that a step of these terms took so many seconds, more than 0."""
        x = terms * _SCALES
        if self.samples == 0:
            self.guess(terms, seconds)
            self._open(_PRIOR_DEVIATION)
        else:
            self._update(x, seconds)
        self.samples += 1
        self.typical += (terms - self.typical) / min(self.samples, 100)

    def expect(self, terms: Floats) -> float:
        """Seconds that a step of these terms takes, more than 0."""
        return max(float(self.weights @ terms), 1e-9)

    def reopen(self) -> None:
        """Doubt all weights alike: the engine is not what it was."""
        self._open(0.5 * _PRIOR_DEVIATION)

    def _open(self, deviation: float) -> None:
        level = max(float(self._relative.mean()), 1e-9)
        self._covariance = np.diag((deviation * np.maximum(self._relative, 0.3 * level)) ** 2)

    def _update(self, x: Floats, seconds: float) -> None:
        expected = float(self._relative @ x)
        noise = max(_NOISE * expected, _NOISE_FLOOR * seconds, 1e-6) ** 2
        gain = self._covariance @ x
        doubt = float(x @ gain)
        if doubt < 0.0:
            # Tens of thousands of subtractions have left, in the last digits, what is no covariance any more.
            self._covariance = _semidefinite(self._covariance)
            gain = self._covariance @ x
            doubt = max(float(x @ gain), 0.0)
        variance = noise + doubt
        most = _CLIP * math.sqrt(variance)
        residual = min(max(seconds - expected, -most), most)
        self._relative = np.maximum(self._relative + gain * (residual / variance), 0.0)
        covariance = (self._covariance - np.outer(gain, gain / variance)) / _FORGETTING
        # A direction that no sample excites must not be forgotten without bound.
        limit = (2.0 * _PRIOR_DEVIATION * max(float(self._relative.max()), 1e-9)) ** 2
        diagonal = covariance.diagonal()
        if diagonal.max() > limit:
            shrink = np.sqrt(np.minimum(limit / np.maximum(diagonal, 1e-300), 1.0))
            covariance = covariance * np.outer(shrink, shrink)
        self._covariance = covariance


def _semidefinite(matrix: Floats) -> Floats:
    """The nearest matrix that is symmetric and has no negative eigenvalue (Higham, 1988)."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    nearest: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return nearest
