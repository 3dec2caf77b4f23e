"""Deviations in how a bidder appears: under several names, in another's place, in two batches, in another world."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allocation import Market
from proofs.errors import AuditError
from proofs.misreports.misreport import Deviation, Misreport, spelled_rows

Rows = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class FalseNames(Deviation):
    """`bidder` under several names, each reporting (K, M) values for as many requests as the bidder has.

    The first report takes the place of the bidder's own; the others arrive after everybody else, from bidders that
    nobody has heard of, and their requests cost, and may be matched, as the bidder's do.
    """

    bidder: int
    reports: tuple[Rows, ...]

    @property
    def size(self) -> int:
        """One report per name."""
        return len(self.reports)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The reports, one name after the other."""
        return tuple(value for rows in self.reports for row in rows for value in row)

    def applied(self, truth: Market) -> Market:
        """The market that the mechanism sees, longer than the truth.

        Raises:
            AuditError: there is no report, or one that does not fit the bidder's requests.
        """
        if not self.reports:
            raise AuditError(f"bidder {self.bidder} appears under no name; give at least one report")
        for rows in self.reports:
            market = Misreport(self.bidder, rows).applied(truth)
        mine = truth.requests_of(self.bidder)
        values = Misreport(self.bidder, self.reports[0]).applied(truth).values
        extra = [np.array(rows, np.int64) for rows in self.reports[1:]]
        again = np.concatenate([np.arange(market.shape[0]), *(mine for _ in extra)])
        stranger = int(truth.bidders.max()) + 1
        names = np.repeat(np.arange(len(extra)), mine.size) + stranger
        return Market(
            np.concatenate([values, *extra]),
            truth.costs[again],
            truth.capacities,
            None if truth.feasible is None else truth.feasible[again],
            np.concatenate([truth.bidders, names]),
        )

    def renumbered(self, numbers: Sequence[int]) -> "FalseNames":
        """The same names with other reports."""
        shape = (len(self.reports), len(self.reports[0]), -1)
        return _identities(self.bidder, np.array(numbers, np.int64).reshape(shape))

    def restricted(self, truth: Market, kept: NDArray[np.intp], labels: Mapping[int, int]) -> "FalseNames | None":
        """The rows of the bidder's requests that are kept; None where none is left."""
        mine = np.isin(truth.requests_of(self.bidder), kept)
        return _identities(labels[self.bidder], np.array(self.reports, np.int64)[:, mine]) if mine.any() else None

    def without_agent(self, agent: int) -> "FalseNames":
        """The reports without that column."""
        return _identities(self.bidder, np.delete(np.array(self.reports, np.int64), agent, axis=2))

    def parts(self) -> Iterator[Deviation]:
        """One name fewer."""
        if len(self.reports) > 1:
            for index in range(len(self.reports)):
                yield FalseNames(self.bidder, self.reports[:index] + self.reports[index + 1 :])

    def __str__(self) -> str:
        said = " and ".join(spelled_rows(rows) for rows in self.reports)
        names = "one bidder" if len(self.reports) == 1 else f"{len(self.reports)} bidders"
        return f"bidder {self.bidder} appears as {names} with {said}"


@dataclass(frozen=True, slots=True)
class Swap(Deviation):
    """Two bidders with equally many requests change places, with all their terms; nobody misreports."""

    first: int
    second: int

    @property
    def size(self) -> int:
        """Two bidders."""
        return 2

    def applied(self, truth: Market) -> Market:
        """The same market in another order.

        Raises:
            AuditError: the two own different numbers of requests, or none.
        """
        one, two = truth.requests_of(self.first), truth.requests_of(self.second)
        if one.size != two.size or one.size == 0 or self.first == self.second:
            raise AuditError(
                f"bidders {self.first} and {self.second} own {one.size} and {two.size} requests; only two bidders "
                "with equally many can change places"
            )
        order = np.arange(truth.shape[0])
        order[one], order[two] = two, one
        feasible = None if truth.feasible is None else truth.feasible[order]
        return Market(truth.values[order], truth.costs[order], truth.capacities, feasible, truth.bidders)

    def restricted(self, truth: Market, kept: NDArray[np.intp], labels: Mapping[int, int]) -> "Swap | None":
        """The two under their new names, if both are left."""
        if self.first not in labels or self.second not in labels:
            return None
        return Swap(labels[self.first], labels[self.second])

    def __str__(self) -> str:
        return f"bidders {self.first} and {self.second} change places"


@dataclass(frozen=True, slots=True)
class OtherReports(Deviation):
    """A `misreport` among others who report something else as well: `values` (N, M); the deviator's rows do not matter.

    Agents may be among these others, with other `costs` (N, M) and `capacities` (M,); None where those of the truth
    hold.
    """

    misreport: Misreport
    values: Rows
    costs: Rows | None = None
    capacities: tuple[int, ...] | None = None

    @property
    def numbers(self) -> tuple[int, ...]:
        """The misreport's, then the others': values, costs, capacities."""
        matrices = (self.values, self.costs or ())
        said = (number for matrix in matrices for row in matrix for number in row)
        return (*self.misreport.numbers, *said, *(self.capacities or ()))

    def applied(self, truth: Market) -> Market:
        """The other market with the misreport in it.

        Raises:
            AuditError: either does not fit.
        """
        values = np.array(self.values, np.int64)
        if values.shape != truth.shape:
            raise AuditError(f"the others report values of shape {values.shape} in a market of shape {truth.shape}")
        return self.misreport.applied(truth.replace(values=values, costs=self.costs, capacities=self.capacities))

    def renumbered(self, numbers: Sequence[int]) -> "OtherReports":
        """The same deviator and shape."""
        said, rest = numbers[: len(self.misreport.numbers)], list(numbers[len(self.misreport.numbers) :])
        shape = np.shape(self.values)
        matrices = []
        for matrix in (self.values, self.costs):
            size = 0 if matrix is None else shape[0] * shape[1]
            matrices.append(_rows(np.array(rest[:size], np.int64).reshape(shape)) if size else None)
            rest = rest[size:]
        values, costs = matrices
        return OtherReports(self.misreport.renumbered(said), values or (), costs, tuple(rest) or None)

    def restricted(self, truth: Market, kept: NDArray[np.intp], labels: Mapping[int, int]) -> "OtherReports | None":
        """The rows that are kept; None where the deviator has none left."""
        misreport = self.misreport.restricted(truth, kept, labels)
        if misreport is None:
            return None
        costs = None if self.costs is None else tuple(self.costs[request] for request in kept.tolist())
        return OtherReports(misreport, tuple(self.values[request] for request in kept.tolist()), costs, self.capacities)

    def without_agent(self, agent: int) -> "OtherReports":
        """All without that column."""
        values, costs = (
            None if matrix is None else _rows(np.delete(np.array(matrix), agent, axis=1))
            for matrix in (self.values, self.costs)
        )
        capacities = None if self.capacities is None else (*self.capacities[:agent], *self.capacities[agent + 1 :])
        return OtherReports(self.misreport.without_agent(agent), values or (), costs, capacities)

    def __str__(self) -> str:
        said = f"{self.misreport} while values are {spelled_rows(self.values)}"
        if self.costs is not None:
            said += f", costs {spelled_rows(self.costs)}"
        return said if self.capacities is None else f"{said}, capacities {list(self.capacities)}"


@dataclass(frozen=True, slots=True)
class Split(Deviation):
    """`bidder` submits the requests `later` (indices in the market, all their own) in a batch that comes afterwards."""

    bidder: int
    later: tuple[int, ...]

    @property
    def size(self) -> int:
        """One per request that is held back."""
        return len(self.later)

    def applied(self, truth: Market) -> Market:
        """The first batch: the market without those requests.

        Raises:
            AuditError: none is held back, one twice, one that is not the bidder's, or nothing is left.
        """
        mine, n = set(truth.requests_of(self.bidder).tolist()), truth.shape[0]
        if not self.later or len(set(self.later)) < len(self.later) or not set(self.later) <= mine:
            raise AuditError(
                f"bidder {self.bidder} holds back the requests {list(self.later)} of their {sorted(mine)}; hold back "
                "some of them, each once"
            )
        if len(self.later) == n:
            raise AuditError(f"all {n} requests are held back; one must be in the first batch")
        return truth.requests(np.setdiff1d(np.arange(n), self.later))

    def held_back(self, truth: Market, capacities: Sequence[int]) -> Market:
        """The later batch, which is offered these capacities."""
        return truth.requests(sorted(self.later)).replace(capacities=capacities)

    def restricted(self, truth: Market, kept: NDArray[np.intp], labels: Mapping[int, int]) -> "Split | None":
        """The requests that are kept, under their new indices; None where nothing is left of either batch."""
        later = np.flatnonzero(np.isin(kept, self.later))
        return Split(labels[self.bidder], tuple(later.tolist())) if 0 < later.size < kept.size else None

    def parts(self) -> Iterator[Deviation]:
        """One request fewer held back."""
        if len(self.later) > 1:
            for index in range(len(self.later)):
                yield Split(self.bidder, self.later[:index] + self.later[index + 1 :])

    def __str__(self) -> str:
        which = f"request{'s' * (len(self.later) > 1)} {', '.join(map(str, self.later))}"
        return f"bidder {self.bidder} holds back {which} for a later batch"


def _identities(bidder: int, reports: NDArray[np.int64]) -> FalseNames:
    return FalseNames(bidder, tuple(_rows(rows) for rows in reports))


def _rows(matrix: NDArray[np.int64]) -> Rows:
    return tuple(map(tuple, matrix.tolist()))
