"""Parts of small studies: few dialogues, a table of ten questions, a policy of one's own."""

import numpy as np

from experiments.answers import AnswerTable
from experiments.routers.plain.spread import RoundRobin
from experiments.studies.study import Dialogues, StudyResult

FEW = Dialogues("shipped", rate=2.0, dialogues=2, turns=2)


TABLE = AnswerTable(
    "ten.json", tuple(f"q{k}" for k in range(10)), ("a-8b", "b-8b"), np.tile([[0.0, 1.0]], (10, 1)), sha256="ab" * 32
)


def figures(result: StudyResult) -> list[object]:
    """All but how long decisions took."""
    return [
        (run.cell, run.policy, run.seed, run.score.welfare, run.score.seconds, run.score.charges, run.score.shares)
        for run in result.runs
    ]


class Mine(RoundRobin):
    """Counts what it decided, so that whoever is shared shows it."""

    name = "mine"

    def __init__(self, first: int = 0) -> None:
        super().__init__()
        self.decided = first
