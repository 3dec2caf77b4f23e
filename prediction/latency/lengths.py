"""How long an agent's answers are: a running median, since a few long answers say little of the next.

The median minimises the mean absolute error (Laplace, 1774), and most of the error of a request's cost is its length.
"""

from bisect import bisect_left, insort
from collections import deque

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prediction.errors import PredictionError

#: Answers that the median over all agents counts as among an agent's own.
PRIOR_ANSWERS = 3


class OutputLengths:
    """Output tokens to expect of each of `agents` agents.

    Args:
        agents: M, at least 1.
        window: answers remembered of each agent, and of all together.

    Raises:
        PredictionError: either is less than 1.

    An agent's prediction is the median of its last `window` answers and of `PRIOR_ANSWERS` more that are as long as
    the median over all agents; before any answer, whatever the request allows.

    Example:
        >>> lengths = OutputLengths(agents=2)
        >>> for tokens in (10, 30, 20, 20, 20):
        ...     lengths.learn(0, tokens)
        >>> lengths.predict([100, 16])
        array([[20., 20.],
               [16., 16.]])
    """

    def __init__(self, agents: int, *, window: int = 101) -> None:
        if agents < 1 or window < 1:
            raise PredictionError(f"`agents` and `window` must be at least 1, not {agents} and {window}.")
        self._window = window
        self._own = [_Window(window) for _ in range(agents)]
        self._all = _Window(window)
        self._medians = np.full(agents, np.inf)

    def join(self) -> None:
        """One agent more, the last: as long as all others' answers until its own are known."""
        self._own.append(_Window(self._window))
        pooled = self._all.median() if len(self._all) else np.inf
        self._medians = np.append(self._medians, pooled)

    def predict(self, max_tokens: ArrayLike) -> NDArray[np.float64]:
        """Tokens to expect of each of N requests on each agent, at most what it allows: shape (N, M).

        Raises:
            PredictionError: `max_tokens` is not 1-D or holds a negative or undefined number.
        """
        allowed = np.asarray(max_tokens, np.float64)
        if allowed.ndim != 1 or not (allowed >= 0.0).all():
            raise PredictionError(f"`max_tokens` must be (N,) numbers of at least 0, not {allowed.shape}: {allowed}.")
        expected: NDArray[np.float64] = np.minimum(allowed[:, None], self._medians)
        return expected

    def learn(self, agent: int, tokens: int) -> None:
        """An answer of `agent` had so many tokens.

        Raises:
            PredictionError: there is no such agent or the number is negative.
        """
        if not 0 <= agent < len(self._own):
            raise PredictionError(f"`agent` must lie in [0, {len(self._own) - 1}], not {agent}.")
        if tokens < 0:
            raise PredictionError(f"`tokens` must be at least 0, not {tokens}.")
        self._all.add(tokens)
        self._own[agent].add(tokens)
        pooled = self._all.median()
        for j, own in enumerate(self._own):
            # An agent's median moves with all others' only while it has few answers of its own.
            if j == agent or len(own) < len(self._all) // 4 or len(own) <= PRIOR_ANSWERS:
                self._medians[j] = own.median(*[pooled] * PRIOR_ANSWERS)


class _Window:
    """The last few numbers, in the order they came and sorted."""

    __slots__ = ("_order", "_sorted")

    def __init__(self, size: int) -> None:
        self._order: deque[int] = deque(maxlen=size)
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._order)

    def add(self, number: int) -> None:
        if len(self._order) == self._order.maxlen:
            del self._sorted[bisect_left(self._sorted, self._order[0])]
        self._order.append(number)
        insort(self._sorted, number)

    def median(self, *others: float) -> float:
        numbers = sorted([*self._sorted, *others]) if others else self._sorted
        middle = len(numbers) // 2
        return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2
