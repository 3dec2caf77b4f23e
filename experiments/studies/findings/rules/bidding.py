"""Does it pay to report something else than the truth, alone or when all do, in the round and over the whole run?"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from allocation import MICROS, Market
from experiments.errors import StudyError
from experiments.results.made import made_here
from experiments.studies.findings.exhibits.exhibit import Exhibit, Interval, Progress, Value, interval
from experiments.studies.findings.rules.served import RULES, Took, World, looked_at, player, serve
from experiments.studies.study.keeping.kept import Kept, cells_said, finish
from mechanisms import DirectMechanism, Outcome, Preferences
from mechanisms.behaviours import Learner, counterfactuals
from runtime import Offer, Request

#: Multiples of the truth, and ways to choose one anew for each request.
KINDS: dict[str, float | None] = {
    "x 0.5": 0.5, "x 0.75": 0.75, "x 1.5": 1.5, "x 2": 2.0, "x 4": 4.0, "random": None, "learning": None,
}  # fmt: skip
_FACTORS = (0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
_RANDOM = (0.25, 4.0)
#: Few bidders, so that each has some dozens of requests.
WORLD = World(copies=2, bidders=6)
#: Requests that a learner expects to have.
_HORIZON = 30


@dataclass(slots=True)
class Reports:
    """Misreports of some bidders, and what each gained within its rounds by the policy's own predictions.

    Args:
        kind: of `KINDS`.
        who: bidders who misreport; None for all.
        seed: of what is drawn.
    """

    kind: str
    who: frozenset[str] | None
    mechanism: DirectMechanism
    seed: int
    #: Credits that bidders got in rounds, less what the truth would have got there, others reporting what they did.
    within: float = 0.0
    rounds: int = 0
    #: Factor of each request that is not reported as it is.
    factors: dict[str, float] = field(default_factory=dict)
    history: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)

    def report(self, request: Request, true: Preferences) -> Preferences:
        """What its bidder says of a request: all amounts times a factor."""
        if self.who is not None and request.bidder not in self.who:
            return true
        factor = KINDS[self.kind] or self._drawn(request, true)
        self.factors[request.id] = factor
        return replace(true, worth=true.worth * factor, delay_cost=true.delay_cost * factor, stake=true.stake * factor)

    def __call__(self, offers: Sequence[Offer], market: Market, outcome: Outcome) -> None:
        """See what the truth would have got in this round."""
        factors = np.array([self.factors.get(offer.request.id, 1.0) for offer in offers])
        for bidder in sorted({offer.request.bidder for offer in offers if offer.request.id in self.factors}):
            place = player(offers, bidder)
            assert place is not None
            mine = market.requests_of(place)
            true = np.rint(market.values[mine] / factors[mine][:, None]).astype(np.int64)
            tried = _FACTORS if self.kind == "learning" else (1.0,)
            earned = counterfactuals(self.mechanism, market, true, place, tried)
            self.within += (_utility(outcome, true, mine) - earned[tried.index(1.0)]) / MICROS
            if self.kind == "learning":
                self.history.setdefault(bidder, []).append(earned)
        self.rounds += 1

    def _drawn(self, request: Request, true: Preferences) -> float:
        rng = np.random.default_rng([self.seed, zlib.crc32(request.id.encode())])
        if self.kind == "random":
            low, high = np.log(_RANDOM)
            return float(np.exp(rng.uniform(low, high)))
        # A right answer is about what a round can be worth to them.
        learner = Learner(_FACTORS, horizon=_HORIZON, span=max(1, round(true.worth * MICROS)))
        return _FACTORS[rng.choice(len(_FACTORS), p=learner.chances(self.history.get(request.bidder, ())))]


def _utility(outcome: Outcome, true: NDArray[np.int64], mine: NDArray[np.intp]) -> int:
    agents, charges = outcome.allocation.agents[mine], outcome.payments.charges[mine]
    got = np.where(agents >= 0, true[np.arange(mine.size), np.maximum(agents, 0)], 0)
    return int(got.sum() - charges.sum())


@dataclass(frozen=True, slots=True)
class Part:
    """One policy in the world of one seed."""

    policy: str
    seed: int
    world: World
    deviators: int


@dataclass(frozen=True, slots=True)
class Found:
    """By kind: credits a request that single deviators gain within rounds and in all, and what moves when all do it."""

    within: dict[str, float]
    whole: dict[str, float]
    utility: dict[str, float]
    welfare: dict[str, float]
    surplus: dict[str, float]
    rounds: int


def run(
    *,
    seeds: Sequence[int],
    workers: int | str | None,
    progress: Progress,
    kept: Kept | None = None,
    world: World = WORLD,
    deviators: int = 2,
) -> Exhibit:
    """Answer it.

    Args:
        deviators: bidders of each world who deviate, one at a time.

    Raises:
        StudyError: there is no seed, or nobody deviates.
    """
    if not seeds or not 1 <= deviators <= world.bidders:
        raise StudyError(
            f"{len(seeds)} seeds, {deviators} deviators; expected a seed, and 1 to {world.bidders} bidders"
        )
    # What takes longest begins first.
    parts = [Part(name, seed, world, deviators) for name in reversed(RULES) for seed in seeds]
    found: dict[str, list[Found]] = {name: [] for name in RULES}
    for part, one in zip(parts, finish(kept, answer, parts, cells_said(world.cell()), workers, progress), strict=True):
        found[part.policy].append(one)
    rows: list[tuple[Value, ...]] = [
        (
            f"{name}, {kind}",
            interval([one.within[kind] for one in found[name]]),
            interval([one.whole[kind] for one in found[name]]),
            interval([one.whole[kind] - one.within[kind] for one in found[name]]),
            interval([one.utility[kind] for one in found[name]]),
            interval([one.welfare[kind] for one in found[name]]),
            interval([one.surplus[kind] for one in found[name]]),
        )
        for name in RULES
        for kind in KINDS
    ]
    rounds = [one.rounds for each in found.values() for one in each]
    return Exhibit(
        name="bidding",
        question="What does a bidder gain by reporting something else than the truth?",
        columns=(
            "policy and report",
            "one deviates: in its rounds, credits a request",
            "one deviates: in the whole run, credits a request",
            "one deviates: carried across rounds, credits a request",
            "all do: bidders' utility, credits a request",
            "all do: welfare, credits a request",
            "all do: surplus, credits",
        ),
        rows=tuple(rows),
        notes=(
            f"Worlds: {world}. Engines are simulated at speeds fitted to real vLLM, answers of its models to these "
            "very turns were graded beforehand; preferences are drawn. Copies of a dialogue share what is cached.",
            f"{len(seeds)} seeds, {min(rounds)} to {max(rounds)} rounds a run; intervals are over seeds, each the mean "
            f"of {deviators} bidders who deviate one at a time, against the same seed's run of truth.",
            "In its rounds: what the report got there less what the truth would have got, others as they were, at the "
            "policy's own predictions (what else the conversation will bring included). In the whole run: true worth "
            "by the measured chance of a right answer, less measured delay and charges. Carried: their difference, "
            "which is what predictions missed as well as what a report moves in later fees, queues and caches. Of so "
            "many rows one or two leave zero outside their interval by chance.",
            f"random: each request times a factor log-uniform in [{_RANDOM[0]}, {_RANDOM[1]}]. learning: Hedge over "
            f"{', '.join(f'{one:g}' for one in _FACTORS)} times the truth, told what each would have earned.",
            "pay-as-bid and greedy run inside iemas, with its fees; greedy charges cost plus fee. In paper-auction who "
            "loses competes again, and within a round that counts as nothing.",
        ),
        made=replace(made_here(), seeds=tuple(seeds), sources=dict(world.cell().workload.sources)),
    )


def answer(part: Part) -> Found:
    """Run a policy's worlds of one seed."""
    cell = part.world.cell()
    mechanism = RULES[part.policy][1]
    truth = _truthful(part)
    asked = sorted(name for name, count in truth.requests.items() if count)
    rng = np.random.default_rng([part.seed, 1])
    chosen = rng.choice(asked, size=min(part.deviators, len(asked)), replace=False).tolist()
    found = Found({}, {}, {}, {}, {}, truth.rounds)
    for kind in KINDS:
        within, whole, requests = 0.0, 0.0, 0
        for bidder in chosen:
            alone = Reports(kind, frozenset([bidder]), mechanism, part.seed)
            took = serve(cell, looked_at(part.policy, alone), part.seed, report=alone.report)
            within += alone.within
            whole += took.utility[bidder] - truth.utility[bidder]
            requests += truth.requests[bidder]
        found.within[kind], found.whole[kind] = within / requests, whole / requests
        together = Reports(kind, None, mechanism, part.seed)
        took = serve(cell, looked_at(part.policy, together), part.seed, report=together.report)
        asked_all = sum(truth.requests.values())
        found.utility[kind] = (sum(took.utility.values()) - sum(truth.utility.values())) / asked_all
        found.welfare[kind] = (took.welfare - truth.welfare) / asked_all
        found.surplus[kind] = (took.charges - took.costs) - (truth.charges - truth.costs)
    return found


def _truthful(part: Part) -> Took:
    return serve(part.world.cell(), looked_at(part.policy, _unseen), part.seed)


def _unseen(offers: Sequence[Offer], market: Market, outcome: Outcome) -> None:
    """Looks away."""


__all__ = ["KINDS", "Interval", "Part", "Reports", "answer", "run"]
