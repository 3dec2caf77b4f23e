"""`SplitProof`: nobody gains by holding requests back for a batch of their own.

A router that auctions micro-batches lets a client choose their rivals: what they send a moment later meets nobody.
Whether that pays depends on the capacity that the later batch is offered.

- `left`: what the first batch did not use. Then VCG over an exact allocation is split-proof, whatever they report. The
  first batch's allocation gives them its whole welfare less W(others), the later batch what its own welfare is at cost.
  Together that is the welfare of one feasible allocation of everybody, less W(others); VCG on a single batch gives them
  the greatest such welfare, less W(others).
- `reset`: all of it again, wherever what is left cannot hold the later batch, as the published router does. Then VCG is
  not split-proof. The smallest instances have one agent of capacity 1 and two requests of value 1. Two bidders: bidder
  0 wins and pays 1; held back, their request is served just as well and pays nothing. One bidder with both: one request
  is served, or, in two batches, both. Capacity that is sold twice was never scarce.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

import numpy as np

from allocation import Market
from mechanisms import Outcome
from proofs.claims.property import Run, Violation
from proofs.errors import AuditError
from proofs.grids.sweep import GridOutcomes, SweepResult, tried
from proofs.misreports.identity import Split
from proofs.misreports.misreport import Deviation

Capacity = Literal["left", "reset"]

_DEVIATORS, _TRIES = 3, 4


@dataclass(frozen=True, slots=True)
class SplitProof:
    """No bidder gains by submitting some of their requests in a later batch, alone, all reports being true.

    Their utility is the sum over both batches, each run by the mechanism as a market of its own. At least one request,
    their own or somebody else's, stays in the first batch.

    Args:
        capacity: `left` offers the later batch what the first did not use; `reset` offers all of it where that cannot
            hold the batch.

    Raises:
        AuditError: `capacity` is neither.
    """

    capacity: Capacity = "left"

    def __post_init__(self) -> None:
        if self.capacity not in get_args(Capacity):
            raise AuditError(f"capacity = {self.capacity!r}; expected one of {', '.join(get_args(Capacity))}")

    @property
    def name(self) -> str:
        """The claim with its capacity."""
        return f"split-proof({self.capacity})"

    def violated(self, run: Run, truth: Market, misreport: Split) -> Violation | None:
        """What the bidder gains over sending everything at once, where that is a gain."""
        first = misreport.applied(truth)
        early = run(first)
        later = misreport.held_back(truth, self._offered(first, early, len(misreport.later)))
        late = run(later)
        mine = misreport.bidder
        gain = early.bidder_utilities(first).get(mine, 0) + late.bidder_utilities(later)[mine]
        gain -= run(truth).bidder_utilities(truth)[mine]
        if gain <= 0:
            return None
        offered, charges = later.capacities.tolist(), late.payments.charges.tolist()
        return Violation(
            gain, f"{misreport}, which is offered capacities {offered} and charged {charges}, and gains {gain}"
        )

    def sweep(self, played: GridOutcomes) -> SweepResult:
        """Every choice of requests of every bidder, in every profile."""
        return tried(
            played,
            lambda profile, truth, honest: _splits(truth, truth.players),
            lambda truth, misreport, honest: self.violated(played.run, truth, misreport),
        )

    def attempts(
        self, rng: np.random.Generator, truth: Market, bounds: Sequence[tuple[int, int]]
    ) -> Iterator[Deviation]:
        """A few bidders, a few choices each."""
        deviators = rng.permutation(np.array(truth.players))[:_DEVIATORS].tolist()
        for deviator in deviators:
            mine = truth.requests_of(deviator)
            for _ in range(_TRIES if mine.size > 1 else 1):
                later = mine[rng.random(mine.size) < rng.random()] if mine.size > 1 else mine
                if 0 < later.size < truth.shape[0]:
                    yield Split(deviator, tuple(later.tolist()))

    def _offered(self, first: Market, early: Outcome, requests: int) -> list[int]:
        room: list[int] = (first.capacities - first.loads(early.allocation)).tolist()
        return first.capacities.tolist() if self.capacity == "reset" and sum(room) < requests else room


def _splits(truth: Market, bidders: Sequence[int]) -> Iterator[Split]:
    for bidder in bidders:
        mine = truth.requests_of(bidder).tolist()
        for size in range(1, len(mine) + 1):
            if size < truth.shape[0]:
                yield from (Split(bidder, later) for later in combinations(mine, size))
