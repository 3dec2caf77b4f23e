"""Who gets the welfare: conversations in tenths by what a right answer is worth to their bidder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.studies.arena.play import Score


@dataclass(frozen=True, slots=True)
class Decile:
    """Conversations of all seeds whose bidders' worth lies between `low` and `high` credits, both included.

    `mean` and `median` are credits of welfare a conversation.
    """

    low: float
    high: float
    conversations: int
    mean: float
    median: float


def deciles(scores: Sequence[Score], delay: str = "first-token") -> list[Decile]:
    """A policy's welfare by tenths of worth, poorest first; fewer where many bidders are worth the same.

    Policies that met the same conversations have the same tenths. Empty without conversations.

    Args:
        scores: of one policy in one world, one a seed.
        delay: one of `play.DELAYS`.
    """
    worth = np.array([each for score in scores for each in score.worth])
    welfare = np.array([each for score in scores for each in score.judged(delay)])
    if not worth.size:
        return []
    inner = np.unique(np.quantile(worth, np.arange(1, 10) / 10))
    tenth = np.searchsorted(inner, worth, side="left")
    found = []
    for k in np.unique(tenth):
        in_it = tenth == k
        low, high = float(worth[in_it].min()), float(worth[in_it].max())
        mean, median = float(welfare[in_it].mean()), float(np.median(welfare[in_it]))
        found.append(Decile(low, high, int(in_it.sum()), mean, median))
    return found
