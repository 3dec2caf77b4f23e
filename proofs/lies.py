"""`Lie`: one bidder's misreport, and the misreports that random search tries."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from allocation import Market
from allocation.money import Money
from proofs.errors import AuditError

#: Eighths of the truth that a liar claims: shading in small and large steps, then exaggeration.
_EIGHTHS = (7, 6, 4, 1, 9, 12, 16)


@dataclass(frozen=True, slots=True)
class Lie:
    """What `bidder` reports in place of the truth.

    Args:
        bidder: the owner of the requests, as in `Market.bidders`.
        rows: (K, M) reported values of his K requests, in order of request, in ticks.
    """

    bidder: int
    rows: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, bidder: int, rows: ArrayLike) -> "Lie":
        """The lie whose rows are this (K, M) array of integers."""
        return cls(int(bidder), tuple(map(tuple, np.asarray(rows).tolist())))

    def applied(self, truth: Market) -> Market:
        """The market that the mechanism sees: every other report is the truth.

        Raises:
            AuditError: the bidder owns no request here, or the rows do not fit his requests, or hold no integers.
        """
        mine = truth.requests_of(self.bidder)
        shape = (mine.size, truth.shape[1])
        rows = np.array(self.rows)
        if mine.size == 0 or rows.shape != shape or rows.dtype.kind not in "iu":
            raise AuditError(
                f"bidder {self.bidder} lies with rows of shape {rows.shape} and type {rows.dtype}; his requests need "
                f"integers of shape {shape}, and bidders here are {list(truth.players)}"
            )
        values = truth.values.copy()
        values[mine] = rows
        return truth.replace(values=values)


def misreports(rng: np.random.Generator, truth: Market, bidder: int, low: int, high: int) -> Iterator[Lie]:
    """Lies worth trying in a market too large to try all of them, every value within [low, high].

    Nothing at all; more than anybody; the truth scaled down and up; one wanted agent and no other; noise; somebody
    else's rows; and the truth with one entry moved to the ends of the range, by one tick, or just past a rival.
    """
    mine = truth.requests_of(bidder)
    rivals = np.flatnonzero(truth.bidders != bidder)
    true = truth.values[mine]
    for rows in _bold(truth, true):
        yield Lie.of(bidder, np.clip(rows, low, high))
    yield Lie.of(bidder, rng.integers(low, high, size=true.shape, endpoint=True))
    if rivals.size:
        yield Lie.of(bidder, truth.values[rng.choice(rivals, size=mine.size)])
    for request, agent in np.ndindex(true.shape):
        honest = int(true[request, agent])
        rival = int(truth.values[rng.choice(rivals), agent]) if rivals.size else honest
        for value in dict.fromkeys((low, high, honest - 1, honest + 1, rival - 1, rival + 1)):
            if low <= value <= high and value != honest:
                rows = true.copy()
                rows[request, agent] = value
                yield Lie.of(bidder, rows)


def _bold(truth: Market, true: Money) -> Iterator[Money]:
    yield np.zeros_like(true)
    yield np.full_like(true, int(truth.values.max()) + 1)
    for eighths in _EIGHTHS:
        yield true * eighths // 8
    for agent in range(true.shape[1]):
        alone = np.zeros_like(true)
        alone[:, agent] = true[:, agent]
        yield alone
