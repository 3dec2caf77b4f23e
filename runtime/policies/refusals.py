"""Why an auction declines a request: what it would take, or that nothing it could pay makes the answer come in time."""

from collections.abc import Sequence
from math import inf
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from allocation import MICROS, UNSERVED, Market
from mechanisms import Preferences
from mechanisms.positions import Positions
from runtime.events import Offer
from runtime.policies.forecast import Outlook
from runtime.policies.policy import Refusal

Micros = NDArray[np.int64]


class Faced(Protocol):
    """What the bidders of a round face, as `Terms` has it."""

    @property
    def outlook(self) -> Outlook:
        """The forecast."""
        ...

    @property
    def places(self) -> Positions:
        """Places in agents' lines, a column each."""
        ...

    @property
    def latency(self) -> NDArray[np.float64]:
        """(N, C) seconds from now to the first token."""
        ...


def refusals(
    offers: Sequence[Offer],
    agents: NDArray[np.int64],
    terms: Faced,
    market: Market,
    fees: Micros,
) -> list[Refusal | None]:
    """Why each request that is declined is.

    Args:
        offers: the N of a round.
        agents: (N,) who got which, `UNSERVED` for none.
        terms: what all of them faced.
        market: places as columns, with the values that were reported.
        fees: (N, C) for what others lose, in micro-units.
    """
    found: list[Refusal | None] = [None] * len(offers)
    declined = np.flatnonzero(np.asarray(agents) == UNSERVED).tolist()
    if not declined:
        return found
    feasible = np.ones(market.values.shape, bool) if market.feasible is None else market.feasible
    asked = market.costs + fees
    for i in declined:
        could = np.flatnonzero(feasible[i])
        if not could.size:
            continue
        values, wanted = market.values[i, could], asked[i, could]
        if (values > wanted).any():
            found[i] = Refusal("others report more for the places that there are")
        elif (_unhurried(offers[i].preferences, terms, i, could) * MICROS > wanted).any():
            soonest, deadline = float(terms.latency[i, could].min()), offers[i].preferences.deadline
            found[i] = Refusal(
                f"its deadline of {deadline:g} s would hardly be kept: an answer would begin in {soonest:.2g} s", "late"
            )
        else:
            best = int(np.argmax(values - wanted))
            found[i] = Refusal(
                f"serving it comes to {wanted[best] / MICROS:.6g} credits at least, what others wait for it included, "
                f"and it is worth {max(int(values[best]), 0) / MICROS:.6g} there"
            )
    return found


def _unhurried(reported: Preferences, terms: Faced, i: int, could: NDArray[np.intp]) -> NDArray[np.float64]:
    """What places would be worth if there were no deadline, in credits."""
    if reported.deadline == inf:
        return np.full(could.size, -inf)
    quality, latency = terms.outlook.quality[i, terms.places.agents[could]], terms.latency[i, could]
    found: NDArray[np.float64] = reported.worth * quality - reported.delay_cost * latency + reported.stake
    return found
