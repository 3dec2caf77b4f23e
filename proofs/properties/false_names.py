"""`FalseNameProof`: nobody gains by appearing as several bidders."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from allocation import Market
from mechanisms import Outcome
from proofs.claims.optimum import optimum
from proofs.claims.property import Violation
from proofs.errors import AuditError
from proofs.grids.sweep import GridOutcomes, SweepResult
from proofs.misreports.identity import FalseNames
from proofs.misreports.misreport import Deviation, spelled_rows, tempting_misreports
from proofs.scopes.checks import integer
from proofs.scopes.profiles import by_players

_DEVIATORS, _TRIES = 2, 24


@dataclass(frozen=True, slots=True)
class FalseNameProof:
    """No bidder gains by reporting under up to `identities` names (Yokoo, Sakurai and Matsubara 2004).

    Each name reports values for as many requests as the bidder has. Their true utility is the best use their requests
    can make of all that their names win, what is idle being thrown away, minus what all names pay. A name that reports
    no value anywhere is as good as absent, so the claim includes truthfulness wherever the scope has such reports.

    Raises:
        AuditError: fewer than 2 identities.
    """

    identities: int = 2

    def __post_init__(self) -> None:
        if integer(self.identities, "identities") < 2:
            raise AuditError(
                f"identities = {self.identities}; one name is the bidder's own: use Truthful(), or at least 2"
            )

    @property
    def name(self) -> str:
        """The claim with its parameter."""
        return f"false-name-proof({self.identities})"

    def compare(self, truth: Market, misreport: FalseNames, honest: Outcome, deviating: Outcome) -> Violation | None:
        """What the bidder gains over honesty under one name, where that is a gain."""
        if len(misreport.reports) > self.identities:
            return None
        slots, price = _won(truth, misreport.bidder, deviating)
        gain = _value(truth, misreport.bidder, slots) - price - honest.bidder_utilities(truth)[misreport.bidder]
        if gain <= 0:
            return None
        true = spelled_rows(truth.values[truth.requests_of(misreport.bidder)])
        return Violation(gain, f"{misreport} instead of one with {true} and gains {gain}")

    def sweep(self, played: GridOutcomes) -> SweepResult:
        """Every set of reports against every profile, by menus: the cheapest price of each capacity won."""
        grid, worst, cases = played.grid, SweepResult(0), 0
        for bidder in range(grid.bidders):
            reports = [tuple(map(tuple, rows)) for rows in grid.types(bidder).tolist()]
            for profiles in by_players(np.arange(grid.profiles), grid, (bidder,)).tolist():
                menu = self._menu(played, bidder, grid.market(profiles[0]), reports)
                cases += len(profiles) * len(reports) ** self.identities
                for profile in profiles:
                    truth = grid.market(profile)
                    honest = played.outcome(profile).bidder_utilities(truth)[bidder]
                    for slots, (price, misreport) in menu.items():
                        gain = _value(truth, bidder, np.frombuffer(slots, np.int64)) - price - honest
                        if gain > worst.worst:
                            worst = SweepResult(0, gain, truth, misreport)
        return SweepResult(cases, worst.worst, worst.truth, worst.deviation)

    def attempts(
        self, rng: np.random.Generator, truth: Market, bounds: Sequence[tuple[int, int]]
    ) -> Iterator[Deviation]:
        """Random bidders under names whose reports are misreports that might pay, or the truth."""
        for deviator in rng.permutation(len(truth.players))[:_DEVIATORS].tolist():
            bidder = truth.players[deviator]
            honest = tuple(map(tuple, truth.values[truth.requests_of(bidder)].tolist()))
            rows = [honest, *(misreport.rows for misreport in tempting_misreports(rng, truth, bidder, *bounds[0]))]
            for _ in range(_TRIES):
                picks = rng.integers(len(rows), size=self.identities).tolist()
                yield FalseNames(bidder, tuple(rows[pick] for pick in picks))

    def _menu(
        self, played: GridOutcomes, bidder: int, template: Market, reports: Sequence[tuple[tuple[int, ...], ...]]
    ) -> dict[bytes, tuple[int, FalseNames]]:
        menu: dict[bytes, tuple[int, FalseNames]] = {}
        for names in product(reports, repeat=self.identities):
            misreport = FalseNames(bidder, names)
            slots, price = _won(template, bidder, played.run(misreport.applied(template)))
            key = slots.tobytes()
            if key not in menu or price < menu[key][0]:
                menu[key] = price, misreport
        return menu


def _won(truth: Market, bidder: int, deviating: Outcome) -> tuple[NDArray[np.int64], int]:
    """(M,) capacity that all of the bidder's names win, and what they pay."""
    n, m = truth.shape
    mine = np.concatenate([truth.requests_of(bidder), np.arange(n, deviating.allocation.agents.size)])
    agents = deviating.allocation.agents[mine]
    return np.bincount(agents[agents >= 0], minlength=m).astype(np.int64), int(deviating.payments.charges[mine].sum())


def _value(truth: Market, bidder: int, slots: NDArray[np.int64]) -> int:
    """The best use that the bidder's requests can make of these capacities."""
    mine = truth.requests_of(bidder)
    feasible = None if truth.feasible is None else truth.feasible[mine]
    return optimum(Market(truth.values[mine], np.zeros((mine.size, slots.size), np.int64), slots, feasible))
