"""What it is worth that truth is best: welfare once bidders have learnt what pays, against that of honest bidders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from allocation import MICROS, Allocation, Greedy, Market, MinCostFlow
from experiments.errors import StudyError
from experiments.results.made import made_here
from experiments.studies.findings.exhibits.exhibit import Exhibit, Progress, Value, interval
from experiments.studies.findings.rules.served import World, markets
from experiments.studies.study.keeping.kept import Kept, cells_said, finish
from mechanisms import VCG, DirectMechanism, Mechanism, Outcome, PayAsBid, Payments, PostedPrice, serving_costs
from mechanisms.mechanism import BatchMechanism, run_each
from mechanisms.rules.sharing import Free

#: Multiples of the truth that a bidder learns to choose among.
FACTORS = (0.25, 0.5, 0.75, 1.0, 2.0, 4.0)
#: Bidders of a round, each with one request, where each agent takes one.
BIDDERS = 4
#: Rounds that are played, and different markets among them.
ROUNDS, MARKETS = 12_000, 16
WORLD = World(copies=2, bidders=40, slots=2)


@dataclass(frozen=True, slots=True)
class TwoTiers:
    """The dearer half of agents for those who report more than the median, the rest for the others; nobody pays.

    Each takes, in order of requests, the agent left in its tier that is worth most to it; the other tier's if none is.
    """

    def run(self, market: Market) -> Outcome:
        """Allocate; there is nothing to charge."""
        n, m = market.shape
        best = market.values.max(axis=1)
        dear = np.argsort(market.costs.mean(axis=0), kind="stable")[m - m // 2 :]
        agents, free = np.full(n, -1), market.capacities.copy()
        for i in range(n):
            upper = np.isin(np.arange(m), dear) == bool(best[i] > np.median(best))
            left = np.flatnonzero(free > 0)
            if left.size:
                own = left[upper[left]] if upper[left].any() else left
                agents[i] = own[market.values[i, own].argmax()]
                free[agents[i]] -= 1
        allocation = Allocation(agents)
        return Outcome(market, allocation, Payments(np.zeros(n, np.int64), serving_costs(market, allocation)))


RULES: Mapping[str, DirectMechanism] = {
    "the auction (VCG)": Mechanism(MinCostFlow(), VCG()),
    "first price": Mechanism(MinCostFlow(), PayAsBid()),
    "greedy at cost": Mechanism(Greedy(), PostedPrice()),
    "greedy, free": Mechanism(Greedy(), Free()),
    "two tiers, free": TwoTiers(),
}


@dataclass(frozen=True, slots=True)
class Part:
    """Markets of one seed's world, and how long they are repeated."""

    seed: int
    world: World
    rounds: int
    markets: int


#: By rule: welfare a round if all are honest, once learnt, of the optimum, surplus, mean log2 of factors, regret.
Found = dict[str, tuple[float, float, float, float, float, float]]


def run(
    *,
    seeds: Sequence[int],
    workers: int | str | None,
    progress: Progress,
    kept: Kept | None = None,
    world: World = WORLD,
    rounds: int = ROUNDS,
    drawn: int = MARKETS,
) -> Exhibit:
    """Answer it.

    Args:
        rounds: to play; figures are of the last quarter.
        drawn: different markets among them, from each seed's world.

    Raises:
        StudyError: there is no seed, fewer than 4 rounds, no market; or a world has too few rounds with enough bidders.
    """
    if not seeds or rounds < 4 or drawn < 1:
        raise StudyError(f"{len(seeds)} seeds, {rounds} rounds, {drawn} markets; expected at least 1, 4 and 1")
    parts = [Part(seed, world, rounds, drawn) for seed in seeds]
    found = finish(kept, answer, parts, cells_said(world.cell()), workers, progress)

    def row(name: str) -> tuple[Value, ...]:
        honest, learnt, best, surplus, said, regret = np.array([one[name] for one in found]).T
        return (
            name,
            interval(honest),
            interval(learnt),
            interval(learnt - honest),
            interval(best - learnt),
            interval(surplus),
            interval(2**said),
            interval(100 * regret),
        )

    return Exhibit(
        name="value-of-truth",
        question="What is left of welfare once bidders have learnt which reports pay?",
        columns=(
            "rule",
            "welfare if all are honest, credits a round",
            "welfare once learnt, credits a round",
            "learnt less honest, credits a round",
            "optimum less learnt, credits a round",
            "surplus once learnt, credits a round",
            "times the truth reported once learnt (geometric mean)",
            "regret against the best fixed factor, % of utility",
        ),
        rows=tuple(row(name) for name in RULES),
        notes=(
            f"{rounds:,} rounds a seed, {len(seeds)} seeds; figures are means over the last quarter, against honest "
            "reports in the very same rounds; intervals are over seeds.",
            f"Stylised: each round is one of {drawn} markets of {BIDDERS} requests, of rounds of a served world "
            f"({world}), one request for each bidder, where each agent takes one. What is served changes no later "
            "market, so nothing carries over but what was learnt.",
            "Engines of that world are simulated at speeds fitted to real vLLM, answers of its models were graded "
            "beforehand; values and costs are as paper-auction's trees predict them, in the later half of such rounds.",
            f"Every bidder is a no-regret learner (AdaHedge) over {', '.join(f'{one:g}' for one in FACTORS)} times the "
            "truth, told what each would have earned. Other learners may end elsewhere, and bidders who know "
            "their rivals could do better than a fixed factor.",
            "greedy serves the greatest reported welfare of a pair first, at cost or for nothing; two tiers gives the "
            "dearer half of agents to who reports more than the median. Free rules charge nobody: surplus is what "
            "serving costs the auctioneer.",
        ),
        made=replace(made_here(), seeds=tuple(seeds), sources=dict(world.cell().workload.sources)),
        x="rule",
        y="optimum less learnt, credits a round",
    )


def answer(part: Part) -> Found:
    """Play the markets of one seed under every rule.

    Raises:
        StudyError: its world has no round with enough bidders.
    """
    stage = stages(part)
    picked = np.random.default_rng([part.seed, 1]).integers(len(stage), size=part.rounds)
    tail = picked[part.rounds - part.rounds // 4 :]
    place = np.ravel_multi_index([FACTORS.index(1.0)] * BIDDERS, [len(FACTORS)] * BIDDERS)
    exact = RULES["the auction (VCG)"]
    best = np.array([outcomes(exact, market)[1][place] for market in stage])[tail].mean()
    found: Found = {}
    for name, rule in RULES.items():
        tables = [outcomes(rule, market) for market in stage]
        utility, welfare, surplus = (np.stack([table[k] for table in tables]) for k in range(3))
        profiles, regret = learn(utility, picked, np.random.default_rng([part.seed, 2]))
        chosen = profiles[-tail.size :]
        reported = np.log2(FACTORS)[np.array(np.unravel_index(chosen, [len(FACTORS)] * BIDDERS))]
        found[name] = (
            float(welfare[tail, place].mean()),
            float(welfare[tail, chosen].mean()),
            float(best),
            float(surplus[tail, chosen].mean()),
            float(reported.mean()),
            regret,
        )
    return found


def stages(part: Part) -> list[Market]:
    """Markets of `BIDDERS` requests of different bidders, from a served run, the later half of those there are.

    Raises:
        StudyError: there is none with so many.
    """
    held = markets("paper-auction", part.world.cell(), part.seed)
    # The trees that price the first of them have seen next to nothing.
    met = [market for market in held if len(market.players) >= BIDDERS]
    met = met[len(met) // 2 :]
    if not met:
        raise StudyError(f"seed {part.seed} has no round of {BIDDERS} bidders; give the world a higher rate")
    rng = np.random.default_rng([part.seed, 0])
    found = []
    for k in rng.integers(len(met), size=part.markets).tolist():
        chosen = rng.choice(met[k].players, size=BIDDERS, replace=False)
        rows = [int(rng.choice(met[k].requests_of(int(bidder)))) for bidder in chosen]
        here = met[k].requests(rows)
        found.append(Market(here.values, here.costs, np.ones(here.shape[1], np.int64), here.feasible))
    return found


def outcomes(
    rule: DirectMechanism, market: Market
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of every profile of factors, in credits: true utilities (B, N), true welfare (B,), surplus (B,)."""
    n = market.shape[0]
    factors = np.array(list(product(FACTORS, repeat=n)))
    values = np.rint(market.values[None] * factors[:, :, None]).astype(np.int64)
    paid = rule.run_many(values, market) if isinstance(rule, BatchMechanism) else run_each(rule, values, market)
    rows, there, served = np.arange(n), np.maximum(paid.agents, 0), paid.agents >= 0
    got = np.where(served, market.values[rows, there], 0)
    costs = np.where(served, market.costs[rows, there], 0)
    utility = (got - paid.charges) / MICROS
    return utility, (got - costs).sum(axis=1) / MICROS, (paid.charges.sum(axis=1) - costs.sum(axis=1)) / MICROS


def learn(
    utility: NDArray[np.float64], picked: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], float]:
    """AdaHedge with full information for every bidder (de Rooij et al. 2014): profiles by round, and the regret.

    Args:
        utility: (P, B, N) of markets and profiles.
        picked: (T,) the market of each round.

    The regret is what the best fixed factor would have earned beyond what was earned, over the sum of what it would
    have earned: means over bidders.
    """
    n, k = utility.shape[2], len(FACTORS)
    strides = k ** np.arange(n - 1, -1, -1)
    # `gap` is how much the mixtures fell short so far, from which the rate follows: no range need be known.
    totals, earned, gap = np.zeros((n, k)), np.zeros(n), np.full(n, 1e-9)
    profiles = np.empty(picked.size, np.int64)
    draws, options, bidders = rng.random((picked.size, n)), np.arange(k), np.arange(n)
    for t, market in enumerate(picked.tolist()):
        rate = np.log(k) / gap
        weights = np.exp(rate[:, None] * (totals - totals.max(axis=1, keepdims=True)))
        weights /= weights.sum(axis=1, keepdims=True)
        shares = np.cumsum(weights, axis=1)
        chosen = (shares < (draws[t] * shares[:, -1])[:, None]).sum(axis=1)
        profile = int(chosen @ strides)
        others = profile - chosen * strides
        each = utility[market, others[:, None] + options * strides[:, None], bidders[:, None]]
        top = each.max(axis=1)
        mixed = top + np.log((weights * np.exp(rate[:, None] * (each - top[:, None]))).sum(axis=1)) / rate
        gap += np.maximum(mixed - (weights * each).sum(axis=1), 0.0)
        totals += each
        earned += each[bidders, chosen]
        profiles[t] = profile
    best = totals.max(axis=1)
    return profiles, float((best.sum() - earned.sum()) / max(abs(best.sum()), 1e-9))
