"""Routers trained and tested on the same questions: what each is worth, how sure that is, what it costs."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.learned.contrastive import RouterDC
from experiments.routers.learned.embedding import one_thread
from experiments.routers.learned.factors import MFRouter
from experiments.routers.learned.graph import GraphRouter
from experiments.routers.learned.logistic import LogisticRouter
from experiments.routers.learned.nearest import KNN
from experiments.routers.learned.references import BestSingle, OracleRouter, RandomRouter
from experiments.routers.learned.router import Floats, QueryRouter, Vectors
from experiments.routers.learned.users import GMTRouter

Make = Callable[[], QueryRouter]

#: What the others are measured against, and between which they lie.
REFERENCES: Mapping[str, Make] = {"random": RandomRouter, "best-single": BestSingle, "oracle": OracleRouter}
#: Those that read the question alone.
LEARNED: Mapping[str, Make] = {
    "knn": KNN,
    "logistic": LogisticRouter,
    "mf": MFRouter,
    "router-dc": RouterDC,
    "graph": GraphRouter,
}
#: Those that read who asks, too, and their like that does not.
PERSONAL: Mapping[str, Make] = {
    "logistic": LogisticRouter,
    "logistic + user": lambda: LogisticRouter(with_users=True),
    "gmt": GMTRouter,
}
#: Of those, what is trained with torch.
WITH_TORCH = frozenset({"graph", "gmt"})

_DRAWS = 2_000
#: Decisions that are timed, one after the other, on different questions.
_TIMED = 200


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Questions with their (Q, D) vectors, what every model scored on them, and who asked each, where that is known."""

    vectors: Vectors
    table: AnswerTable
    users: tuple[str, ...] | None = None

    def rows(self, chosen: NDArray[np.intp]) -> "Asked":
        """The same with these questions, in this order."""
        users = None if self.users is None else tuple(self.users[k] for k in chosen)
        return Asked(self.vectors[chosen], self.table.rows(chosen), users)


#: Questions to learn from, and others to be judged by.
Case = tuple[Asked, Asked]


@dataclass(frozen=True, slots=True)
class Row:
    """A router over all fits.

    `value` is the mean score of what it picked, `error` the standard error of that over fits (None after one), `picks`
    the share of questions where no model scored higher, `training_s` CPU seconds of a fit, `decision_us` the median
    time of a decision on a vector that is there. `gain` is its value over best-single's with the 95 % interval `low`,
    `high` of a bootstrap over test questions, paired; `better` says that the interval is above zero.
    """

    router: str
    value: float
    error: float | None
    picks: float
    training_s: float
    decision_us: float
    gain: float
    low: float
    high: float

    @property
    def better(self) -> bool:
        """Whether it beats the best single model beyond doubt."""
        return self.low > 0


@dataclass(frozen=True, slots=True, eq=False)
class _Tested:
    """One fit on one case: (N,) scores of what was picked, and whether none was higher; seconds, microseconds."""

    picked: Floats
    best: NDArray[np.bool_]
    training_s: float
    decision_us: float


def resplit(asked: Asked, training: int, test: int, fits: int) -> list[Case]:
    """So many splits of a table, each by a seed of its own.

    Raises:
        StudyError: there are too few questions, or no fit is asked for.
    """
    count = len(asked.table.questions)
    if min(training, test, fits) < 1 or training + test > count:
        raise StudyError(
            f"{asked.table.title} has {count} questions; no {fits} splits into {training} to learn from and {test} to "
            "test on: use smaller --train and --test"
        )
    cases = []
    for seed in range(fits):
        order = np.random.default_rng(seed).permutation(count)
        cases.append((asked.rows(order[:training]), asked.rows(order[training : training + test])))
    return cases


def compare(
    cases: Sequence[Case],
    routers: Mapping[str, Make],
    progress: Callable[[str, int, int], None] = lambda router, done, total: None,
) -> list[Row]:
    """Fit every router on every case, seed by number, and judge it; the references come with them.

    Args:
        cases: at least one.
        routers: by name, made anew for each case.
        progress: told which router is fitted, how many fits are done, and of how many.

    Raises:
        StudyError: there is no case, a router's scores are of another shape than its questions and models.
    """
    if not cases:
        raise StudyError("no case to compare routers on; give at least one split")
    made = {**REFERENCES, **routers}
    total = len(made) * len(cases)
    found: dict[str, list[_Tested]] = {}
    for name, make in made.items():
        for seed, case in enumerate(cases):
            progress(name, len(found) * len(cases) - len(cases) * (name in found) + seed, total)
            found.setdefault(name, []).append(_tested(name, make(), case, seed))
    progress("", total, total)
    single = found["best-single"]
    names = [list(test.table.questions) for _, test in cases]
    rows = [_row(name, tests, single, names) for name, tests in found.items()]
    ends = [row for row in rows if row.router in REFERENCES]
    return [*sorted(ends, key=lambda row: row.value), *(row for row in rows if row.router not in REFERENCES)]


def _tested(name: str, router: QueryRouter, case: Case, seed: int) -> _Tested:
    learn, test = case
    # The oracle alone is shown what it is tested on.
    shown = test if name == "oracle" else learn
    with one_thread()():
        start = time.process_time()
        router.fit(shown.vectors, shown.table, users=shown.users, seed=seed)
        training_s = time.process_time() - start
        scores = np.asarray(router.scores(test.vectors, test.users))
        decision_us = _decision_us(router, test)
    if scores.shape != test.table.scores.shape or not np.isfinite(scores).all():
        raise StudyError(f"{name} scores {scores.shape}, expected finite ones of {test.table.scores.shape}")
    picked = test.table.scores[np.arange(len(scores)), scores.argmax(axis=1)]
    return _Tested(picked, picked >= test.table.scores.max(axis=1), training_s, decision_us)


def _decision_us(router: QueryRouter, test: Asked) -> float:
    taken = []
    for k in range(_TIMED):
        at = k % len(test.vectors)
        vector, user = test.vectors[at : at + 1], None if test.users is None else test.users[at : at + 1]
        start = time.perf_counter_ns()
        router.scores(vector, user)[0].argmax()
        taken.append(time.perf_counter_ns() - start)
    return float(np.median(taken)) / 1e3


def _row(name: str, tests: Sequence[_Tested], single: Sequence[_Tested], names: Sequence[Sequence[str]]) -> Row:
    means = np.array([test.picked.mean() for test in tests])
    gain, low, high = paired([one.picked - other.picked for one, other in zip(tests, single, strict=True)], names)
    return Row(
        name,
        float(means.mean()),
        float(means.std(ddof=1) / np.sqrt(len(means))) if len(means) > 1 else None,
        float(np.mean([test.best.mean() for test in tests])),
        float(np.mean([test.training_s for test in tests])),
        float(np.median([test.decision_us for test in tests])),
        gain,
        low,
        high,
    )


def paired(gains: Sequence[Floats], names: Sequence[Sequence[str]], seed: int = 0) -> tuple[float, float, float]:
    """The mean gain over all tests, and its 95 % interval by a bootstrap over questions.

    A question that several tests hold is drawn with all that it gained there (the cluster bootstrap: Davison and
    Hinkley 1997, section 3.8).

    Args:
        gains: (N,) gains of each test.
        names: their questions.
    """
    at = {name: k for k, name in enumerate(dict.fromkeys(name for one in names for name in one))}
    sums, counts = np.zeros(len(at)), np.zeros(len(at))
    for gain, one in zip(gains, names, strict=True):
        rows = np.array([at[name] for name in one])
        np.add.at(sums, rows, gain)
        np.add.at(counts, rows, 1)
    rng = np.random.default_rng(seed)
    drawn = np.zeros(_DRAWS)
    for k in range(_DRAWS):
        rows = rng.integers(len(at), size=len(at))
        drawn[k] = sums[rows].sum() / counts[rows].sum()
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(sums.sum() / counts.sum()), float(low), float(high)
