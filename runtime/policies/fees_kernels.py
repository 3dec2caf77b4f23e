"""What conversations are worth from their next turn on, compiled; `fees` says what of it is charged.

In the order of operations of the formula, so that nothing depends on how many requests or agents there are.
"""

import numpy as np
from numba import types

from allocation.kernels.compile.caching import compiled

_FLOATS = types.Array(types.float64, 2, "C", readonly=True)
_COUNTS = types.Array(types.int64, 2, "C", readonly=True)
_MASK = types.Array(types.boolean, 2, "C", readonly=True)
_ROW = types.Array(types.float64, 1, "C", readonly=True)


@compiled(
    types.Array(types.float64, 2, "C")(
        _FLOATS, _COUNTS, _COUNTS, _FLOATS, _MASK, _FLOATS, _ROW, _ROW, _FLOATS, types.float64, types.float64
    )
)
def future(quality, prompt, cached, output, possible, typical, base, per_token, prices, turns, growth):
    """(N, M) credits once served at an agent: max(R m_j, max_k (R m_k - switch_k), 0), as `fees.future` has it.

    Args:
        quality, prompt, cached, output, possible: (N, M), as in `Outlook`.
        typical: (N, 2) the others' median worth and delay cost.
        base, per_token: (M,) seconds of a step, and of one prompt token more in it.
        prices: (M, 3) credits per token: fresh, cached, output.
        turns, growth: expected turns, and the tokens that each adds.
    """
    n, m = quality.shape
    served = np.empty((n, m))
    for i in range(n):
        worth, delay = typical[i]
        best = second = -np.inf
        at = -1
        for j in range(m):
            fresh, held, out = prices[j]
            turn = worth * quality[i, j] - delay * (base[j] + per_token[j] * growth)
            turn = turn - held * prompt[i, j] - fresh * growth - out * output[i, j]
            warm = served[i, j] = turns * turn
            if possible[i, j]:
                missing = max(prompt[i, j] + output[i, j] - cached[i, j], 0.0)
                moved = warm - (missing * (fresh - held) + delay * per_token[j] * missing)
                if moved > best:
                    best, second, at = moved, best, j
                elif moved > second:
                    second = moved
        for j in range(m):
            served[i, j] = max(served[i, j], second if j == at else best, 0.0)
    return served
