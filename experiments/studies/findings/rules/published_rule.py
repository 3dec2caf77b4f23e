"""What the published rule costs: matching as many as can be before welfare, and serving the unmatched for nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from allocation import MICROS, Market, MinCostFlow
from experiments.errors import StudyError
from experiments.results.made import made_here
from experiments.studies.findings.exhibits.exhibit import Exhibit, Progress, Value, interval
from experiments.studies.findings.rules.served import World, looked_at, serve
from experiments.studies.study.keeping.kept import Kept, cells_said, finish
from mechanisms import VCG, DirectMechanism, Mechanism, Outcome
from mechanisms.rules.paper import PaperRouter
from runtime import Offer

#: Slots of an agent that are auctioned in a round.
SLOTS = (1, 2, 4, 8)
#: Busy enough that slots bind.
WORLD = World(copies=2, bidders=20)
#: Rounds of a run in which misreports are tried.
ROUNDS = 20
_FACTORS = (0.0, 0.25, 0.5, 0.75, 1.5, 2.0, 4.0)
_EXACT = Mechanism(MinCostFlow(), VCG())


@dataclass(frozen=True, slots=True)
class Published:
    """The published rule where each agent takes everybody, and `slots` of an agent are auctioned in a round."""

    slots: int

    def run(self, market: Market) -> Outcome:
        """Allocate and charge."""
        return PaperRouter(self.slots).run(_open(market))


@dataclass(frozen=True, slots=True)
class Capped:
    """The exact rule where each agent's capacity in a round is `slots` at most."""

    slots: int

    def run(self, market: Market) -> Outcome:
        """Allocate and charge."""
        return _EXACT.run(market.replace(capacities=np.minimum(market.capacities, self.slots)))


@dataclass(frozen=True, slots=True)
class Part:
    """The world of one seed, so many slots auctioned."""

    slots: int
    seed: int
    world: World
    rounds: int


@dataclass(frozen=True, slots=True)
class Found:
    """Figures of a part, in credits, by name; `rule` is published or exact."""

    figures: dict[str, float]


def run(
    *,
    seeds: Sequence[int],
    workers: int | str | None,
    progress: Progress,
    kept: Kept | None = None,
    world: World = WORLD,
    slots: Sequence[int] = SLOTS,
    rounds: int = ROUNDS,
) -> Exhibit:
    """Answer it.

    Args:
        slots: to auction, a row each.
        rounds: of each run, in which misreports are tried.

    Raises:
        StudyError: there is no seed, or nothing to auction or to try.
    """
    if not seeds or not slots or min(slots) < 1 or rounds < 1:
        raise StudyError(f"{len(seeds)} seeds, slots {tuple(slots)}, {rounds} rounds; expected one at least of each")
    parts = [Part(each, seed, world, rounds) for each in slots for seed in seeds]
    found: dict[int, list[dict[str, float]]] = {each: [] for each in slots}
    for part, one in zip(parts, finish(kept, answer, parts, cells_said(world.cell()), workers, progress), strict=True):
        found[part.slots].append(one.figures)

    def cells(each: int, names: Sequence[str]) -> tuple[Value, ...]:
        return tuple(interval([one[name] for one in found[each]]) for name in names)

    made = replace(made_here(), seeds=tuple(seeds), sources=dict(world.cell().workload.sources))
    simulated = (
        f"Worlds: {world}. Engines are simulated at speeds fitted to real vLLM, answers of its models to these very "
        "turns were graded beforehand; preferences are drawn."
    )
    same = ("binds", "exact", "published", "cardinality", "free", "exact surplus", "published surplus")
    tried = ("published gains", "published gain", "exact gains")
    rules = ("published", "exact")
    live = tuple(f"{rule} live {figure}" for figure in ("welfare", "surplus", "served") for rule in rules)
    live = (*live[:2], "live gap", *live[2:])
    return Exhibit(
        name="published-rule",
        question="What do cardinality before welfare and free service cost, on the same predicted markets?",
        columns=(
            "slots auctioned",
            "rounds in which they bind, %",
            "welfare of exact VCG, credits a round",
            "welfare of the published rule, credits a round",
            "lost by cardinality first, credits a round",
            "lost by free service, credits a round",
            "surplus of exact VCG, credits a round",
            "surplus of the published rule, credits a round",
            "bidders who gain by a misreport, published, %",
            "mean gain of those, credits",
            "bidders who gain by a misreport, exact VCG, %",
        ),
        rows=tuple((each, *cells(each, (*same, *tried))) for each in slots),
        notes=(
            simulated,
            f"Markets are those that the published rule met as it served, {len(seeds)} seeds; both rules are run on "
            "each as predicted (every agent offers all its slots again in every round, as published). Intervals are "
            "over seeds.",
            "Slots bind where the best welfare would be greater without them. What free service loses can be negative: "
            "it takes capacity that the exact rule is not given here.",
            f"Misreports: all of a bidder's values times {', '.join(f'{one:g}' for one in _FACTORS)}, or four times "
            f"the value at one agent and nothing elsewhere; the best of them, in {rounds} rounds a run.",
            "Quality, wait and cost of a market are what the policy's trees predict, not what was measured.",
        ),
        made=made,
        x="slots auctioned",
        y="surplus of the published rule, credits a round",
        more=(
            Exhibit(
                name="published-rule, served",
                question="What do both come to when they serve?",
                columns=(
                    "slots auctioned",
                    "welfare, published rule, credits",
                    "welfare, exact VCG, credits",
                    "welfare, published less exact, credits",
                    "surplus, published rule, credits",
                    "surplus, exact VCG, credits",
                    "served, published rule, %",
                    "served, exact VCG, %",
                ),
                rows=tuple((each, *cells(each, live)) for each in slots),
                notes=(
                    simulated,
                    "Both inside paper-auction, with its trees; whom the exact rule leaves competes again, and it "
                    "gives no agent more than its engine runs at once; what is served free waits in the agent's line. "
                    "Welfare is true worth by the measured chance of a right answer, less measured delay and cost.",
                ),
                made=made,
            ),
        ),
    )


def answer(part: Part) -> Found:
    """Serve with both rules, and run both on what the published one met."""
    cell, published, exact = part.world.cell(), Published(part.slots), Capped(part.slots)
    met: list[Market] = []

    def look(offers: Sequence[Offer], market: Market, outcome: Outcome) -> None:
        met.append(_open(market))

    figures: dict[str, float] = {}
    for name, mechanism in (("published", published), ("exact", exact)):
        took = serve(cell, looked_at("paper-auction", look if name == "published" else _away, mechanism), part.seed)
        figures[f"{name} live welfare"] = took.welfare
        figures[f"{name} live surplus"] = took.charges - took.costs
        figures[f"{name} live served"] = 100 * (1 - took.declined / sum(took.requests.values()))
    figures["live gap"] = figures["published live welfare"] - figures["exact live welfare"]
    figures |= compared(met, part.slots)
    rng = np.random.default_rng([part.seed, part.slots])
    several = [market for market in met if len(market.players) > 1]
    drawn = [several[k] for k in rng.permutation(len(several))[: part.rounds]]
    for name, rule in (("published", published), ("exact", exact)):
        gains = [gain for market in drawn for gain in best_gains(rule, market)]
        won = [gain for gain in gains if gain > 0]
        figures[f"{name} gains"] = 100 * len(won) / max(len(gains), 1)
        figures[f"{name} gain"] = float(np.mean(won)) / MICROS if won else 0.0
    return Found(figures)


def compared(met: Sequence[Market], slots: int) -> dict[str, float]:
    """Means over markets of what both rules come to, in credits.

    Raises:
        StudyError: there is no market.
    """
    if not met:
        raise StudyError("no round was held, so there is nothing to compare; give the world more dialogues")
    rows = []
    for market in met:
        served, best, free = Published(slots).run(market), Capped(slots).run(market), _EXACT.run(market)
        # With a credit more on both sides nothing is decided otherwise, and exactly those pay who are matched.
        dearer = market.replace(values=market.values + MICROS, costs=market.costs + MICROS)
        paying = Published(slots).run(dearer).payments.charges > 0
        kept = int(market.take(market.weights, served.allocation)[paying].sum())
        rows.append(
            (
                100.0 * (free.welfare > best.welfare),
                best.welfare / MICROS,
                served.welfare / MICROS,
                (best.welfare - kept) / MICROS,
                (kept - served.welfare) / MICROS,
                best.surplus / MICROS,
                served.surplus / MICROS,
            )
        )
    names = ("binds", "exact", "published", "cardinality", "free", "exact surplus", "published surplus")
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))


def best_gains(rule: DirectMechanism, market: Market) -> list[int]:
    """What each bidder gains by the best of the misreports, in micro-units; 0 where truth is best."""
    truth = rule.run(market).bidder_utilities(market)
    found = []
    for bidder in market.players:
        best = max(rule.run(lie).bidder_utilities(market)[bidder] for lie in _lies(market, bidder))
        found.append(max(0, best - truth[bidder]))
    return found


def _lies(market: Market, bidder: int) -> Iterator[Market]:
    mine = market.requests_of(bidder)
    for factor in _FACTORS:
        values = market.values.copy()
        values[mine] = np.rint(values[mine] * factor).astype(np.int64)
        yield market.replace(values=values)
    for agent in range(market.shape[1]):
        values = market.values.copy()
        values[mine] = 0
        values[mine, agent] = 4 * np.maximum(market.values[mine, agent], 0)
        yield market.replace(values=values)


def _open(market: Market) -> Market:
    """The market in which each agent takes everybody."""
    return market.replace(capacities=np.full(market.shape[1], market.shape[0]))


def _away(offers: Sequence[Offer], market: Market, outcome: Outcome) -> None:
    """Looks away."""
