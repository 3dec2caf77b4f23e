"""What does it cost that several gateways serve one fleet, each of which sees a share of the requests alone?

Each gateway auctions its own share over all engines. It knows neither what the others sent there (loads, lines, which
prefixes lie in which cache) nor what the others' bidders offered. Requests come to gateways by conversation, as a
balancer with a hash has it, or by lot.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.results.made import made_here
from experiments.studies.findings.exhibits.exhibit import Exhibit, Progress, Value, interval
from experiments.studies.study.cells.cell import Cell
from experiments.studies.study.cells.policies import entrants
from experiments.studies.study.keeping.kept import Kept, cells_said, finish
from experiments.worlds.fleets import simulated_fleet
from experiments.worlds.running.scores import Score, Scoring
from experiments.worlds.traffic.traffic import conversation_of
from experiments.worlds.workloads.workload import Dialogues
from mechanisms import Preferences
from runtime import Declined, Ledger, Request, Router, Served, running
from runtime.engines.simulated.virtual_time import run as run_in_time

COUNTS = (1, 2, 4)
BY_CONVERSATION, BY_LOT = "conversation", "lot"
#: Dialogues that begin a second: engines with little to do, and with as much as they can.
RATES = (0.25, 0.75)


@dataclass(frozen=True, slots=True)
class Job:
    """One run: a policy behind so many gateways."""

    policy: str
    count: int
    split: str
    rate: float
    seed: int

    @property
    def title(self) -> str:
        """As errors name it."""
        return f"{self.policy}, {self.count} gateways by {self.split}, {self.rate:g}/s at seed {self.seed}"


def send(split: str, count: int, seed: int) -> Callable[[str], int]:
    """The gateway that a request comes to, by its id.

    Example:
        >>> to = send("conversation", 4, 0)
        >>> to("talk/0") == to("talk/1")
        True
    """

    def chosen(request: str) -> int:
        key = conversation_of(request) if split == BY_CONVERSATION else request
        return int.from_bytes(hashlib.blake2b(f"{seed}\0{key}".encode(), digest_size=8).digest(), "little") % count

    return chosen


def play(job: Job) -> Score:
    """Run it, in virtual time."""
    cell = Cell(Dialogues(rate=job.rate))
    load = cell.workload.draw(cell.bidders, job.seed)
    [entrant] = entrants([job.policy], "vcg", None, None)
    scoring, to = Scoring(load, cell.fleet), send(job.split, job.count, job.seed)

    async def hold() -> Score:
        engines, prices = simulated_fleet(load, cell.fleet)
        async with running(engines):
            with Ledger() as books:
                routers = [
                    Router(
                        engines,
                        entrant.make(cell, job.seed, load),
                        prices,
                        rounds=cell.bidders.rounds(cell.slots),
                        ledger=books,
                        grade=load.grade,
                    )
                    for _ in range(job.count)
                ]

                async def ask(request: Request, reported: Preferences) -> Served | Declined:
                    end = await routers[to(request.id)].submit(request, reported)
                    scoring(end)
                    return end

                for router in routers:
                    await router.start()
                try:
                    await load.hold(ask)
                finally:
                    for router in routers:
                        await router.stop()
                return scoring.score(routers[0].statistics, 1.0)

    return run_in_time(hold(), virtual=True)


def run(*, seeds: Sequence[int], workers: int | str | None, progress: Progress, kept: Kept | None = None) -> Exhibit:
    """Every number of gateways, every way to send, at every rate; differences to one gateway are paired by seed."""
    kinds = [("iemas", 1, BY_CONVERSATION)]
    kinds += [("iemas", count, split) for count in COUNTS[1:] for split in (BY_CONVERSATION, BY_LOT)]
    kinds.append(("round-robin", 1, BY_CONVERSATION))
    jobs = [Job(*kind, rate, seed) for rate in RATES for kind in kinds for seed in seeds]
    held = cells_said(*(Cell(Dialogues(rate=rate)) for rate in RATES))
    done = finish(kept, play, jobs, held, workers, progress, lambda job: job.title)
    found = dict(zip(jobs, done, strict=True))
    rows: list[tuple[Value, ...]] = []
    for rate in RATES:
        single = [found[Job(*kinds[0], rate, seed)] for seed in seeds]
        for policy, count, split in kinds:
            scores = [found[Job(policy, count, split, rate, seed)] for seed in seeds]
            lost = [100 * (sum(one.welfare) / sum(many.welfare) - 1) for one, many in zip(scores, single, strict=True)]
            rows.append(
                (
                    _named(policy, count, split),
                    rate,
                    interval([float(np.mean(one.welfare)) for one in scores]),
                    interval(lost),
                    interval([100 * one.hit_rate for one in scores]),
                    interval([one.wait_p95 for one in scores]),
                    float(sum(one.declined for one in scores)) / len(seeds),
                )
            )
    return Exhibit(
        "gateways",
        "what does it cost that gateways of one fleet know only their own requests?",
        (
            "served by", "dialogues a second", "welfare, credits a dialogue", "welfare, % of one gateway's",
            "hit rate, %", "wait p95, s", "declined",
        ),
        tuple(rows),
        (
            "Simulated engines (two small, two large), shipped dialogues, bidders who differ; the mean over seeds with "
            "its 95 % interval, differences paired by seed.",
            "Every gateway sees all engines and its own requests alone; their books are one.",
            "Engines publish nothing: what gateways would learn of each other's prefixes by `kv_events` is not in it.",
        ),
        made_here(),
        x="dialogues a second",
        y="welfare, % of one gateway's",
        by="served by",
    )  # fmt: skip


def _named(policy: str, count: int, split: str) -> str:
    if policy != "iemas":
        return policy
    return "1 gateway" if count == 1 else f"{count} gateways, by {split}"
