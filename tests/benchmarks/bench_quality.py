"""Choosing a model by question: a real routing table, and a made one where skills depend on topics.

Rows are questions, columns models, entries scores. The real table is LLMRouter's, nine models of 7B to 70B on trivia,
mathematics, code and common sense, under IEMAS_DATASETS. Each seed draws 2,500 questions to learn from and 1,008 to be
tested on. With full information every model's score of a learning question is seen, and nothing is learnt in the test;
as a bandit, only the chosen model's is seen, learning goes on, and two deviations of doubt about a model are added to
its chance when choosing. Shuffled questions tell nothing: those rows show what counts alone would get, and what the
gate costs. The seeds are none of those that constants were chosen on (10 to 12, 20 to 23, 30 to 32).

A score counts as right from `RIGHT` on. Brier scores are prequential, over everything that was learnt from.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from prediction import RIGHT, HashedNgrams, PerQuestion
from prediction.quality.experts import Counts

LEARNT, TESTED = 2500, 1008
SEEDS = (40, 41, 42)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    questions: list[str]
    scores: Floats


def real() -> Table:
    folder = Path(os.environ.get("IEMAS_DATASETS", "")) / "routing" / "llmrouter"
    if not (folder / "dcrouter_train.json").exists():
        pytest.skip("set IEMAS_DATASETS to a folder with routing/llmrouter")
    rows: dict[str, dict[str, float]] = {}
    for part in ("train", "test"):
        for row in json.loads((folder / f"dcrouter_{part}.json").read_text(encoding="utf-8")):
            rows.setdefault(row["question"], row["scores"])
    models = sorted(next(iter(rows.values())))
    return Table(list(rows), np.array([[scores[model] for model in models] for scores in rows.values()]))


def made() -> Table:
    """Eight topics with forty words each among words of all, four models with a skill for each topic."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 5)) for _ in range(330)]
    topic = rng.integers(8, size=LEARNT + TESTED)
    skills = rng.uniform(0.2, 0.9, (8, 4))
    questions = [
        " ".join(rng.permutation([*rng.choice(words[40 * t : 40 * t + 40], 4), *rng.choice(words[320:], 5)]))
        for t in topic.tolist()
    ]
    return Table(questions, (rng.random((topic.size, 4)) < skills[topic]).astype(float))


def run(table: Table, seed: int, bandit: bool, shuffled: bool) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(table.questions))[: LEARNT + TESTED]
    asked = [table.questions[k] for k in (rng.permutation(order) if shuffled else order)]
    scores = table.scores[order]
    models = scores.shape[1]
    skill, counts = PerQuestion(np.zeros(models)), Counts(np.zeros(models), 4.0)
    got: list[float] = []
    off: list[tuple[float, float]] = []
    for k, question in enumerate(asked):
        ours, theirs = skill.predict([question])[0], counts.means()
        chosen = int((ours + 2 * skill.doubt() * bandit).argmax())
        got.append(scores[k, chosen])
        if k >= LEARNT and not bandit:
            continue
        for model in [chosen] if bandit else range(models):
            right = bool(scores[k, model] >= RIGHT)
            off.append(((ours[model] - right) ** 2, (theirs[model] - right) ** 2))
            skill.learn(question, model, right)
            counts.learn(model, right)
    test = scores[LEARNT:]
    best = test[:, scores[:LEARNT].mean(axis=0).argmax()]
    brier, brier_counts = np.mean(off, axis=0)
    return {
        "score": float(np.mean(got[LEARNT:])),
        "best single": best.mean(),
        "error": best.std() / np.sqrt(TESTED),
        "random": test.mean(),
        "oracle": test.max(axis=1).mean(),
        "Brier": brier,
        "of counts": brier_counts,
    } | {f"weight {name}": weight for name, weight in skill.weights.items()}


@pytest.mark.parametrize("shuffled", [False, True], ids=["as asked", "shuffled questions"])
@pytest.mark.parametrize("bandit", [False, True], ids=["full information", "bandit"])
@pytest.mark.parametrize("name", ["real", "made"])
def test_choosing_by_question(row: list[dict[str, object]], name: str, bandit: bool, shuffled: bool) -> None:
    table = real() if name == "real" else made()
    runs = [run(table, seed, bandit, shuffled) for seed in SEEDS]
    mean = {key: float(np.mean([one[key] for one in runs])) for key in runs[0]}
    kind = ("bandit" if bandit else "full") + (", shuffled" if shuffled else "")
    row.append({"table": "realised score of the chosen model", "size": name, "kind": kind} | mean)
    assert mean["Brier"] <= mean["of counts"] + 0.005
    if not shuffled:
        assert mean["Brier"] < mean["of counts"]
        assert mean["score"] >= mean["best single"] - mean["error"]


def test_speed(row: list[dict[str, object]]) -> None:
    """Sixteen questions on four models of whom the memory is full; microseconds, least of many."""
    questions = made().questions
    skill, embedder = PerQuestion(np.zeros(4)), HashedNgrams()
    for k in range(2400):
        skill.learn(questions[k], k % 4, k % 3 == 0)
    took: dict[str, list[float]] = {}
    for k in range(60):
        batch = questions[2400 + 16 * k : 2416 + 16 * k]
        acts: dict[str, Callable[[], object]] = {
            "embed": partial(embedder.embed, batch[0]),
            "new": partial(skill.predict, batch),
            "known": partial(skill.predict, batch),
            "learn": partial(skill.learn, batch[0], k % 4, True),
            "known, one learnt": partial(skill.predict, batch),
        }
        for name, act in acts.items():
            began = time.perf_counter()
            act()
            took.setdefault(name, []).append(time.perf_counter() - began)
    least = {f"{name} us": min(times) * 1e6 for name, times in took.items()}
    row.append({"table": "speed of quality by question", "size": "16x4"} | least)
