"""What does it cost that agents come and go, break answers off, and misstate what they are?

Every disturbance is put to every policy on the same traffic, beside the same fleet without it: an agent that misstates
beside itself as it tells the truth. A router takes on an agent's word which model it serves, its price list, how many
requests it serves at once and what it bills; nobody but the agent knows what its work costs.
"""

from collections.abc import Sequence
from dataclasses import replace

from experiments.errors import StudyError
from experiments.results.made import made_here
from experiments.studies.findings.exhibits.exhibit import Exhibit, Interval, Progress, Value, interval
from experiments.studies.findings.serving.disturbances import (
    FIGURES,
    POLICIES,
    TALKS,
    Came,
    Disturbance,
    Job,
    Pairs,
    play,
)
from experiments.studies.study.cells.cell import Cell, usual_fleet
from experiments.studies.study.keeping.kept import Kept, cells_said, finish
from experiments.worlds.churn import Coming
from experiments.worlds.disturbed import Breaks, Statement
from experiments.worlds.fleets import LARGE_PRICES
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.workloads.workload import Dialogues
from prediction import TokenPrices

#: An agent's first requests, the next, and all later ones, whose forecasts are compared with what came.
_STAGES = ((0, 5), (5, 20), (20, None))
#: Those that foretell what a request costs and how right its answer is.
_AUCTIONS = ("iemas", "iemas (own skill)")


#: Nobody else's: what is known of other models says nothing of it.
_UNHEARD = "an unheard-of model"


def usual(fleet: Sequence[SimulatedAgent]) -> tuple[Disturbance, ...]:
    """What is done to a fleet that has agents `small-b` and `large-b`."""
    return (
        Disturbance("restart every 60 s, for 2 s", Coming(60.0, 2.0)),
        Disturbance("stay 60 s, away 15 s", Coming(60.0, 15.0)),
        Disturbance("stay 20 s, away 20 s", Coming(20.0, 20.0)),
        Disturbance("5 % break before the first token", breaks=Breaks(before=0.05)),
        Disturbance("20 % break before the first token", breaks=Breaks(before=0.2)),
        Disturbance("5 % break after it", breaks=Breaks(after=0.05)),
        Disturbance("20 % break after it", breaks=Breaks(after=0.2)),
        *_misstatements(fleet),
        Disturbance(
            "a little of all",
            Coming(120.0, 10.0),
            Breaks(before=0.02, after=0.02),
            (Statement("small-b", model=_named(fleet, "large-b").model, prices=LARGE_PRICES),),
        ),
        Disturbance(
            "much of all",
            Coming(60.0, 15.0),
            Breaks(before=0.05, after=0.05),
            (
                Statement("small-b", model=_named(fleet, "large-b").model, prices=LARGE_PRICES),
                Statement("large-b", prices=_times(LARGE_PRICES, 0.5), billed=2.0),
            ),
        ),
    )


def _misstatements(fleet: Sequence[SimulatedAgent]) -> list[Disturbance]:
    large = _named(fleet, "large-b")

    def with_large(changed: SimulatedAgent) -> tuple[SimulatedAgent, ...]:
        return tuple(changed if one is large else one for one in fleet)

    # On a slower machine: the truth is that it is no model that anybody knows the speed of.
    slow = [
        Disturbance(
            f"{times:g} times as slow as its model",
            statements=(Statement("large-b"),),
            about="first token",
            fleet=with_large(replace(large, timing=large.step_time.scaled(times))),
            truth=(Statement("large-b", model=_UNHEARD),),
        )
        for times in (2.0, 4.0)
    ]
    one_at_once = with_large(replace(large, shape=replace(large.shape, max_num_seqs=1)))
    said = (
        ("a small one at the large one's price", "right", Statement("small-b", _UNHEARD, LARGE_PRICES)),
        ("a small one as the large one, at its price", "right", Statement("small-b", large.model, LARGE_PRICES)),
        ("a small one as the large one, at its own price", "right", Statement("small-b", large.model)),
        (
            "half the price, every token billed twice",
            "cost",
            Statement("large-b", None, _times(large.prices, 0.5), billed=2.0),
        ),
        ("every token billed twice", "cost", Statement("large-b", billed=2.0)),
        ("every token billed four times", "cost", Statement("large-b", billed=4.0)),
        ("twice the price", "cost", Statement("large-b", None, _times(large.prices, 2.0))),
    )
    return [
        *slow,
        *(Disturbance(name, statements=(one,), about=about) for name, about, one in said),
        Disturbance(
            "serves one at once, says sixteen",
            statements=(Statement("large-b", slots=16),),
            about="first token",
            fleet=one_at_once,
        ),
    ]


def _named(fleet: Sequence[SimulatedAgent], name: str) -> SimulatedAgent:
    found = next((one for one in fleet if one.name == name), None)
    if found is None:
        raise StudyError(f"no agent {name!r} in this fleet; there are: {', '.join(one.name for one in fleet)}")
    return found


def _times(prices: TokenPrices, times: float) -> TokenPrices:
    return TokenPrices(times * prices.fresh, times * prices.cached, times * prices.output)


#: By seed.
Runs = Sequence[Came]


def run(
    *,
    seeds: Sequence[int],
    workers: int | str | None,
    progress: Progress,
    kept: Kept | None = None,
    disturbances: Sequence[Disturbance] | None = None,
    policies: Sequence[str] = tuple(POLICIES),
    talks: Dialogues = TALKS,
) -> Exhibit:
    """Every disturbance under every policy, each fleet undisturbed as well.

    Args:
        disturbances: `usual` by default.
        policies: some of `POLICIES`.
        talks: what is asked.

    Raises:
        StudyError: there is no disturbance, or no such policy.
    """
    if disturbances is None:
        disturbances = usual(usual_fleet(talks))
    unknown = [name for name in policies if name not in POLICIES]
    if not disturbances or unknown or not policies:
        raise StudyError(f"{len(disturbances)} disturbances, policies {list(policies)}; there are: {list(POLICIES)}")
    settings = list(dict.fromkeys([Disturbance("undisturbed"), *(one.undisturbed for one in disturbances)]))
    jobs = [Job(talks, one, name, k) for k in seeds for one in (*settings, *disturbances) for name in policies]
    held = cells_said(*(Cell(talks, fleet=one.fleet) for one in (*settings, *disturbances)))
    done = finish(kept, play, jobs, held, workers, progress, lambda job: job.title)
    found = {(job.disturbance, job.policy, job.seed): came for job, came in zip(jobs, done, strict=True)}

    def runs(one: Disturbance, policy: str) -> Runs:
        return [found[one, policy, seed] for seed in seeds]

    made = replace(made_here(), seeds=tuple(seeds), sources=dict(talks.sources))
    stating = [one for one in disturbances if one.about]
    auctions = [name for name in policies if name in _AUCTIONS]
    each = [(one, name) for one in (settings[0], *disturbances) for name in policies]
    details = [_became(one, name, runs(one, name)) for one, name in each]
    moved = [_moved(one, name, runs(one, name), runs(one.undisturbed, name)) for one in stating for name in policies]
    learnt = [_learnt(one, name, runs(one, name), runs(one.undisturbed, name)) for one in stating for name in auctions]
    more = [Exhibit("churn", "What becomes of requests?", _BECAME, tuple(details), _TOLD[:2], made, *_PLOT)]
    if moved:
        more.append(Exhibit("churn", "Who gains and loses by a misstatement?", _MOVED, tuple(moved), _TOLD[2:4], made))
    if learnt:
        told: tuple[str, ...] = _TOLD[4:]
        if len(auctions) == len(_AUCTIONS):
            lost = _lost(*(runs(settings[0], name) for name in reversed(_AUCTIONS)))
            told += (f"Undisturbed, judging agents by their own answers loses {lost} % of welfare.",)
        more.append(Exhibit("churn", "How soon is it learnt?", _LEARNT, tuple(learnt), told, made))
    return Exhibit(
        "churn",
        "What does it cost that agents come and go, break off, and misstate what they are?",
        ("disturbance", *(f"{name}, welfare lost, %" for name in policies)),
        tuple((one.name, *(_lost(runs(one, p), runs(one.undisturbed, p)) for p in policies)) for one in disturbances),
        (
            f"Simulated: {talks.name}; speeds and answers measured, bidders who differ; {len(seeds)} seeds. Losses are "
            "paired by seed, shares of the mean welfare without the disturbance; 95 % by the bootstrap.",
            "Undisturbed is the same fleet: one that misstates is compared with itself as it tells the truth. Welfare "
            "counts what work really cost its agent, whatever it stated, and work that was broken off.",
        ),
        made,
        more=tuple(more),
    )


_BECAME = (
    "disturbance",
    "policy",
    "welfare, credits a turn",
    "served, % of turns",
    "lost, % of turns",
    "hit rate, %",
    "surplus, credits a turn",
)
_PLOT = ("disturbance", "welfare, credits a turn", "policy")
_MOVED = (
    "misstatement",
    "policy",
    "to its agent, credits a turn",
    "to the auctioneer, credits a turn",
    "to bidders, credits a turn",
    "turns that it serves, points more",
)
_LEARNT = (
    "misstatement",
    "policy",
    "foretold",
    "first 5",
    "6th to 20th",
    "later",
    "if it tells the truth",
    "requests it got",
)
#: Of the tables after the first: two sentences of the first of them, two of the second, then of the third.
_TOLD = (
    "A request that breaks off before its first token is asked of another agent, and agents that go on failing are "
    "left out, as the router has it; once its first token was seen it is lost: nobody pays, nobody is paid, and its "
    "conversation ends, as one that is declined does. So does that of a request that every agent failed.",
    "An agent that leaves finishes what it has; one that joins has an empty cache, and is new to the policy.",
    "Differences to telling the truth, paired by seed. Its agent's is receipts less what its work cost it.",
    "All three add up to what welfare gains: other agents have what their work cost them.",
    "Foretold for the requests that the misstating agent got, over what came of them: seconds from the decision to the "
    "first token, credits billed; of the chance of a right answer, points above the measured one.",
    "Own skill is the same auction, but an agent is judged by its own answers, whatever model it says it serves.",
)


def _lost(runs: Runs, before: Runs) -> Interval:
    # Shares of the mean: the welfare of a single seed may be next to nothing.
    usual = sum(came.welfare for came in before) / len(before)
    return _interval([100 * (b.welfare - a.welfare) / abs(usual) for a, b in zip(runs, before, strict=True)])


def _interval(values: Sequence[float]) -> Interval:
    """Of differences: what is left of sums of floats that are equal is none."""
    return interval([round(value, 6) + 0.0 for value in values])


def _became(one: Disturbance, policy: str, runs: Runs) -> tuple[Value, ...]:
    return (
        one.name,
        policy,
        interval([came.welfare for came in runs]),
        interval([100 * came.score.served / came.turns for came in runs]),
        interval([100 * came.lost / came.turns for came in runs]),
        interval([100 * came.score.hit_rate for came in runs]),
        interval([came.surplus for came in runs]),
    )


def _moved(one: Disturbance, policy: str, runs: Runs, before: Runs) -> tuple[Value, ...]:
    agent, pairs = one.statements[0].agent, list(zip(runs, before, strict=True))
    return (
        one.name,
        policy,
        _interval([a.profit(agent) - b.profit(agent) for a, b in pairs]),
        _interval([a.surplus - b.surplus for a, b in pairs]),
        _interval([a.bidders - b.bidders for a, b in pairs]),
        _interval([100 * (_share(a, agent) - _share(b, agent)) for a, b in pairs]),
    )


def _share(came: Came, agent: str) -> float:
    """Of all turns, those that an agent served."""
    place = list(came.costs).index(agent)
    return came.score.shares[place] * came.score.served / came.turns if came.score.shares else 0.0


def _learnt(one: Disturbance, policy: str, runs: Runs, before: Runs) -> tuple[Value, ...]:
    agent, figure = one.statements[0].agent, FIGURES.index(one.about)
    stages = [_foretold([came.forecasts.get(agent, ())[a:b] for came in runs], figure) for a, b in _STAGES]
    usual = _foretold([came.forecasts.get(agent, ()) for came in before], figure)
    served = interval([float(len(came.forecasts.get(agent, ()))) for came in runs])
    return one.name, policy, one.about, *stages, usual, served


def _foretold(runs: Sequence[Sequence[Pairs]], figure: int) -> Interval:
    """Times what came, of all of a run; of chances, which may be none, points beyond it."""
    found = []
    for pairs in runs:
        foretold, came = (sum(pair[figure][k] for pair in pairs) for k in (0, 1))
        if pairs:
            found.append(100 * (foretold - came) / len(pairs) if FIGURES[figure] == "right" else foretold / came)
    return interval(found)
