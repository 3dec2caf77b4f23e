"""The best welfare that any allocation of a market can have, computed without the allocators under audit."""

import math

from allocation import Market, MinCostFlow

#: Largest table of remaining slots that the dynamic program may build.
_STATES = 4096


def optimum(market: Market) -> int:
    """Maximum of the welfare over all feasible allocations, in ticks, exactly.

    Small markets: a dynamic program over requests, one state per vector of remaining slots. Larger ones: an allocation
    whose dual prices prove it optimal (`Market.certify`), so that the solver which found it need not be believed.

    Raises:
        CertificateError: the proof of a large market's optimum fails, which is a bug of the solver.
    """
    n, _ = market.shape
    rooms = tuple(min(capacity, n) for capacity in market.capacities.tolist())
    if math.prod(room + 1 for room in rooms) > _STATES:
        return market.certify(MinCostFlow().allocate(market))
    best = {rooms: 0}
    for weights in market.weights.tolist():
        after = dict(best)
        for left, welfare in best.items():
            for agent, weight in enumerate(weights):
                if weight > 0 and left[agent] > 0:
                    taken = (*left[:agent], left[agent] - 1, *left[agent + 1 :])
                    after[taken] = max(after.get(taken, 0), welfare + weight)
        best = after
    return max(best.values())
