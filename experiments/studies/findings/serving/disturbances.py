"""One run of a policy on agents that come and go, break answers off, or misstate what they are; for `churn`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from allocation import MICROS
from experiments.studies.study.cells.cell import Cell
from experiments.studies.study.cells.policies import entrants
from experiments.studies.study.running.playing import hold
from experiments.worlds.churn import Coming
from experiments.worlds.disturbed import Breaks, Disturbed, Statement
from experiments.worlds.running.scores import Score, Scoring
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.workloads.workload import Dialogues
from runtime import Agent, Declined, Served
from runtime.policies.forecast import Forecaster
from runtime.policies.skill import PooledSkill

#: Twice over, so that there is time to learn.
TALKS = Dialogues("shipped", rate=0.5, answers="shipped", repeat=2)
#: What is foretold of a request on its agent, and may be compared with what came.
FIGURES = ("first token", "cost", "right")
#: Seconds until which agents come and go: longer than any run.
_UNTIL_S = 600.0


#: (foretold, came) of one request, for each of `FIGURES`.
Pairs = tuple[tuple[float, float], ...]


class OwnSkill(PooledSkill):
    """Agents are judged by their own answers alone, whatever model they say they serve."""

    def __init__(self, agents: Sequence[Agent]) -> None:
        super().__init__(_by_name(agents))

    def join(self, agents: Sequence[Agent]) -> None:
        """Who comes back under its name is who it was."""
        super().join(_by_name(agents))


def _by_name(agents: Sequence[Agent]) -> list[Agent]:
    return [replace(agent, info=replace(agent.info, model=agent.name)) for agent in agents]


#: By the name that tables print, as `Study` takes them.
POLICIES: Mapping[str, object] = {
    "iemas": "iemas",
    "iemas (own skill)": {"policy": "iemas", "predictor": lambda: Forecaster(OwnSkill)},
    "posted": "posted",
    "cache-aware": "cache-aware",
    "cache-aware-best": "cache-aware-best",
    "llm-d": "llm-d",
}


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What is done to a fleet.

    Args:
        name: in tables.
        coming: how agents come and go; None, they stay.
        breaks: how often they break off; None, never.
        statements: what they state that is not so; the first is of the agent whose forecasts are looked at.
        about: which of its forecasts, of `FIGURES`.
        fleet: the agents as they are; default the usual ones.
        truth: what the same fleet states where it tells the truth, and its engines do not say so of themselves.
    """

    name: str
    coming: Coming | None = None
    breaks: Breaks | None = None
    statements: tuple[Statement, ...] = ()
    about: str = ""
    fleet: tuple[SimulatedAgent, ...] = ()
    truth: tuple[Statement, ...] = ()

    @property
    def undisturbed(self) -> "Disturbance":
        """The same fleet without it."""
        return Disturbance("undisturbed", statements=self.truth, fleet=self.fleet, truth=self.truth)


@dataclass(frozen=True, slots=True)
class Job:
    """One run."""

    talks: Dialogues
    disturbance: Disturbance
    policy: str
    seed: int

    @property
    def title(self) -> str:
        """As errors name it."""
        return f"{self.policy}, {self.disturbance.name} at seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Came:
    """What a run came to: money in micro-units, agents by name.

    `lost` counts requests that nobody served although they were not declined, `billed` is the measured cost at stated
    prices; `forecasts` holds for each agent, request by request as served, what was foretold and what came: seconds,
    credits, the chance of a right answer.
    """

    score: Score
    lost: int
    turns: int
    billed: int
    receipts: Mapping[str, int]
    costs: Mapping[str, int]
    forecasts: Mapping[str, Sequence[Pairs]]

    @property
    def welfare(self) -> float:
        """Credits a turn, at what agents' work really cost."""
        return (self.score.total + (self.billed - sum(self.costs.values())) / MICROS) / self.turns

    @property
    def surplus(self) -> float:
        """Credits a turn that the auctioneer has left."""
        return self.score.surplus / self.turns

    @property
    def bidders(self) -> float:
        """Credits a turn of bidders' true values, less charges."""
        return self.score.bidders_surplus / self.turns

    def profit(self, agent: str) -> float:
        """Credits a turn that an agent received beyond what its work cost it."""
        return (self.receipts.get(agent, 0) - self.costs[agent]) / MICROS / self.turns


@dataclass(slots=True)
class _Seen:
    """Counts the ends of a run's requests."""

    load: Disturbed
    scoring: Scoring
    names: list[str]
    known: Mapping[str, SimulatedAgent]
    lost: int = 0
    billed: int = 0
    receipts: dict[str, int] = field(default_factory=dict)
    forecasts: dict[str, list[Pairs]] = field(default_factory=dict)

    def joined(self, agent: SimulatedAgent) -> None:
        self.scoring.joined(agent)
        self.names.append(agent.name)

    def gone(self, end: Declined) -> None:
        self.scoring(end)
        self.lost += 1

    def __call__(self, end: Served | Declined) -> None:
        self.scoring(end)
        if isinstance(end, Declined):
            return
        name = self.names[end.agent]
        self.billed += end.cost
        self.receipts[name] = self.receipts.get(name, 0) + end.receipt
        if end.predicted is not None:
            took = end.dispatched_s - end.decided_s + end.completion.first_token_s
            chance = self.load.quality(self.known[name], end.request.id)
            foretold = (end.predicted.latency_s, end.predicted.cost, end.predicted.quality)
            pairs = tuple(zip(foretold, (took, end.cost / MICROS, chance), strict=True))
            self.forecasts.setdefault(name, []).append(pairs)


def play(job: Job) -> Came:
    """Run it, in virtual time."""
    told = job.disturbance
    cell = Cell(job.talks, fleet=told.fleet)
    traffic = cell.workload.draw(cell.bidders, job.seed)
    given = POLICIES[job.policy]
    [entrant] = entrants([{**given, "name": job.policy} if isinstance(given, dict) else given], "vcg", None, None)
    policy = entrant.make(cell, job.seed, traffic)
    load = Disturbed(traffic, cell.fleet, job.seed, told.breaks, told.statements, lambda end: seen.gone(end))
    known = {agent.name: agent for agent in cell.fleet}
    changes = told.coming.drawn(list(known), job.seed, _UNTIL_S) if told.coming else ()
    # The policy was made for agents as they are; they come and go, and are paid, as they state.
    stated = replace(cell, fleet=load.stated, churn=changes)
    seen = _Seen(load, Scoring(load, cell.fleet, stated.beginning), [one.name for one in stated.beginning], known)
    held = hold(policy, load, stated, seen, seen.joined)
    score = seen.scoring.score(held.statistics, held.seconds)
    costs = {name: load.costs.served[name] + load.costs.broken[name] for name in known}
    return Came(score, seen.lost, traffic.turns, seen.billed, seen.receipts, costs, seen.forecasts)
