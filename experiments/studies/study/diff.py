"""Two results of studies: what changed between them, policy by policy, in pairs where both met the same traffic."""

from dataclasses import dataclass

from experiments.errors import StudyError
from experiments.studies.arena.pairs import Difference, compare
from experiments.studies.study.result import StudyResult


@dataclass(frozen=True, slots=True)
class Changed:
    """A policy in a cell of both results: what it gained from the first to the second, over the seeds of both."""

    cell: str
    policy: str
    gain: Difference

    @property
    def alike(self) -> bool:
        """Whether nothing changed at all."""
        return self.gain.low == self.gain.high == 0.0


@dataclass(frozen=True, slots=True)
class Diff:
    """`changed` in both; `gone` and `new` are cells with a policy that only the first or the second has."""

    changed: tuple[Changed, ...]
    gone: tuple[tuple[str, str], ...]
    new: tuple[tuple[str, str], ...]
    made: tuple[tuple[str, str, str], ...]


def diff(before: StudyResult, after: StudyResult) -> Diff:
    """Compare two results.

    Raises:
        StudyError: they have no cell, policy and seed in common, or the same seed drew other conversations.
    """
    both = []
    old = {(run.cell, run.policy, run.seed): run for run in before.runs}
    new = {(run.cell, run.policy, run.seed): run for run in after.runs}
    places = list(dict.fromkeys((cell, policy) for cell, policy, _ in old))
    for cell, policy in places:
        seeds = [seed for c, p, seed in old if (c, p) == (cell, policy) and (c, p, seed) in new]
        if not seeds:
            continue
        first = [old[cell, policy, seed].score.judged(before.delay) for seed in seeds]
        second = [new[cell, policy, seed].score.judged(after.delay) for seed in seeds]
        if [len(row) for row in first] != [len(row) for row in second]:
            raise StudyError(f"{cell}: the same seeds drew other conversations; the data or the workload changed")
        both.append(Changed(cell, policy, compare(second, first)))
    if not both:
        raise StudyError("the two have no cell, policy and seed in common; run the same study twice")
    now = dict.fromkeys((cell, policy) for cell, policy, _ in new)
    lines = zip(before.made.lines(), after.made.lines(), strict=False)
    made = tuple((name, said, then) for (name, said), (_, then) in lines if said != then)
    return Diff(
        tuple(both),
        tuple(place for place in places if place not in now),
        tuple(place for place in now if place not in places),
        made,
    )
