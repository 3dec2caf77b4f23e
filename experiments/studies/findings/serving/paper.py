"""The paper's table beside ours: which of its figures can be measured here, on what, and which cannot, and why.

The paper (IEMAS, arXiv:2603.17302) reports CoQA, QuAC and HotpotQA on vLLM with three models; hardware, capacities,
arrivals, prices and seeds are not stated, and its public code prices every token alike. Nothing of it can be made again
to the letter. What is done here has its form: conversations on agents of unlike models, rivals that learn who answers
well and see no cache, and those the paper leaves out: routers that see the cache.
"""

from collections.abc import Sequence

from experiments.results.made import made_here
from experiments.studies.findings.exhibits.exhibit import Exhibit, Interval, Progress, Value, interval
from experiments.studies.study.keeping.kept import Kept
from experiments.studies.study.study import Study
from experiments.studies.study.telling.result import StudyResult
from experiments.worlds.workloads.workload import Dialogues

#: Rivals of the paper that read questions alone, and what it calls them.
LEARNED = {"graph": "GraphRouter", "mf": "MFRouter", "router-dc": "RouterDC", "random": "Random"}
_AWARE = ("cache-aware", "cache-aware-best", "sticky")
_WHERE = "shipped dialogues"


def run(
    *,
    seeds: Sequence[int],
    workers: int | str | None = None,
    progress: Progress = lambda done, total: None,
    kept: Kept | None = None,
    learned: Sequence[str] = tuple(LEARNED),
    dialogues: int = 20,
) -> Exhibit:
    """Play the shipped dialogues under the paper's rivals and ours, and set its figures beside.

    Raises:
        StudyError: a learned router cannot be trained here.
    """
    load = Dialogues("shipped", rate=0.5, dialogues=dialogues, warm_up=4, answers="shipped")
    policies = ["iemas", *learned, *_AWARE]
    found = Study(load, policies, seeds, name="paper").run(workers=workers, progress=progress, kept=kept)
    blind = list(learned)
    best_hit = max(blind, key=lambda name: found.mean(name, "hit_rate"))
    cheapest = min(blind, key=lambda name: found.mean(name, "cost"))
    slowest = max(blind, key=lambda name: found.mean(name, "wait_median"))
    fastest = min(blind, key=lambda name: found.mean(name, "wait_median"))
    called = {name: LEARNED.get(name, name) for name in policies}
    rows: list[tuple[Value, ...]] = [
        ("KV hit rate, IEMAS, %", 80.2, "CoQA", _percent(found, "iemas", "hit_rate"), _WHERE, "form only"),
        (
            "KV hit rate, best rival that sees no cache, %",
            53.1,
            "CoQA (GMTRouter)",
            _percent(found, best_hit, "hit_rate"),
            f"{_WHERE} ({called[best_hit]})",
            "form only; GMTRouter needs users who rate, and no public dialogues have any",
        ),
        (
            "KV hit rate, cache-aware router, %",
            None,
            "not shown",
            _percent(found, "cache-aware", "hit_rate"),
            _WHERE,
            "ours alone",
        ),
        (
            "cost a request, IEMAS over the cheapest such rival, %",
            -34.0,
            "CoQA: 6.944 for 10.507",
            _ratio(found, "iemas", cheapest, "cost"),
            f"{_WHERE} ({called[cheapest]})",
            "form only; the paper's unit of cost is not stated",
        ),
        (
            "median latency, slowest such rival over IEMAS, times",
            7.5,
            "HotpotQA (abstract: up to 2.9)",
            _times(found, slowest, "wait_median"),
            f"{_WHERE} ({called[slowest]}), TTFT",
            "form only; the paper's 'latency' is TTFT by its public code",
        ),
        (
            "median latency, fastest such rival over IEMAS, times",
            1.9,
            "QuAC (MFRouter)",
            _times(found, fastest, "wait_median"),
            f"{_WHERE} ({called[fastest]}), TTFT",
            "form only",
        ),
        (
            "predictor's error, latency",
            0.101,
            "NMAE, normaliser not stated",
            interval([one.score.latency_nmae for one in found.of_policy("iemas")]),
            f"{_WHERE}, MAE / mean",
            "see the study `prediction` for other normalisers",
        ),
        (
            "predictor's error, cost",
            0.09,
            "NMAE, normaliser not stated",
            interval([one.score.cost_nmae for one in found.of_policy("iemas")]),
            f"{_WHERE}, MAE / mean",
            "the same",
        ),
        (
            "CoQA latency; QuAC, HotpotQA hit rate and cost",
            None,
            "not recovered",
            None,
            "",
            "the figures are not public",
        ),
        ("100 rounds of untruthful bidders", None, "'penalties', no figure", None, "", "see the study `bidding`"),
    ]
    rows += [
        (
            f"welfare, {called[name]}, credits",
            None,
            "not shown",
            interval([one.score.total for one in found.of_policy(name)]),
            _WHERE,
            "ours alone: true worth of right answers less delay and cost",
        )
        for name in policies
    ]
    return Exhibit(
        "paper",
        "Which of the paper's figures can be measured here, and what are they?",
        ("figure", "the paper", "on what", "ours", "ours, on what", "comparable?"),
        tuple(rows),
        (
            "Ours: 10 of the 14 dialogues written for this project, at .5 a second; learned routers are taught "
            "the answers to the other four. Engines simulated with speeds fitted to vLLM on a CPU; answers recorded on "
            "vLLM (SmolLM2-135M, Qwen2.5-Coder-0.5B). Not CoQA, QuAC or HotpotQA: none could be had whole.",
            "The paper's rivals see no cache; a router that does has the auction's hit rate and more.",
            f"Intervals are over {len(tuple(seeds))} seeds.",
        ),
        made_here(),
    )


def _percent(found: StudyResult, policy: str, figure: str) -> Interval:
    return interval([100 * getattr(run.score, figure) for run in found.of_policy(policy)])


def _ratio(found: StudyResult, policy: str, other: str, figure: str) -> Interval:
    pairs = zip(found.of_policy(policy), found.of_policy(other), strict=True)
    return interval([100 * (getattr(a.score, figure) / getattr(b.score, figure) - 1) for a, b in pairs])


def _times(found: StudyResult, policy: str, figure: str) -> Interval:
    pairs = zip(found.of_policy(policy), found.of_policy("iemas"), strict=True)
    return interval([getattr(a.score, figure) / getattr(b.score, figure) for a, b in pairs])
