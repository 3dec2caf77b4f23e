"""`GroupTruthful`: no coalition of bidders and agents gains by misreporting together, with or without side payments."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from allocation import Market
from allocation.money import Money
from mechanisms import Outcome
from proofs.claims.property import Violation, gain_of
from proofs.errors import AuditError
from proofs.grids.sweep import GridOutcomes, PlayerOutcomes, SweepResult
from proofs.grids.symmetry import describe_symmetry, stands
from proofs.misreports.coalition import Coalition
from proofs.misreports.misreport import Deviation, tempting_misreports
from proofs.scopes.checks import integer
from proofs.scopes.profiles import by_players

#: Cells of gains computed at a time.
_CHUNK = 4_000_000

_COALITIONS, _JOINT_MISREPORTS = 4, 24


@dataclass(frozen=True, slots=True)
class GroupTruthful:
    """No coalition of up to `members` players profits from misreporting together; outsiders tell the truth.

    Without transfers a coalition profits if no member loses and one gains (Moulin and Shenker 2001); if `strict`, only
    if every member gains. With transfers it profits if its utilities add up to more, for then the members can share. A
    coalition of one is a deviator, so the claim includes truthfulness. Agents belong to the players where their types
    are private.

    Raises:
        AuditError: fewer than 1 member, or both `transfers` and `strict`, which is no different from transfers alone.
    """

    members: int = 2
    transfers: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        if integer(self.members, "members") < 1:
            raise AuditError(f"members = {self.members}; a coalition has at least one")
        if self.transfers and self.strict:
            raise AuditError("with transfers the gains can be shared, so every member gains anyway; drop strict=True")

    @property
    def name(self) -> str:
        """The claim with its parameters."""
        how = ", transfers" if self.transfers else ", all gain" if self.strict else ""
        return f"group-truthful({self.members}{how})"

    def compare(self, truth: Market, misreport: Coalition, honest: Outcome, deviating: Outcome) -> Violation | None:
        """The coalition's joint gain, where it profits."""
        gains = [gain_of(truth, one, honest, deviating) for one in misreport.misreports]
        known = [gain for gain in gains if gain is not None]
        if len(known) < len(gains) or len(gains) > self.members or not bool(self._profits(np.array(known)[:, None])[0]):
            return None
        return Violation(sum(known), f"{misreport}, and they gain {' + '.join(map(str, known))}")

    def sweep(self, played: GridOutcomes) -> SweepResult:
        """Every joint misreport of every coalition in every profile; of coalitions that are alike, the first."""
        grid, worst, classes = played.grid, SweepResult(0), played.interchangeable
        players = range(len(grid.sizes))
        cases = 0
        for size in range(1, min(self.members, len(players)) + 1):
            for coalition in combinations(players, size):
                cases += grid.profiles * (math.prod(grid.sizes[player] for player in coalition) - 1)
                if stands(coalition, classes or ()):
                    found = self._worst(played, coalition)
                    worst = found if found.worst > worst.worst else worst
        note = "" if classes is None else describe_symmetry(classes, grid)
        return SweepResult(cases, worst.worst, worst.truth, worst.deviation, note)

    def attempts(
        self, rng: np.random.Generator, truth: Market, bounds: Sequence[tuple[int, int]]
    ) -> Iterator[Deviation]:
        """Random coalitions of bidders, each member with a misreport that might pay alone, or that costs it nothing."""
        for _ in range(_COALITIONS):
            size = min(self.members, len(truth.players))
            members = [truth.players[index] for index in rng.permutation(len(truth.players))[:size].tolist()]
            misreports = [list(tempting_misreports(rng, truth, member, *bounds[0])) for member in members]
            for _ in range(_JOINT_MISREPORTS):
                yield Coalition(tuple(mine[int(rng.integers(len(mine)))] for mine in misreports))

    def _profits(self, gains: Money) -> NDArray[np.bool_]:
        """Whether a coalition profits, from the gains of its members along the first axis."""
        profits: NDArray[np.bool_] = gains.sum(axis=0) > 0
        if self.strict:
            profits &= (gains > 0).all(axis=0)
        elif not self.transfers:
            profits &= (gains >= 0).all(axis=0)
        return profits

    def _worst(self, played: GridOutcomes, coalition: tuple[int, ...]) -> SweepResult:
        grid = played.grid
        profiles = by_players(np.arange(grid.profiles), grid, coalition)
        joint = np.indices([grid.sizes[player] for player in coalition]).reshape(len(coalition), -1).T
        seats = [PlayerOutcomes.of(played.table, grid, player) for player in coalition]
        types = joint.shape[0]
        step = max(1, _CHUNK // (types * len(coalition)))
        worst, where = 0, (0, 0, 0)
        for others, row in enumerate(profiles):
            for start in range(0, types, step):
                true = joint[start : start + step]
                gains = np.stack([_gains(seat, row, true[:, member], start) for member, seat in enumerate(seats)])
                totals = np.where(self._profits(gains), gains.sum(axis=0), 0)
                best = int(totals.argmax())
                if totals.flat[best] > worst:
                    place, report = divmod(best, types)
                    worst, where = int(totals.flat[best]), (others, start + place, report)
        others, place, report = where
        misreports = tuple(
            grid.misreport(player, int(joint[report, member])) for member, player in enumerate(coalition)
        )
        truth = grid.market(int(profiles[others, place]))
        return SweepResult(0, worst, truth, Coalition(misreports))


def _gains(seat: PlayerOutcomes, profiles: Money, true: Money, start: int) -> Money:
    """(S, J) what a member of these types (S,) gains from each joint report; honesty is report `start` and onward."""
    honest = profiles[start : start + true.size]
    earned = seat.values[true][:, seat.options[profiles]] - seat.payments[profiles]
    gains: Money = earned - (seat.values[true, seat.options[honest]] - seat.payments[honest])[:, None]
    return gains
