"""`Misreport`: what one bidder reports instead of the truth; `Deviation`: what any deviation owes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from allocation import Market
from allocation.money import Money, as_array
from proofs.arguments import require_market
from proofs.errors import AuditError

#: Eighths of the truth that a deviator claims: shading in small and large steps, then exaggeration.
_EIGHTHS = (7, 6, 4, 1, 9, 12, 16)


class Deviation(Protocol):
    """What somebody does in place of telling the truth; `Misreport` is the commonest, `coalition` has others.

    Beyond `applied` these are what shrinking needs: the same deviation in a smaller market, or with smaller numbers. A
    class that inherits has one report, in which no number is false and no agent is named, until it says otherwise.
    """

    __slots__ = ()

    @property
    def size(self) -> int:
        """How many reports are false, at least 1; fewer is simpler."""
        return 1

    @property
    def numbers(self) -> tuple[int, ...]:
        """Every reported number, in a fixed order."""
        return ()

    def applied(self, truth: Market) -> Market:
        """The market that the mechanism sees.

        Raises:
            AuditError: the deviation does not fit this market.
        """
        ...

    def renumbered(self, numbers: Sequence[int]) -> "Deviation":
        """The same deviation with other numbers, as many as `numbers` holds."""
        return self

    def restricted(self, truth: Market, kept: NDArray[np.intp], labels: Mapping[int, int]) -> "Deviation | None":
        """The same in the market of the requests `kept` alone, bidders renamed by `labels`; None where senseless."""
        ...

    def without_agent(self, agent: int) -> "Deviation | None":
        """The same where this agent does not exist; None where it is senseless."""
        return self

    def parts(self) -> Iterator["Deviation"]:
        """Deviations with fewer false reports."""
        yield from ()


@dataclass(frozen=True, slots=True)
class Misreport(Deviation):
    """What `bidder` reports in place of the truth.

    Args:
        bidder: whose requests they are, as in `Market.bidders`.
        rows: (K, M) reported values of their K requests, in order of request, in micro-units.
    """

    bidder: int
    rows: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if isinstance(self.bidder, bool) or not isinstance(self.bidder, int | np.integer):
            raise AuditError(f"bidder = {self.bidder!r}; expected a number of `Market.bidders`")
        if not isinstance(self.rows, tuple | list) or not all(isinstance(row, tuple | list) for row in self.rows):
            raise AuditError(f"rows = {self.rows!r}; expected a tuple of values for each of the bidder's requests")

    @classmethod
    def of(cls, bidder: int, rows: ArrayLike) -> "Misreport":
        """The misreport whose rows are this (K, M) array of integers."""
        if isinstance(bidder, bool) or not isinstance(bidder, int | np.integer):
            raise AuditError(f"bidder = {bidder!r}; expected a number of `Market.bidders`")
        matrix = as_array(rows, "rows")
        if matrix.ndim != 2:
            raise AuditError(f"rows = {rows!r}; expected a row of values for each of the bidder's requests")
        return cls(int(bidder), tuple(map(tuple, matrix.tolist())))

    @property
    def numbers(self) -> tuple[int, ...]:
        """The rows, one after the other."""
        return tuple(value for row in self.rows for value in row)

    def applied(self, truth: Market) -> Market:
        """The market that the mechanism sees: every other report is the truth.

        Raises:
            AuditError: the bidder owns no request here, or the rows do not fit their requests, or hold no integers.
        """
        mine = np.flatnonzero(require_market(truth).bidders == self.bidder)
        shape = (mine.size, truth.shape[1])
        rows = np.array(self.rows)
        if mine.size == 0 or rows.shape != shape or rows.dtype.kind not in "iu":
            raise AuditError(
                f"bidder {self.bidder} misreports with rows of shape {rows.shape} and type {rows.dtype}; "
                f"their requests need integers of shape {shape}, and bidders here are {list(truth.players)}"
            )
        values = truth.values.copy()
        values[mine] = rows
        return truth.replace(values=values)

    def renumbered(self, numbers: Sequence[int]) -> "Misreport":
        """The same bidder with other rows."""
        return Misreport.of(self.bidder, np.array(numbers, np.int64).reshape(len(self.rows), -1))

    def restricted(self, truth: Market, kept: NDArray[np.intp], labels: Mapping[int, int]) -> "Misreport | None":
        """The rows of the bidder's requests that are kept; None where none is left."""
        mine = np.isin(truth.requests_of(self.bidder), kept)
        return Misreport.of(labels[self.bidder], np.array(self.rows, np.int64)[mine]) if mine.any() else None

    def without_agent(self, agent: int) -> "Misreport":
        """The rows without that column."""
        return Misreport.of(self.bidder, np.delete(np.array(self.rows, np.int64), agent, axis=1))

    def instead_of(self, truth: Market) -> str:
        """What is true, in words."""
        return spelled_rows(truth.values[truth.requests_of(self.bidder)])

    def __str__(self) -> str:
        return f"bidder {self.bidder} reports {spelled_rows(self.rows)}"


def spelled_rows(rows: ArrayLike) -> str:
    """Rows of a matrix for a line of text: `[1, 0], [2, 2]`."""
    return ", ".join(str(row) for row in np.asarray(rows).tolist())


def tempting_misreports(
    rng: np.random.Generator, truth: Market, bidder: int, low: int, high: int
) -> Iterator[Misreport]:
    """Misreports worth trying in a market too large to try all of them, every value within [low, high].

    Nothing at all; more than anybody; the truth scaled down and up; one wanted agent and no other; noise; somebody
    else's rows; and the truth with one entry moved to the ends of the range, by one micro-unit, or just past a rival.
    """
    mine = truth.requests_of(bidder)
    rivals = np.flatnonzero(truth.bidders != bidder)
    true = truth.values[mine]
    for rows in _bold(truth, true):
        yield Misreport.of(bidder, np.clip(rows, low, high))
    yield Misreport.of(bidder, rng.integers(low, high, size=true.shape, endpoint=True))
    if rivals.size:
        yield Misreport.of(bidder, truth.values[rng.choice(rivals, size=mine.size)])
    for request, agent in np.ndindex(true.shape):
        honest = int(true[request, agent])
        rival = int(truth.values[rng.choice(rivals), agent]) if rivals.size else honest
        for value in dict.fromkeys((low, high, honest - 1, honest + 1, rival - 1, rival + 1)):
            if low <= value <= high and value != honest:
                rows = true.copy()
                rows[request, agent] = value
                yield Misreport.of(bidder, rows)


def _bold(truth: Market, true: Money) -> Iterator[Money]:
    yield np.zeros_like(true)
    yield np.full_like(true, int(truth.values.max()) + 1)
    for eighths in _EIGHTHS:
        yield true * eighths // 8
    for agent in range(true.shape[1]):
        alone = np.zeros_like(true)
        alone[:, agent] = true[:, agent]
        yield alone
