"""How far is each expert to be believed? As far as it has predicted better so far, on answers it had not seen."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Nobody is believed beyond this: one surprise must not cost an expert all its weight.
_SURE = 0.01


class Gate:
    """A mixture of experts by their prequential log loss (Dawid 1984), with fixed share.

    Weights are those of exponentially weighted aggregation at rate 1, which for log loss is Bayes' rule (Cesa-Bianchi
    and Lugosi 2006, chapter 9). After answer t a share 1 / (t + 1) of all weight goes back to where it began, so an
    expert that was bad while it knew little is not held to that for ever (Herbster and Warmuth 1998).

    After T answers the mixture has lost at most ln(1 / w) + (1 - w) ln(T + 1) nats, all together, more than an expert
    of initial weight w: Bayes' rule costs the first term, and the share leaves the expert a product of
    1 - (1 - w) / (t + 1), each factor at least (t / (t + 1)) ** (1 - w).

    Args:
        weights: of the experts, at first; positive, of sum 1.

    >>> gate = Gate((0.5, 0.5))
    >>> for _ in range(20):
    ...     gate.learn(np.array([0.5, 0.9]), True)
    >>> float(gate.mix(np.array([0.5, 0.9])).round(2))
    0.88
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self._first = np.array(weights, dtype=np.float64)
        self._answers = 0
        self.weights = self._first

    def mix(self, chances: Floats) -> Floats:
        """(...) what the experts say together, given (E, ...) what each says."""
        weights = self.weights.reshape(-1, *[1] * (chances.ndim - 1))
        # Added up entry by entry: a product by BLAS rounds by how many others are asked.
        mixed: Floats = (weights * believable(chances)).sum(axis=0)
        return mixed

    def learn(self, chances: Floats, right: bool) -> None:
        """Weigh the experts anew, given (E,) what each had said of an answer, and whether it was right."""
        said = believable(chances)
        weights = self.weights * (said if right else 1 - said)
        self._answers += 1
        share = 1 / (self._answers + 1)
        self.weights = (1 - share) * weights / weights.sum() + share * self._first


def believable(chances: Floats) -> Floats:
    """Chances that are not too sure of themselves."""
    return np.clip(chances, _SURE, 1 - _SURE)
