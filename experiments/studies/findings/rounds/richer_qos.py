"""Richer service: agents that fail, bidders who may not be sent everywhere, and who is served how fast.

Rounds of `hub_markets`, in which each of these is known exactly: values take the chance that an agent answers at all,
with so many attempts; a privacy constraint is a set of forbidden pairs; who bears what it costs is read off utilities.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from allocation import MICROS, UNSERVED, Allocation, Market, MinCostFlow, to_micros
from experiments.errors import StudyError
from experiments.files import named_folder
from experiments.results.made import Made, made_here
from experiments.studies.findings.exhibits.exhibit import Exhibit, Progress, Value, interval
from experiments.studies.findings.rounds.hub_markets import (
    CAPACITY,
    Floats,
    Ints,
    Job,
    Mask,
    Round,
    asked,
    draw,
)
from experiments.studies.study.keeping.kept import Kept, finish
from mechanisms import VCG

#: Shares of agents that a private bidder forbids.
FORBIDDEN_SHARES = (0.0, 0.2, 0.4, 0.6, 0.8)
#: Mean chances that an attempt fails, and attempts that a request has at its agent.
FAILURES = (0.05, 0.2, 0.4)
ATTEMPTS = (1, 2, 3)
TENTHS = 10
#: Share of bidders who are private.
_PRIVATE = 0.5

Figures = dict[str, float]


def play(job: Job) -> dict[tuple[str, float, float], Figures]:
    """Figures by part and place in it."""
    given, _ = draw(job.where, job.agents, job.requests, job.seed)
    rng = np.random.default_rng((job.seed, 3))
    private = rng.random(job.requests) < _PRIVATE
    # The same draw for every share: whatever is forbidden stays so as the share grows.
    lots = rng.random((job.requests, job.agents))
    found: dict[tuple[str, float, float], Figures] = {}
    open_ = _private(given, private, np.ones(lots.shape, np.bool_))
    for share in FORBIDDEN_SHARES:
        mine = _private(given, private, ~private[:, None] | (lots >= share))
        found["privacy", share, 0] = mine | {
            "lost": 100 * (1 - mine["welfare"] / open_["welfare"]),
            "private": 100 * (mine["private utility"] / open_["private utility"] - 1),
            "others": 100 * (mine["others' utility"] / open_["others' utility"] - 1),
            "auctioneer": 100 * (mine["surplus"] / open_["surplus"] - 1) if open_["surplus"] else 0.0,
        }
    homes = _homes(given, np.ones(lots.shape, np.bool_))
    for failing in FAILURES:
        chances = np.clip(failing * 2 * rng.random(job.agents), 0.0, 0.95)
        for attempts in ATTEMPTS:
            found["failures", failing, attempts] = _failing(given, homes, chances, attempts)
    for tenth, figures in enumerate(_tenths(given, homes)):
        found["worth", tenth + 1, 0] = figures
    return found


def _homes(given: Round, feasible: Mask) -> Ints:
    """Who served the turn before: the same auction, without caches."""
    homes = np.full(len(given.types), UNSERVED, np.int64)
    kept = np.flatnonzero(given.seen > 0)
    if kept.size:
        first = given.before()
        cold = first.market(np.full(kept.size, UNSERVED, np.int64), feasible[kept])
        homes[kept] = MinCostFlow().allocate(cold).agents
    return homes


def _private(given: Round, private: Mask, feasible: Mask) -> Figures:
    market = given.market(_homes(given, feasible), feasible)
    found = MinCostFlow().allocate(market)
    paid = VCG().charge(market, found, MinCostFlow())
    utility = (market.take(market.values, found) - paid.charges) / MICROS
    served = found.served
    return {
        "welfare": market.welfare(found) / MICROS,
        "private utility": float(utility[private].sum()),
        "others' utility": float(utility[~private].sum()),
        "surplus": paid.surplus / MICROS,
        "private served": 100 * float(served[private].mean()) if private.any() else 0.0,
        "others served": 100 * float(served[~private].mean()) if (~private).any() else 0.0,
    }


def with_failures(given: Round, homes: Ints, chances: Floats, attempts: int) -> tuple[Floats, Floats]:
    """(N, M) expected values and costs in credits where an attempt at agent j fails with (M,) `chances`.

    A request tries its agent again until it answers, `attempts` times at the most; what failed took as long and cost as
    much as what did not. Attempts expected are (1 - f^k) / (1 - f), the chance of an answer is 1 - f^k.

    Raises:
        StudyError: a chance is not within [0, 1), or there is no attempt.
    """
    if attempts < 1 or not ((chances >= 0) & (chances < 1)).all():
        raise StudyError(f"{attempts} attempts that fail with chances {chances}; expected 1 at least, within [0, 1)")
    answered = 1 - chances**attempts
    expected = answered / (1 - chances)
    late, costs = given.service(homes)
    values = given.types[:, :1] * given.skills * answered - given.types[:, 1:] * late * expected
    return values, costs * expected


def _failing(given: Round, homes: Ints, chances: Floats, attempts: int) -> Figures:
    values, costs = with_failures(given, homes, chances, attempts)
    true = Market(to_micros(values), to_micros(costs), given.capacities)
    solver, rule = MinCostFlow(), VCG()
    knows = solver.allocate(true)
    naive = given.market(homes)
    blind = solver.allocate(naive)
    paid = rule.charge(naive, blind, solver)
    utility = true.take(true.values, blind) - paid.charges
    kept = rule.charge(true, knows, solver)
    spent = true.take(true.costs, blind)
    best = true.welfare(knows)
    return {
        "gain": 100 * (best / true.welfare(Allocation(blind.agents)) - 1),
        "worse off": 100 * float((utility[blind.served] < 0).mean()),
        "deficit": (int(paid.charges.sum()) - int(spent.sum())) / MICROS / len(homes),
        "surplus": kept.surplus / MICROS / len(homes),
        "answered": 100 * float((1 - chances**attempts)[knows.agents[knows.served]].mean()),
        "answered blind": 100 * float((1 - chances**attempts)[blind.agents[blind.served]].mean()),
    }


def _tenths(given: Round, homes: Ints) -> list[Figures]:
    """Service by tenth of worth, the poorest first: the auction's, and that of whoever comes first to where it is
    cheapest and free."""
    late, costs = given.service(homes)
    market = given.market(homes)
    found = MinCostFlow().allocate(market)
    charges = VCG().charge(market, found, MinCostFlow()).charges / MICROS
    room = given.capacities.copy()
    first = np.full(len(costs), UNSERVED, np.int64)
    for i, row in enumerate(costs):
        if room.any():
            first[i] = int(np.where(room > 0, row, np.inf).argmin())
            room[first[i]] -= 1
    rows = np.arange(len(costs))
    figures = []
    for some in np.array_split(np.argsort(given.types[:, 0], kind="stable"), TENTHS):
        one: Figures = {"worth": float(np.median(given.types[some, 0]))}
        for name, agents in (("auction", found.agents), ("affinity", first)):
            held = some[agents[some] != UNSERVED]
            place = rows[held], agents[held]
            one[f"{name} served"] = 100 * held.size / some.size
            # Nobody of a tenth is served: there is no time that could be given.
            one[f"{name} seconds"] = float(np.median(late[place])) if held.size else float("nan")
            one[f"{name} right"] = 100 * float(given.skills[place].mean()) if held.size else float("nan")
        one["charge"] = float(charges[some[found.agents[some] != UNSERVED]].mean()) if one["auction served"] else 0.0
        figures.append(one)
    return figures


_SHOWN: dict[str, dict[str, str]] = {
    "privacy": {
        "lost": "welfare lost, %",
        "private": "private bidders' utility, change %",
        "others": "others' utility, change %",
        "auctioneer": "auctioneer's surplus, change %",
        "private served": "private served, %",
        "others served": "others served, %",
    },
    "failures": {
        "gain": "welfare gained by knowing, %",
        "answered": "answered, knowing, %",
        "answered blind": "answered, not knowing, %",
        "worse off": "worse off than unserved, not knowing, %",
        "surplus": "surplus, knowing, credits a request",
        "deficit": "surplus, not knowing, credits a request",
    },
    "worth": {
        "worth": "median worth, credits",
        "auction served": "auction: served, %",
        "auction seconds": "auction: median wait, s",
        "auction right": "auction: right, %",
        "charge": "auction: charged, credits",
        "affinity served": "affinity: served, %",
        "affinity seconds": "affinity: median wait, s",
        "affinity right": "affinity: right, %",
    },
}
_ASKED = {
    "privacy": (
        "What does it cost when half of all bidders may not be sent everywhere, and who bears it?",
        ("forbidden to them, %",),
    ),
    "failures": (
        "What is it worth that values know how often agents fail, with attempts?",
        ("attempts fail, %", "attempts at most"),
    ),
    "worth": ("Who is served, and how fast, by tenth of worth?", ("tenth of worth",)),
}


def run(
    *,
    seeds: Sequence[int],
    workers: int | str | None,
    progress: Progress,
    kept: Kept | None = None,
    agents: int = 32,
    requests: int = 500,
) -> Exhibit:
    """All three parts.

    Raises:
        StudyError: fewer requests than tenths, or no agent.
    """
    if requests < TENTHS:
        raise StudyError(f"{requests} requests; {TENTHS} at least, one for each tenth")
    where = named_folder()
    jobs = [Job(where, agents, requests, seed) for seed in seeds]
    sources = asked(where).sources
    done = finish(kept, play, jobs, sources, workers, progress, lambda job: job.title)
    made = replace(made_here(), seeds=tuple(seeds), sources=dict(sources))
    notes = (
        f"One round of {requests} requests to {agents} agents, {CAPACITY:g} slots a request, after one that left "
        f"caches. Real are lengths and prefixes ({', '.join(name for name, _ in sources)}); the rest is drawn. Every "
        "skill, time and chance is known to the auction; queues are not shown.",
        "Forbidden: each private bidder may not be sent to a share of agents, drawn for each; the public set of pairs "
        "is no report. Utilities are value less charge, against nothing forbidden.",
        f"95 % by the bootstrap over {len(seeds)} seeds; changes are paired by seed.",
        "Failures: an attempt fails with the agent's chance, uniform around the mean, and is repeated there at once; "
        "it takes as long and costs as much as a whole one. Not knowing, charges are those of values without failures, "
        "and the auctioneer pays for every attempt.",
        "Affinity: whoever comes first goes to the cheapest agent that has a slot, which is the one with the cache.",
    )
    privacy, failures, worth = (_exhibit(part, done, made, notes) for part in _SHOWN)
    return replace(privacy, more=(failures, worth))


def _exhibit(
    part: str, done: Sequence[dict[tuple[str, float, float], Figures]], made: Made, notes: tuple[str, ...]
) -> Exhibit:
    rows: list[tuple[Value, ...]] = []
    question, places = _ASKED[part]
    for key in done[0]:
        if key[0] != part:
            continue
        at = [round(100 * key[1]) if part != "worth" else int(key[1]), int(key[2])][: len(places)]
        cells = []
        for name in _SHOWN[part]:
            each = [one[key][name] for one in done]
            cells.append(interval([value for value in each if not np.isnan(value)]))
        rows.append((*at, *cells))
    said = notes[:3] if part == "privacy" else notes[3:4] if part == "failures" else notes[4:]
    x, y = places[0], next(iter(_SHOWN[part].values()))
    by = places[1] if len(places) > 1 else ""
    return Exhibit("richer-qos", question, (*places, *_SHOWN[part].values()), tuple(rows), said, made, x, y, by)
