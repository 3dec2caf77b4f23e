"""Who gains by what, in rounds that were served: misreports, rings, false names, and agents who misstate themselves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np

from allocation import MICROS, Greedy, Market, MinCostFlow
from experiments.errors import StudyError
from experiments.results.made import made_here
from experiments.studies.findings.exhibits.exhibit import Exhibit, Progress, Value, interval
from experiments.studies.findings.rules.published_rule import Published
from experiments.studies.findings.rules.served import World, markets
from experiments.studies.study.keeping.kept import Kept, cells_said, finish
from mechanisms import (
    VCG,
    DirectMechanism,
    Mechanism,
    MechanismError,
    Outcome,
    PayAsBid,
    PostedPrice,
    ProcurementVCG,
    TradeReduction,
    TwoSidedVCG,
)

RULES: Mapping[str, DirectMechanism] = {
    "vcg": Mechanism(MinCostFlow(), VCG()),
    "two-sided-vcg": Mechanism(MinCostFlow(), TwoSidedVCG()),
    "procurement-vcg": Mechanism(MinCostFlow(), ProcurementVCG()),
    "pay-as-bid": Mechanism(MinCostFlow(), PayAsBid()),
    "greedy at cost": Mechanism(Greedy(), PostedPrice()),
    "published rule": Published(1),
}
#: Crowded enough that capacity binds, and that some bidders have two requests in a round.
WORLD = World(copies=2, rate=20.0, bidders=12, slots=1)
#: Rounds of a run, of those with so many bidders and at most so many requests.
ROUNDS, BIDDERS, REQUESTS = 10, (3, 5), 8
_FACTORS = (0.0, 0.5, 0.75, 1.5, 2.0)
_RING = (0.0, 0.5, 1.0, 2.0)
_COSTS = (0.5, 0.8, 1.0, 1.25, 2.0)


@dataclass(frozen=True, slots=True)
class Deviation:
    """Who deviates, bidders or agents, in which markets, each with what is true of it."""

    members: tuple[int, ...]
    lies: list[tuple[Market, Market]]
    agents: bool = False


def one_bidder(market: Market) -> Iterator[Deviation]:
    """Every bidder alone, all values times a factor."""
    for bidder in market.players:
        yield Deviation((bidder,), [(_scaled(market, {bidder: factor}), market) for factor in _FACTORS])


def ring(size: int) -> Callable[[Market], Iterator[Deviation]]:
    """Every so many bidders, who share what they gain."""

    def rings(market: Market) -> Iterator[Deviation]:
        for members in combinations(market.players, size):
            told = (factors for factors in product(_RING, repeat=size) if set(factors) != {1.0})
            lies = [(_scaled(market, dict(zip(members, factors, strict=True))), market) for factors in told]
            yield Deviation(members, lies)

    return rings


def split_names(market: Market) -> Iterator[Deviation]:
    """Every bidder with several requests, each under a name of its own."""
    for bidder in market.players:
        mine = market.requests_of(bidder)
        if mine.size > 1:
            names = market.bidders.copy()
            names[mine[1:]] = names.max() + 1 + np.arange(mine.size - 1)
            parts = market.values, market.costs, market.capacities, market.feasible
            yield Deviation((bidder,), [(Market(*parts, bidders=names), market)])


def more_names(market: Market) -> Iterator[Deviation]:
    """Every bidder, with one request more that nobody needs, under a name of its own."""
    for bidder in market.players:
        row = market.requests_of(bidder)[:1]
        lies = []
        for factor in (0.5, 1.0, 2.0):
            extra = np.rint(market.values[row] * factor).astype(np.int64)
            costs = np.concatenate([market.costs, market.costs[row]])
            able = None if market.feasible is None else np.concatenate([market.feasible, market.feasible[row]])

            def of(values: np.ndarray, name: int, costs: np.ndarray = costs, able: np.ndarray | None = able) -> Market:
                rows = np.concatenate([market.values, values])
                return Market(rows, costs, market.capacities, able, np.append(market.bidders, name))

            lies.append((of(extra, int(market.bidders.max()) + 1), of(np.zeros_like(extra), bidder)))
        yield Deviation((bidder,), lies)


def one_agent(market: Market) -> Iterator[Deviation]:
    """Every agent, its costs times a factor, its capacity as it is or one less."""
    for agent in range(market.shape[1]):
        lies = []
        for factor, fewer in product(_COSTS, (0, 1)):
            costs, capacities = market.costs.copy(), market.capacities.copy()
            costs[:, agent] = np.rint(costs[:, agent] * factor).astype(np.int64)
            capacities[agent] = max(0, capacities[agent] - fewer)
            lies.append((market.replace(costs=costs, capacities=capacities), market))
        yield Deviation((agent,), lies, agents=True)


KINDS: Mapping[str, Callable[[Market], Iterator[Deviation]]] = {
    "a bidder": one_bidder,
    "two bidders": ring(2),
    "three bidders": ring(3),
    "split names": split_names,
    "a name more": more_names,
    "an agent": one_agent,
}


@dataclass(frozen=True, slots=True)
class Gain:
    """What the best deviation of a round moves, in micro-units: to who deviates, other bidders, other agents, us."""

    own: int = 0
    bidders: int = 0
    agents: int = 0
    surplus: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """Rounds of one seed's world."""

    seed: int
    world: World
    rounds: int


#: By rule and kind: rounds in which somebody could try, and the best gain in each; rounds trade reduction refuses (%).
Found = tuple[dict[tuple[str, str], list[Gain]], float]


def run(
    *,
    seeds: Sequence[int],
    workers: int | str | None,
    progress: Progress,
    kept: Kept | None = None,
    world: World = WORLD,
    rounds: int = ROUNDS,
) -> Exhibit:
    """Answer it.

    Args:
        rounds: to sample of each seed's world.

    Raises:
        StudyError: there is no seed or round, or a world has no round that could be sampled.
    """
    if not seeds or rounds < 1:
        raise StudyError(f"{len(seeds)} seeds, {rounds} rounds; expected one of each at least")
    parts = [Part(seed, world, rounds) for seed in seeds]
    found = finish(kept, answer, parts, cells_said(world.cell()), workers, progress)

    def row(rule: str, kind: str) -> tuple[Value, ...]:
        each = [gains[rule, kind] for gains, _ in found if gains[rule, kind]]

        def mean(name: str) -> Value:
            return interval([float(np.mean([getattr(one, name) for one in rows])) / MICROS for rows in each])

        won = [100 * float(np.mean([one.own > 0 for one in rows])) for rows in each]
        gainers = [one.own / MICROS for rows in each for one in rows if one.own > 0]
        typical = float(np.mean(gainers)) if gainers else 0.0
        means = (mean(name) for name in ("own", "bidders", "agents", "surplus"))
        return f"{rule}, {kind}", sum(map(len, each)), interval(won), typical, *means

    refused = interval([share for _, share in found])
    return Exhibit(
        name="strategic",
        question="In rounds that were served, who could have gained by what, and who would have paid for it?",
        columns=(
            "rule and who deviates",
            "rounds",
            "rounds in which somebody gains, %",
            "mean gain where one does, credits",
            "to who deviates, credits a round",
            "to other bidders, credits a round",
            "to other agents, credits a round",
            "to the auctioneer, credits a round",
        ),
        rows=tuple(row(rule, kind) for rule in RULES for kind in KINDS),
        notes=(
            f"Worlds: {world}, one slot an agent. Engines are simulated at speeds fitted to real vLLM, answers of its "
            "models to these very turns were graded beforehand; preferences are drawn.",
            f"Up to {rounds} rounds of each of {len(seeds)} seeds, drawn from those with {BIDDERS[0]} to {BIDDERS[1]} "
            f"bidders and at most {REQUESTS} requests, as paper-auction predicted them; intervals are over seeds. The "
            "best deviation of a round is shown; who gains nothing stays with the truth.",
            f"A bidder: all values times {', '.join(f'{one:g}' for one in _FACTORS)}. Two and three bidders: all of "
            f"them, each times {', '.join(f'{one:g}' for one in _RING)}, gains summed over the ring. Split names: each "
            "request of a bidder with several under its own. A name more: a request that nobody needs, charged to "
            f"who sent it. An agent: costs times {', '.join(f'{one:g}' for one in _COSTS)}, capacity as it is or less.",
            "Others are truthful, and everybody's values and costs are known to who deviates: an upper bound on what a "
            "bidder in the dark could find, a lower one on all misreports. Later rounds are not played.",
            f"trade-reduction refuses {refused} % of these rounds: it is for markets of one good.",
        ),
        made=replace(made_here(), seeds=tuple(seeds), sources=dict(world.cell().workload.sources)),
    )


def answer(part: Part) -> Found:
    """Try everything in rounds of one seed.

    Raises:
        StudyError: there is no round with so many bidders.
    """
    held = markets("paper-auction", part.world.cell(), part.seed)
    low, high = BIDDERS
    met = [one for one in held if low <= len(one.players) <= high and one.shape[0] <= REQUESTS]
    if not met:
        raise StudyError(f"seed {part.seed} has no round of {low} to {high} bidders; give the world another rate")
    order = np.random.default_rng(part.seed).permutation(len(met))[: part.rounds]
    drawn = [met[k] for k in order]
    gains = {
        (rule, kind): [found for market in drawn if (found := best(RULES[rule], market, KINDS[kind])) is not None]
        for rule in RULES
        for kind in KINDS
    }
    return gains, 100 * float(np.mean([_refused(market) for market in drawn]))


def best(rule: DirectMechanism, market: Market, kind: Callable[[Market], Iterator[Deviation]]) -> Gain | None:
    """What the best deviation of a kind moves; nothing where truth is best; None where nobody could try."""
    truth, found = rule.run(market), None
    for one in kind(market):
        found = found or Gain()
        for lie, true in one.lies:
            moved = _moved(truth, market, rule.run(lie), true, one)
            if moved.own > found.own:
                found = moved
    return found


def _moved(truth: Outcome, market: Market, after: Outcome, true: Market, one: Deviation) -> Gain:
    """Both outcomes by true values and costs."""
    bidders, then = truth.bidder_utilities(market), after.bidder_utilities(true)
    agents = after.agent_utilities(true) - truth.agent_utilities(market)
    each = {bidder: then[bidder] - bidders[bidder] for bidder in bidders}
    own = int(sum(agents[k] for k in one.members)) if one.agents else sum(each[k] for k in one.members)
    return Gain(
        own,
        sum(each.values()) - (0 if one.agents else own),
        int(agents.sum()) - (own if one.agents else 0),
        after.surplus - truth.surplus,
    )


def _scaled(market: Market, factors: Mapping[int, float]) -> Market:
    values = market.values.copy()
    for bidder, factor in factors.items():
        mine = market.requests_of(bidder)
        values[mine] = np.rint(values[mine] * factor).astype(np.int64)
    return market.replace(values=values)


def _refused(market: Market) -> bool:
    try:
        TradeReduction().run(market)
    except MechanismError:
        return True
    return False
