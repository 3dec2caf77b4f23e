"""What do hubs cost, what do they save, and what do they learn of bids before an auction? By how requests are sent.

A *front* sends each request to a hub: by lot, by its conversation, or by where agents did well on questions like it. It
reads no report, so that each hub's auction stays truthful; one that reads last round's prices is there to be compared.
Two rounds are held: the first is the turn before, which leaves caches where it was served.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from allocation import MICROS, Allocation, Market, MinCostFlow
from allocation.heuristic.ranges import welfare_bound
from experiments.errors import StudyError
from experiments.files import named_folder
from experiments.results.made import made_here
from experiments.studies.findings.exhibits.exhibit import Exhibit, Progress, Value, interval
from experiments.studies.findings.rounds.hub_markets import (
    CAPACITY,
    Floats,
    Ints,
    Known,
    Round,
    alike,
    asked,
    draw,
    mixed,
)
from experiments.studies.study.keeping.kept import Kept, finish
from experiments.worlds.presets import WORTHS
from mechanisms import VCG
from runtime.hubs.assignment import by_conversation

#: Agents, requests a round, and numbers of hubs; the first is the one that is plotted.
SIZES = ((128, 2000, (1, 4, 16, 64)), (64, 800, (1, 4, 16, 64)), (16, 200, (1, 4, 16)))
FRONTS = ("lot", "prefix", "prefix, mixed hubs", "question", "question and prefix", "question, prefix and prices")

#: What a typical bidder, at the medians, gives for a right answer.
_TYPICAL = float(np.sqrt(WORTHS[0] * WORTHS[1]))
#: Of the regression of scores on vectors.
_RIDGE = 1.0


@dataclass(frozen=True, slots=True)
class Held:
    """A round as it was held in hubs; times in seconds of the processor, amounts in micro-units."""

    welfare: int
    bound: int
    all_s: float
    longest_s: float
    front_s: float
    pairs: int
    agents: Ints
    prices: Ints


@dataclass(frozen=True, slots=True)
class Job:
    """One fleet at one seed, with every number of hubs and every front."""

    where: str
    agents: int
    requests: int
    hubs: tuple[int, ...]
    seed: int

    @property
    def title(self) -> str:
        """As errors name it."""
        return f"{self.agents} agents, {self.requests} requests at seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Front:
    """What a front knows of hubs: (M,) the hub of each agent, their number, their mean prices, slots for their share of
    requests, and (D + 1, H) how right their agents are about a question, by ridge regression on the probes."""

    name: str
    hubs: Ints
    count: int
    dear: Floats
    most: Floats
    weights: Floats

    @classmethod
    def of(cls, name: str, given: Round, known: Known, hubs: Ints) -> Self:
        """Fit it.

        Raises:
            StudyError: there is no such front.
        """
        if name not in FRONTS:
            raise StudyError(f"no front {name!r}; there are: {', '.join(FRONTS)}")
        count = int(hubs.max()) + 1
        weights = np.zeros((0, count))
        if name.startswith("question"):
            one = _with_one(known.vectors)
            target = np.stack([known.scores[:, hubs == h].mean(axis=1) for h in range(count)], axis=1)
            weights = np.linalg.solve(one.T @ one + _RIDGE * np.eye(one.shape[1]), one.T @ target)
        dear = np.array([given.prices[hubs == h].mean() for h in range(count)])
        return cls(name, hubs, count, dear, np.bincount(hubs, given.capacities, count) / CAPACITY, weights)

    def send(self, given: Round, before: Ints, prices: Floats, seed: int) -> Ints:
        """(N,) the hub of each request, which no present report moves.

        Args:
            before: (N,) the hub that had the conversation's turn before, -1 for none.
            prices: (H,) credits that a slot of the hub cost in the round before; only one front looks.
        """
        if self.name == "lot":
            return np.random.default_rng(seed).integers(self.count, size=len(given.openings))
        if self.name.startswith("prefix"):
            every = range(self.count)
            return np.array([by_conversation("", opening, every) for opening in given.openings], np.int64)
        chances = np.clip(_with_one(given.vectors) @ self.weights, 0.0, 1.0)
        worth = _TYPICAL * chances - np.outer(given.tokens, self.dear)
        if "prefix" in self.name:
            warm = np.flatnonzero(before >= 0)
            worth[warm, before[warm]] += 0.9 * given.seen[warm] * self.dear[before[warm]]
        if "prices" in self.name:
            worth -= prices
        return _spread(worth, self.most)


def _with_one(vectors: NDArray[np.float32]) -> Floats:
    return np.hstack([vectors, np.ones((len(vectors), 1))])


def _spread(worth: Floats, most: Floats) -> Ints:
    """Each in turn to the hub of greatest worth that has not had its share; the least loaded where all have."""
    load, found = np.zeros(most.size), np.empty(len(worth), np.int64)
    for i, row in enumerate(worth):
        open_ = load < most
        at = int(np.where(open_, row, -np.inf).argmax()) if open_.any() else int((load / most).argmin())
        found[i] = at
        load[at] += 1
    return found


def held(market: Market, hubs: Ints, chosen: Ints, front_s: float) -> Held:
    """Auction in each hub, and the bound on the whole market's welfare from the hubs' own prices."""
    agents = np.full(market.shape[0], -1, np.int64)
    prices = np.zeros(market.shape[1], np.int64)
    times, pairs = [], 0
    for h in range(int(hubs.max()) + 1):
        rows, columns = np.flatnonzero(chosen == h), np.flatnonzero(hubs == h)
        if rows.size == 0:
            continue
        began = time.process_time()
        place = np.ix_(rows, columns)
        local = Market(market.values[place], market.costs[place], market.capacities[columns])
        found = MinCostFlow().allocate(local)
        VCG().charge(local, found, MinCostFlow())
        times.append(time.process_time() - began)
        agents[rows] = np.where(found.agents >= 0, columns[found.agents], -1)
        assert found.prices is not None
        prices[columns] = found.prices
        pairs += rows.size * columns.size
    welfare = market.welfare(Allocation(agents))
    return Held(welfare, welfare_bound(market, prices), sum(times), max(times), front_s, pairs, agents, prices)


def two_rounds(front: Front, given: Round, types: Floats, seed: int) -> tuple[Held, Ints, Ints]:
    """The second round if bidders report these types, the hub of each request, and who had served the turn before."""
    given = replace(given, types=types)
    first, kept = given.before(), np.flatnonzero(given.seen > 0)
    homes, hub_before = np.full((2, len(types)), -1, np.int64)
    prices = np.zeros(front.count)
    if kept.size:
        nobody = np.full(kept.size, -1, np.int64)
        there = front.send(first, nobody, prices, seed)
        earlier = held(first.market(nobody), front.hubs, there, 0.0)
        homes[kept], hub_before[kept] = earlier.agents, there
        prices = np.array([earlier.prices[front.hubs == h].mean() for h in range(front.count)]) / MICROS
    began = time.process_time()
    chosen = front.send(given, hub_before, prices, seed + 1)
    spent = time.process_time() - began
    return held(given.market(homes), front.hubs, chosen, spent), chosen, homes


def play(job: Job) -> dict[tuple[int, str], dict[str, float]]:
    """Figures by number of hubs and front."""
    given, known = draw(job.where, job.agents, job.requests, job.seed)
    table = known.capabilities(given.prices)
    # Everybody reports as somebody else would: whatever moves with it tells of reports.
    others = given.types[np.random.default_rng((job.seed, 1)).permutation(job.requests)]
    one_hub = Front.of("lot", given, known, np.zeros(job.agents, np.int64))
    whole, _, _ = two_rounds(one_hub, given, given.types, job.seed)
    found = {}
    for count in job.hubs:
        for name in FRONTS if count > 1 else FRONTS[:1]:
            front = Front.of(name, given, known, (mixed if "mixed" in name else alike)(table, count))
            one, chosen, homes = two_rounds(front, given, given.types, job.seed)
            _, moved, _ = two_rounds(front, given, others, job.seed)
            market = given.market(homes)
            best = market.welfare(MinCostFlow().allocate(market))
            warm = given.seen > 0
            found[count, name] = {
                "welfare": 100 * one.welfare / whole.welfare,
                "optimum": 100 * one.welfare / best,
                "bound": 100 * one.welfare / one.bound,
                "kept": 100 * float((one.agents[warm] == homes[warm]).mean()) if warm.any() else 0.0,
                "all_ms": 1000 * one.all_s,
                "longest_ms": 1000 * one.longest_s,
                "front_ms": 1000 * one.front_s,
                "pairs": one.pairs + (job.requests * count if name.startswith("question") else 0),
                "moved": 100 * float((moved != chosen).mean()),
            }
    return found


_SHOWN = {
    "welfare": "welfare, % of one hub",
    "optimum": "of the optimum, same caches, %",
    "bound": "of the hubs' own bound, %",
    "kept": "served where cached, %",
    "all_ms": "all hubs, CPU ms",
    "longest_ms": "longest hub, CPU ms",
    "front_ms": "front, CPU ms",
    "pairs": "pairs priced",
    "moved": "sent elsewhere by other bids, %",
}


def run(
    *,
    seeds: Sequence[int],
    workers: int | str | None,
    progress: Progress,
    kept: Kept | None = None,
    sizes: Sequence[tuple[int, int, tuple[int, ...]]] = SIZES,
) -> Exhibit:
    """Every size, number of hubs and front.

    Raises:
        StudyError: there are more hubs than agents, or scikit-learn is not installed.
    """
    where = named_folder()
    jobs = [Job(where, agents, requests, hubs, seed) for agents, requests, hubs in sizes for seed in seeds]
    each = finish(kept, play, jobs, asked(where).sources, workers, progress, lambda job: job.title)
    done = dict(zip(jobs, each, strict=True))
    sources, made = asked(where).sources, replace(made_here(), seeds=tuple(seeds), sources=dict(asked(where).sources))
    notes = (
        f"Real are texts, lengths and shared prefixes of {len(asked(where).topics)} turns "
        f"({', '.join(name for name, _ in sources)}); drawn are agents' skills by topic, prices, speeds, bidders.",
        "Agents are clustered by scores on 400 probes and by price (Ward); hubs that are 'mixed' have some of every "
        f"cluster. Capacity is {CAPACITY:g} slots a request. Each request is a bidder of its own, auctions know "
        "every skill, and a front knows the probes alone.",
        "Two rounds: the first leaves caches. Shares are of one hub of all with caches of its own, of the optimum "
        "given the hubs' caches, and of sum max(w - p)+ + sum B p with the hubs' own prices p. Served where cached: "
        "of requests with an earlier turn.",
        "Sent elsewhere: of requests, when all bidders report as others would, in both rounds; 0 is no bit of any "
        "report. Queues, network and failures are not shown; times are of this machine, 95 % by the bootstrap over "
        f"{len(seeds)} seeds.",
    )
    found: list[Exhibit] = []
    for agents, requests, hubs in sizes:
        mine = [done[Job(where, agents, requests, hubs, seed)] for seed in seeds]
        rows: list[tuple[Value, ...]] = [
            (count, front, *(interval([one[count, front][name] for one in mine]) for name in _SHOWN))
            for count, front in mine[0]
        ]
        asks = (
            f"What do hubs over {agents} agents cost, save, and learn of bids before an auction of {requests} requests?"
        )
        columns = ("hubs", "sent by", *_SHOWN.values())
        told = notes if not found else ()
        found.append(Exhibit("hubs", asks, columns, tuple(rows), told, made, "hubs", _SHOWN["welfare"], "sent by"))
    return replace(found[0], more=tuple(found[1:]))
