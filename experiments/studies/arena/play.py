"""One run of the arena: a policy in a cell at a seed, and what it was worth to whom.

Welfare of a served request is true worth times the assumed skill of the agent that answered (the expectation of being
right: less noise than one drawn answer), minus delay cost times the seconds from arrival to the first token, minus the
measured cost. A declined request loses its delay cost until its bidder was told. Answers that nobody can grade are
not right: such requests count by delay and cost alone. A score also has the same welfare with delays to the last
token; decisions forecast first tokens, however they are judged.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import nan

import numpy as np

from allocation import MICROS
from experiments.data import Corpus, Dialogue, arrivals
from experiments.errors import StudyError
from experiments.worlds.fleets import FLEET, SimulatedAgent, simulated_fleet
from experiments.worlds.presets import Preset
from experiments.worlds.run import PolicyRun, Workload, run_policy, workload
from runtime import Ledger, Policy, Request, Served, running
from runtime.engines.simulated.virtual_time import run

#: Until when a bidder's delay may be counted.
DELAYS = ("first-token", "last-token")


@dataclass(frozen=True, slots=True)
class Cell:
    """A world: dialogues, how many begin a second, who bids, which agents, how many requests an agent may serve.

    `warm_up` are dialogues that are none of them, which agents have answered before (`warm_up.lessons`).
    """

    name: str
    corpora: tuple[Corpus, ...]
    rate: float
    preset: Preset
    fleet: tuple[SimulatedAgent, ...] = FLEET
    slots: int | None = None
    think_time_s: float = 5.0
    max_tokens: int = 48
    warm_up: tuple[Dialogue, ...] = ()

    def workload(self, seed: int) -> Workload:
        """Who talks about what, and when."""
        dialogues = sum(len(corpus.dialogues) for corpus in self.corpora)
        return workload(
            self.corpora,
            arrivals(dialogues, rate_per_s=self.rate, think_time_s=self.think_time_s, seed=seed),
            bidders=self.preset.bidders,
            preferences=self.preset.draw,
            max_tokens=self.max_tokens,
            seed=seed,
        )


@dataclass(frozen=True, slots=True)
class Score:
    """What a run came to; money in credits, times in seconds.

    `welfare`, `welfare_last` and `worth` are by conversation, in the workload's order.
    """

    welfare: tuple[float, ...]
    #: Delay and cost of all requests: what is left of welfare where nothing can be graded.
    loss: float
    served: int
    declined: int
    hit_rate: float
    wait_median: float
    wait_p95: float
    cost: float
    latency_nmae: float
    contested: float
    charges: float
    surplus: float
    #: What bidders got by their true values, less charges.
    bidders_surplus: float
    #: Welfare with the delay counted to the last token.
    welfare_last: tuple[float, ...]
    decide_ms: float
    #: Credits that a right answer is worth to the conversation's bidder.
    worth: tuple[float, ...]
    #: Requests, served or declined, whose answers nobody can grade.
    ungraded: int

    @property
    def total(self) -> float:
        """Welfare of all conversations."""
        return sum(self.welfare)

    @property
    def loss_per_request(self) -> float:
        """Credits of delay and cost that a request came to, served or declined."""
        requests = self.served + self.declined
        return self.loss / requests if requests else nan

    def judged(self, delay: str) -> tuple[float, ...]:
        """Welfare by conversation, with delays counted to one of `DELAYS`.

        Raises:
            StudyError: it is none of them.
        """
        if delay not in DELAYS:
            raise StudyError(f"no delay {delay!r}; there are: {', '.join(DELAYS)}")
        return self.welfare if delay == "first-token" else self.welfare_last

    def as_dict(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self)


def play(make: Callable[[int], Policy], cell: Cell, seed: int) -> Score:
    """Run one policy in virtual time."""
    load = cell.workload(seed)

    async def hold() -> PolicyRun:
        engines, lists = simulated_fleet(load, seed=seed, fleet=cell.fleet)
        prices = lists if cell.preset.prices is None else [cell.preset.prices] * len(engines)
        async with running(engines):
            with Ledger() as ledger:
                return await run_policy(
                    make(seed), load, engines, prices, seed=seed, rounds=cell.preset.rounds(cell.slots), ledger=ledger
                )

    return score(run(hold(), virtual=True), load, cell)


def score(done: PolicyRun, load: Workload, cell: Cell) -> Score:
    """What a run came to."""
    place = {one.name: k for k, one in enumerate(load.conversations)}
    graded = {one.name: one.dialogue.graded for one in load.conversations}
    welfare, last = np.zeros((2, len(place)))
    value = loss = 0.0
    for one in done.served:
        true = done.preferences[one.request.bidder]
        name = one.request.id.rpartition("/")[0]
        gain = true.worth * cell.fleet[one.agent].skill if graded[name] else 0.0
        delay, cost = true.delay_cost * one.first_token_s, one.cost / MICROS
        welfare[place[name]] += gain - delay - cost
        last[place[name]] += gain - true.delay_cost * one.latency_s - cost
        value += gain - delay
        loss += delay + cost
    for told in done.declined:
        delay = done.preferences[told.request.bidder].delay_cost * told.waited_s
        at = place[told.request.id.rpartition("/")[0]]
        welfare[at], last[at] = welfare[at] - delay, last[at] - delay
        value, loss = value - delay, loss + delay
    asked = [request.id.rpartition("/")[0] for request in _requests(done)]
    waits = [one.first_token_s for one in done.served]
    prompts = sum(one.completion.prompt_tokens for one in done.served)
    pairs = [(one.predicted.latency_s, _took(one)) for one in done.served if one.predicted]
    charges = sum(one.charge for one in done.served) / MICROS
    statistics = done.statistics
    return Score(
        welfare=tuple(welfare.tolist()),
        loss=loss,
        served=len(done.served),
        declined=len(done.declined),
        hit_rate=sum(one.completion.cached_tokens for one in done.served) / prompts if prompts else nan,
        wait_median=float(np.median(waits)) if waits else nan,
        wait_p95=float(np.quantile(waits, 0.95)) if waits else nan,
        cost=sum(one.cost for one in done.served) / MICROS / len(waits) if waits else nan,
        latency_nmae=sum(abs(said - took) for said, took in pairs) / sum(took for _, took in pairs) if pairs else nan,
        contested=statistics.contested / statistics.decided if statistics.decided else nan,
        charges=charges,
        surplus=charges - sum(one.receipt for one in done.served) / MICROS,
        bidders_surplus=value - charges,
        welfare_last=tuple(last.tolist()),
        decide_ms=1000 * float(np.mean(statistics.decide_s)) if statistics.decide_s else nan,
        worth=tuple(one.preferences.worth for one in load.conversations),
        ungraded=sum(not graded[name] for name in asked),
    )


def _requests(done: PolicyRun) -> list[Request]:
    """Of all that were asked."""
    return [one.request for one in done.served] + [one.request for one in done.declined]


def _took(one: Served) -> float:
    """Seconds from the decision to the first token."""
    return one.dispatched_s - one.decided_s + one.completion.first_token_s
