"""Two results of studies: what changed between them, policy by policy, in pairs where both met the same traffic."""

from dataclasses import dataclass

from experiments.errors import StudyError
from experiments.studies.arena.pairs import Difference, compare
from experiments.studies.study.telling.result import StudyResult


@dataclass(frozen=True, slots=True)
class Changed:
    """A policy in a cell of both results: what it gained from the first to the second, over the seeds of both."""

    cell: str
    policy: str
    gain: Difference
    #: Whether nothing changed at all.
    alike: bool


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
        # Both by the second's idea of when a wait ends: scores have either.
        first = [old[cell, policy, seed].score.judged(after.delay) for seed in seeds]
        second = [new[cell, policy, seed].score.judged(after.delay) for seed in seeds]
        if any(old[cell, policy, seed].score.worth != new[cell, policy, seed].score.worth for seed in seeds):
            raise StudyError(f"{cell}: the same seeds drew other conversations; the data or the workload changed")
        both.append(Changed(cell, policy, compare(second, first), first == second))
    if not both:
        raise StudyError("the two have no cell, policy and seed in common; run the same study twice")
    now = dict.fromkeys((cell, policy) for cell, policy, _ in new)
    lines, later = _lines(before), _lines(after)
    made = tuple(
        (name, lines.get(name, "-"), later.get(name, "-"))
        for name in dict.fromkeys([*lines, *later])
        if lines.get(name) != later.get(name)
    )
    return Diff(
        tuple(both),
        tuple(place for place in places if place not in now),
        tuple(place for place in now if place not in places),
        made,
    )


def _lines(result: StudyResult) -> dict[str, str]:
    """How it was made and what of; a line for each file of data."""
    found = {name: said for name, said in result.made.lines() if name != "data"}
    found |= {f"data {name}": sha256[:16] for name, sha256 in result.made.sources.items()}
    return {**dict(result.described), "waits": result.delay, **found}
