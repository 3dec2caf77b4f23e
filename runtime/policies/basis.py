"""`Basis`: what an auction's market was made of, so that whoever keeps it can make the same market again, to the bit.

A value is worth times quality less delay cost times latency, times the chance of being on time where it is positive,
plus the stake; all in floats, and quantised once. `values` is that formula, for whoever decides and whoever audits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from allocation import MAX_AMOUNT, MICROS, to_micros
from allocation.money import Money

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Forecasts, costs and fees of N requests on M agents, before anybody's report is read.

    `columns` (C,) is the agent that each column of the market belongs to. `quality` and `service` (N, M) are chances
    and seconds, `start` (C,) the seconds before a column begins to serve; `costs` and `fees` (N, M) are micro-units,
    fees being None where the mechanism knows of none; `possible` (N, M) is who could serve at all. `chances` has, of
    each request with a deadline, the odds of keeping it by column.
    """

    columns: NDArray[np.int64]
    quality: Floats
    service: Floats
    start: Floats
    costs: Money
    fees: Money | None
    possible: NDArray[np.bool_]
    chances: Mapping[int, Floats] = field(default_factory=dict)

    @property
    def latency(self) -> Floats:
        """(N, C) seconds to the first token."""
        seconds: Floats = self.start + self.service[:, self.columns]
        return seconds

    def values(self, worth: ArrayLike, delay_cost: ArrayLike, stake: ArrayLike) -> Money:
        """(..., N, C) values in micro-units of reports (..., N) in credits, credits a second, and credits.

        Raises:
            MarketError: a report is no number.
        """
        worths, delays, stakes = (np.asarray(part, np.float64)[..., None] for part in (worth, delay_cost, stake))
        values = worths * self.quality[:, self.columns] - delays * self.latency
        for i, chance in self.chances.items():
            row = values[..., i, :]
            values[..., i, :] = row * np.where(row > 0, chance, 1.0)
        values = values + stakes
        limit = MAX_AMOUNT / MICROS
        return to_micros(np.minimum(np.maximum(values, -limit), limit), name="value")
