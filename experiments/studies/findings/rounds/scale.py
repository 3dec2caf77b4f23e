"""How large may a round be? Time and memory to allocate and charge, and what the optimum is worth over greedy.

Every size is measured in rounds of `hub_markets`: real lengths and prefixes, drawn agents, nine slots for ten requests.
"""

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from allocation import Greedy, Market, MinCostFlow
from experiments.errors import StudyError
from experiments.files import named_folder
from experiments.results.made import made_here
from experiments.studies.findings.exhibits.exhibit import Exhibit, Progress, Value, interval
from experiments.studies.findings.rounds.hub_markets import CAPACITY, Job, asked, draw
from experiments.studies.study.keeping.kept import Kept, finish
from mechanisms import VCG

#: Agents, and requests a round.
SIZES = tuple((agents, requests) for agents in (10, 100, 1000) for requests in (100, 1000, 10_000, 100_000))
#: Pairs beyond which a size is left out: a market holds three matrices of 8 bytes a pair, and drawing it some more.
MOST_PAIRS = 20_000_000
#: Pairs beyond which greedy, which sorts them in Python, and bidders of several requests are left out.
_MOST_SLOW = 1_000_000
#: Requests of a bidder who has several; beyond so many in all they are left out, for each leaves by itself.
_SHARED, _MOST_SHARED = 10, 10_000


def play(job: Job) -> dict[str, float]:
    """Times in seconds of the processor, shares in percent; what is left out is not in it."""
    _compiled()
    given, _ = draw(job.where, job.agents, job.requests, job.seed)
    rng = np.random.default_rng((job.seed, 2))
    market = given.market(np.where(given.seen > 0, rng.integers(job.agents, size=job.requests), -1))
    solver, rule = MinCostFlow(), VCG()
    began = time.process_time()
    found = solver.allocate(market)
    allocated = time.process_time()
    paid = rule.charge(market, found, solver)
    charged = time.process_time()
    served = found.served
    above = (paid.charges > market.take(market.costs, found))[served]
    figures = {
        "allocate": 1000 * (allocated - began),
        "charge": 1000 * (charged - allocated),
        "served": 100 * float(served.mean()),
        "above": 100 * float(above.mean()) if served.any() else 0.0,
        "mebibytes": (market.values.nbytes + market.costs.nbytes + market.weights.nbytes) / 2**20,
        "peak": _peak_mebibytes(),
    }
    if job.agents * job.requests <= _MOST_SLOW:
        best, began = market.welfare(found), time.process_time()
        greedy = Greedy().allocate(market)
        figures["greedy"] = 1000 * (time.process_time() - began)
        figures["gain"] = 100 * (best / market.welfare(greedy) - 1)
    if job.agents * job.requests <= _MOST_SLOW and job.requests <= _MOST_SHARED:
        owners = np.arange(job.requests) // _SHARED
        several = Market(market.values, market.costs, market.capacities, market.feasible, owners)
        began = time.process_time()
        rule.charge(several, found, solver)
        figures["several"] = 1000 * (time.process_time() - began)
    return figures


_SHOWN = {
    "allocate": "allocate, CPU ms",
    "charge": "charge, CPU ms",
    "several": f"charge bidders of {_SHARED}, CPU ms",
    "greedy": "greedy, CPU ms",
    "gain": "welfare over greedy, %",
    "served": "served, %",
    "above": "charged above cost, % of served",
    "mebibytes": "market, MiB",
    "peak": "process at its peak, MiB",
}


def run(
    *,
    seeds: Sequence[int],
    workers: int | str | None,
    progress: Progress,
    kept: Kept | None = None,
    sizes: Sequence[tuple[int, int]] = SIZES,
) -> Exhibit:
    """Every size, from small to large so that a process's peak is that of the size it has come to.

    Raises:
        StudyError: a size has no agent or no request, or every size is too large.
    """
    where = named_folder()
    for agents, requests in sizes:
        if agents < 1 or requests < 1:
            raise StudyError(f"{agents} agents and {requests} requests; a round needs one of each at least")
    held = [size for size in sizes if size[0] * size[1] <= MOST_PAIRS]
    if not held:
        raise StudyError(f"every size has more than {MOST_PAIRS:,} pairs; give a smaller one")
    jobs = [Job(where, *size, seed) for size in sorted(held, key=lambda size: size[0] * size[1]) for seed in seeds]
    done: dict[tuple[int, int], list[dict[str, float]]] = {}
    sources = asked(where).sources
    each = finish(kept, play, jobs, sources, workers, progress, lambda job: job.title)
    for job, figures in zip(jobs, each, strict=True):
        done.setdefault((job.agents, job.requests), []).append(figures)
    rows: list[tuple[Value, ...]] = []
    for size in held:
        each = done[size]
        cells = [interval([one[name] for one in each]) if name in each[0] else None for name in _SHOWN]
        rows.append((f"{size[0]:,} x {size[1]:,}", *size, *cells))
    left = [f"{agents:,} x {requests:,}" for agents, requests in sizes if (agents, requests) not in held]
    return Exhibit(
        "scale",
        "How large may a round be, in time and memory to allocate and charge, and what is the optimum worth there?",
        ("agents x requests", "agents", "requests", *_SHOWN.values()),
        tuple(rows),
        (
            "MinCostFlow and VCG on one core, after they were compiled; what making forecasts takes is not in it.",
            f"Real are lengths and prefixes ({', '.join(name for name, _ in sources)}); skills, prices, "
            f"speeds, bidders and who has what in cache are drawn. {CAPACITY:g} slots a request; each request is a "
            f"bidder of its own, but for bidders of {_SHARED} requests, who leave the market together.",
            f"Left out: greedy and bidders of {_SHARED} beyond {_MOST_SLOW:,} pairs, these also "
            f"beyond {_MOST_SHARED:,} requests, where they take more than 10 s"
            + (f"; {', '.join(left)}, of more than {MOST_PAIRS:,} pairs, for memory." if left else "."),
            f"95 % by the bootstrap over {len(seeds)} seeds; the peak has the interpreter, its libraries and the "
            "drawing of the market in it. Other machines are not shown.",
        ),
        replace(made_here(), seeds=tuple(seeds), sources=dict(sources)),
        "requests",
        _SHOWN["allocate"],
        "agents",
    )


def _compiled() -> None:
    """Load machine code before anything is timed."""
    rng = np.random.default_rng(0)
    values, costs = rng.integers(10**7, size=(100, 10)), rng.integers(10**6, size=(100, 10))
    for owners in (None, np.arange(100) // _SHARED):
        small = Market(values, costs, np.full(10, 9), None, owners)
        VCG().charge(small, MinCostFlow().allocate(small), MinCostFlow())


def _peak_mebibytes() -> float:
    """The most that this process has held; macOS counts bytes, others KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
