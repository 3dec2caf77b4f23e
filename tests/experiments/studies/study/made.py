"""Results that nobody played."""

from collections.abc import Mapping, Sequence

from experiments.results.made import Made
from experiments.studies.study.running.playing import Played
from experiments.studies.study.telling.result import Run, StudyResult
from experiments.worlds.running.scores import Score

NAN = float("nan")
MADE = Made("iemas study x", "0.1.0", "abc", "m", "3.11", "now", (0, 1), {"talks.json": "ab" * 32})


def score(*welfare: float, **changed: object) -> Score:
    """A score of conversations of this welfare, and half of it to the last token."""
    given: dict[str, object] = {
        "welfare": welfare,
        "loss": 1.0,
        "served": 2,
        "declined": 0,
        "hit_rate": 0.5,
        "wait_median": 1.25,
        "wait_p95": 2.0,
        "cost": 0.1,
        "latency_nmae": NAN,
        "contested": 0.25,
        "charges": 0.0,
        "surplus": 0.0,
        "bidders_surplus": 3.0,
        "welfare_last": tuple(one / 2 for one in welfare),
        "decide_ms": 0.5,
        "worth": (5.0,) * len(welfare),
        "ungraded": 0,
    }
    return Score(**{**given, **changed})  # type: ignore[arg-type]


def result(
    scores: Mapping[tuple[str, str], Sequence[Score]],
    axes: Mapping[str, Mapping[str, object]] | None = None,
    figures: Mapping[str, float] | None = None,
    **changed: object,
) -> StudyResult:
    """A result of scores by cell and policy, one a seed."""
    runs = tuple(
        Run(cell, (axes or {}).get(cell, {}), policy, seed, Played(one, dict(figures or {}), (), "assumed"))  # type: ignore[arg-type]
        for (cell, policy), each in scores.items()
        for seed, one in enumerate(each)
    )
    given: dict[str, object] = {"name": "a study", "runs": runs, "made": MADE, "described": {"traffic": "talks"}}
    return StudyResult(**{**given, **changed})  # type: ignore[arg-type]
