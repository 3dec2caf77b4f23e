"""Rows of the matrix that decide several rounds with a memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from allocation import MinCostFlow
from experiments.studies.matrix.cells import Cell, Evidence, Progress, Trial
from mechanisms import VCG, DynamicMechanism, DynamicPivot, Mechanism, PerRound
from mechanisms.catalogue import promised
from mechanisms.dynamic import over_rounds
from mechanisms.promises import Promises, promises_of
from proofs import audit_plays, audit_rounds
from proofs.rounds.conversations import Conversations
from proofs.rounds.sums import OVER_ROUNDS
from proofs.rounds.truthful import TRUTHFUL, RoundsFinding

#: Worlds of two and of three rounds, and the values that bidders may have there.
WORLDS: tuple[tuple[Conversations, Sequence[int]], ...] = (
    (Conversations(bidders=2), range(4)),
    (Conversations(bidders=2, rounds=3), range(4)),
    (Conversations(bidders=2, presumed=2), range(4)),
    (Conversations(bidders=2, agents=2), range(2)),
    (Conversations(bidders=2, rounds=3, capacity=2, presumed=3), (0, 3)),
)


@dataclass(frozen=True)
class RoundsRow:
    """One mechanism for several rounds."""

    rule: str
    mechanism: DynamicMechanism
    promises: Promises
    worlds: tuple[tuple[Conversations, Sequence[int]], ...] = WORLDS
    few: bool = False

    @property
    def steps(self) -> int:
        """Profiles of all worlds."""
        return sum(_profiles(world, values) for world, values in self.worlds)

    def examine(self, progress: Progress = lambda steps: None) -> tuple[Cell, ...]:
        """Play every world: every sequence of misreports, and every honest profile.

        Raises:
            AuditError: the mechanism is infeasible.
        """
        found: dict[str, list[Trial]] = {name: [] for name in (TRUTHFUL, *OVER_ROUNDS)}
        for world, values in self.worlds:
            scope = f"{world.bidders} bidders x {world.agents} agents, values {list(values)}; {world}"
            plays = audit_plays(self.mechanism, world, values)
            for finding in (audit_rounds(self.mechanism, world, values), *plays):
                found[finding.name].append(self._trial(scope, finding))
            progress(_profiles(world, values))
        return tuple(Cell(name, self.promises.get(name), tuple(trials)) for name, trials in found.items())

    def _trial(self, scope: str, finding: RoundsFinding) -> Trial:
        evidence, found = None, finding.evidence
        if found is not None:
            data = found.as_dict() | {"amount": finding.worst}
            shown = Evidence(f"{finding.name} fails: {found}", data, found.simplicity)
            evidence = lambda: shown  # noqa: E731
        return Trial(scope, finding.name in self.promises, finding.status, finding.worst, evidence)

    def __str__(self) -> str:
        return str(self.mechanism)


@cache
def dynamic() -> tuple[RoundsRow, ...]:
    """The two that ship."""
    each = PerRound(Mechanism(MinCostFlow(), VCG()))
    return (
        RoundsRow("per-round", each, over_rounds(promised("vcg"))),
        RoundsRow("dynamic-pivot", DynamicPivot(), promises_of(DynamicPivot())),
    )


def _profiles(world: Conversations, values: Sequence[int]) -> int:
    return int(len(values) ** (world.agents * world.bidders))
